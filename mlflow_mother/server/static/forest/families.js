// The list of families.

import { go } from "./address.js";
import { date, likely, tag, version } from "./cells.js";
import { el } from "../dom.js";
import { List } from "./list.js";
import { notice } from "./notices.js";
import { Table } from "./table.js";
import { counted } from "../words.js";
import { number, TROUBLES } from "./figures.js";

const SHOWN_RELATIONS = 2;
const REGISTER = 'mlflow.register_model("runs:/<run id>/model", "my-model")';

/** @param {(totals: object) => void} onTotals */
export function families(onTotals) {
  const table = new Table({
    caption: "Families of model versions",
    name: "forest-families",
    id: (family) => family.id,
    onSort: (sort) => go({ sort, order: "" }),
    opens: true,
    columns: [
      { label: "Family", name: "family", sort: "name", first: "asc", oneWay: true, cell: named },
      { label: "Versions", name: "size", sort: "size", first: "desc", oneWay: true, cell: (family) => [number(family.size)] },
      { label: "Relations", name: "relations", cell: relations },
      { label: "To look at", name: "attention", cell: attention },
      { label: "Least probable", name: "probability", cell: (family) => likely(family.lowest_confidence) },
      { label: "Newest", name: "newest", sort: "newest", first: "desc", oneWay: true, cell: (family) => date(family.newest_at) },
    ],
  });
  return new List({
    route: "forest",
    takes: ["q", "relation", "verdict", "status", "min_confidence", "max_confidence", "sort", "include_alone", "cursor"],
    rows: "families",
    noun: ["family", "families"],
    table,
    order: ["size", "desc"],
    empty,
    onAnswer: (answer) => onTotals(answer.totals),
  });
}

function named(family) {
  const others = family.models.join(", ") + (family.model_count > family.models.length ? ", …" : "");
  const models = family.model_count > 1 ? `${counted(family.model_count, "model")}: ${others}` : "";
  return [version(family.root), models ? el("div", { class: "forest-models", title: others }, models) : ""];
}

function relations(family) {
  const found = Object.entries(family.relations).sort(([, a], [, b]) => b - a);
  if (!found.length) return [];
  const parts = found.map(([name, count]) => {
    const part = el("i", { class: `r-${name}` });
    part.style.flexGrow = String(count);
    return part;
  });
  const words = found.slice(0, SHOWN_RELATIONS).map(([name, count]) => key(name, count));
  if (found.length > SHOWN_RELATIONS) words.push(`+${found.length - SHOWN_RELATIONS}`);
  const all = found.map(([name, count]) => `${count} ${name}`).join(", ");
  return [
    el("div", { class: "forest-mix", "aria-hidden": "true" }, ...parts),
    el("div", { class: "forest-words", title: all }, ...words),
  ];
}

function key(name, count) {
  return el("span", {}, el("span", { class: `forest-dot r-${name}`, "aria-hidden": "true" }), `${number(count)} ${name}`);
}

function attention(family) {
  const { verdicts, statuses } = family;
  const found = ["conflict", "undocumented"].filter((name) => verdicts[name]).map((name) => tag(name, `${number(verdicts[name])} ${name}`));
  const troubled = TROUBLES.filter((name) => statuses[name]);
  const undecided = (verdicts.undecided ?? 0) - troubled.reduce((sum, name) => sum + statuses[name], 0);
  if (undecided > 0) found.push(tag("undecided", `${number(undecided)} undecided`));
  found.push(...troubled.map((name) => tag(name, `${number(statuses[name])} ${name}`)));
  return found.length ? [el("span", { class: "forest-tags" }, ...found)] : [];
}

function empty({ totals }) {
  if (totals.versions === 0) {
    return notice("No model versions yet", ["Register one, from any client, and its lineage appears here:", el("pre", {}, REGISTER)]);
  }
  if (totals.alone === 0) return null;
  const show = el("button", { type: "button", class: "mother-button" }, "List them");
  show.addEventListener("click", () => go({ alone: "1" }));
  const held = totals.by_status.pending ?? 0;
  const waiting = held ? `${counted(held, "version")} ${held === 1 ? "is" : "are"} still being analysed.` : "";
  return notice("No families yet", [`${counted(totals.alone, "version")} without relatives so far.`, waiting].filter(Boolean), [show]);
}
