// What the cells of both lists have in common.

import { after } from "./address.js";
import { el } from "../dom.js";
import { isWeak, moment, probability, split, title } from "../words.js";
import { day } from "./figures.js";
import { api } from "./registry.js";

/** A version: its name leads to its family's tree on this page, the arrow to its tab in MLflow. @param {string} id */
export function version(id) {
  const ref = split(id);
  if (!ref) return el("span", { class: "forest-text" }, title(id));
  const name = el("a", { class: "forest-name", href: after({ family: id, node: "" }) }, ref.name, " ", el("span", { class: "forest-version" }, `v${ref.version}`));
  const arrow = el("a", { class: "forest-out", href: api.page(ref.name, ref.version), title: "Open in MLflow", "aria-label": `Open ${title(id)} in MLflow` }, "↗");
  return el("span", { class: "forest-ref" }, name, arrow);
}

/** Several of them, one below the other. @param {string[]} ids @param {number} [most] */
export function versions(ids, most = 4) {
  const shown = ids.slice(0, most).map((id) => el("div", {}, version(id)));
  if (ids.length > most) shown.push(el("div", { class: "mother-soft" }, `and ${ids.length - most} more`));
  return shown;
}

/** A word with the dot of its colour. @param {string} word @param {string} [text] */
export function tag(word, text = word) {
  return el("span", { class: `forest-tag ${word}` }, text);
}

/** A probability; a low one stands out. @param {number | null} value */
export function likely(value) {
  return value === null ? [] : [el("span", { class: isWeak(value) ? "forest-weak" : null }, probability(value))];
}

/** A day; the moment itself is its hint. @param {number | null} seconds */
export function date(seconds) {
  return seconds === null ? [] : [el("span", { title: moment(seconds) }, day(seconds))];
}
