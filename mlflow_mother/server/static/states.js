// What stands above the tree when there is more to say than the tree says: waiting, trouble, refusals.

import { button, el } from "./dom.js";
import { counted } from "./words.js";

const TITLES = {
  pending: "Waiting to be analysed",
  failed: "The weights could not be read",
  unsupported: "No reader knows this format",
  unknown: "Not known yet",
  ignored: "Opted out",
};

/** Whether the state will change by itself. */
export function isPassing(answer) {
  return answer.progress !== null || answer.state === "pending" || (answer.state === "unknown" && answer.subject !== null) || answer.model?.versions.some((info) => info.status === "pending") === true;
}

/** A notice about the state; null when the tree says it all. @param {any} answer */
export function stateNotice(answer) {
  const { state, progress } = answer;
  if (state === "unknown" && answer.model && !answer.model.versions.length) {
    return notice("info", "No versions yet", "Register a version of this model and its lineage appears here.");
  }
  if (answer.model && state === "pending") {
    const waiting = answer.model.versions.filter((info) => info.status === "pending").length;
    return notice("busy", "Being analysed", `${counted(waiting, "version")} of this model ${waiting === 1 ? "waits" : "wait"} for the analysis. This page follows it.`);
  }
  if (progress) return notice("busy", progress.working ? "Being analysed now" : state === "pending" ? TITLES.pending : "Waiting to be analysed again", place(progress));
  if (!(state in TITLES)) return null;
  const kind = { failed: "alarm", pending: "busy" }[state] ?? "info";
  return notice(kind, TITLES[state], answer.reason, answer.remedy);
}

function place({ ahead, working }) {
  if (working) return "The worker reads its weights and compares them with the known models. This page follows it.";
  if (ahead === 0) return "It is next. This page follows it.";
  return `${counted(ahead, "version")} ${ahead === 1 ? "comes" : "come"} first. This page follows it.`;
}

/** Why there is no lineage to show. @param {import("./api.js").ApiError} error @param {() => void} again */
export function refusal(error, again) {
  const retry = button("Try again", again);
  if (error.status === 401) return notice("info", "You are signed out", "Reload the page to sign in again.", "", button("Reload", () => location.reload()));
  if (error.status === 403) return notice("info", "No permission", "You may not see this model's lineage, or there is no such model. Ask its owner for permission to read it.");
  if (error.status === 404) return notice("info", "Not in the registry", error.message, "It may have been deleted or renamed.", retry);
  if (error.status === 503) return notice("alarm", "Lineage is not available now", error.message, "Whoever runs this server finds the cause in its log; mlflow-mother doctor names it, too.", retry);
  if (error.status === 0) return notice("alarm", "The server did not answer", "Check the connection.", "", retry);
  return notice("alarm", "The lineage could not be loaded", error.message || `The server answered with ${error.status}.`, "", retry);
}

function notice(kind, title, text, remedy = "", ...actions) {
  return el(
    "div",
    { class: `mother-notice ${kind}`, role: kind === "alarm" ? "alert" : "status" },
    el("strong", {}, title),
    text && el("p", {}, text),
    remedy && remedy !== text && el("p", {}, remedy),
    kind === "busy" && el("div", { class: "mother-busy", "aria-hidden": "true" }),
    ...actions,
  );
}
