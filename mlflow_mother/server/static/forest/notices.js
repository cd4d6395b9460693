// What stands in the place of a list or a tree that cannot be shown.

import { after, FILTERS } from "./address.js";
import { el } from "../dom.js";
import { explained, remedies } from "../refusals.js";

/**
 * @param {string} heading
 * @param {(Node | string)[]} words
 * @param {(Node | string)[]} actions
 */
export function notice(heading, words, actions = [], kind = "") {
  return el(
    "div",
    { class: `forest-notice ${kind}` },
    el("h2", {}, heading),
    ...words.map((text) => (typeof text === "string" ? el("p", {}, text) : text)),
    actions.length ? el("p", { class: "forest-actions" }, ...actions) : "",
  );
}

/** Grey lines where a list will be. */
export function waiting() {
  const lines = Array.from({ length: 6 }, () => el("div", { class: "forest-bone" }));
  return el("div", { class: "forest-bones", role: "status", "aria-label": "Loading" }, ...lines);
}

/** Nothing passes the filters. */
export function nothing() {
  const bare = Object.fromEntries(FILTERS.map((name) => [name, ""]));
  const clear = el("a", { class: "mother-button", href: after(bare) }, "Clear the filters");
  return notice("Nothing matches", ["No version fits what you search for and filter by."], [clear]);
}

/**
 * A request that failed.
 * @param {import("../api.js").ApiError} error
 * @param {() => void} again
 */
export function failed(error, again) {
  const { heading, words } = explained(error);
  return notice(heading, words, remedies(error, again), "forest-failed");
}
