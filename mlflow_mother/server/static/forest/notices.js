// What stands in the place of a list or a tree that cannot be shown.

import { after, FILTERS } from "./address.js";
import { el } from "../dom.js";

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
  const retry = el("button", { type: "button", class: "mother-button" }, "Try again");
  retry.addEventListener("click", again);
  const [heading, remedy] = explained(error.status);
  return notice(heading, [error.message, remedy].filter(Boolean), [retry], "forest-failed");
}

function explained(status) {
  if (status === 401) return ["You are not signed in", "Sign in to MLflow, then try again."];
  if (status === 403) return ["You may not see this", "Whoever administers this server can give you permission in MLflow."];
  if (status === 404) return ["Not in the registry", "It may have been deleted or renamed."];
  if (status === 400) return ["This link does not work", "It may be from another version of this page."];
  if (status === 503) return ["Mother cannot answer now", "MLflow itself goes on working."];
  if (!status) return ["The server cannot be reached", "Check your connection, then try again."];
  return ["Something went wrong", ""];
}
