// What stands above the tree when there is more to say than the tree says: waiting, trouble, refusals.

import { button, el } from "./dom.js";
import { explained, remedies } from "./refusals.js";
import { counted } from "./words.js";

const TITLES = {
  failed: "The weights could not be read",
  unsupported: "No reader knows this format",
  unknown: "Not known yet",
  ignored: "Opted out",
};

/** Whether the state will change by itself. */
export function isPassing(answer) {
  return answer.progress !== null || answer.state === "pending" || (answer.state === "unknown" && answer.subject !== null) || answer.model?.versions.some((info) => info.status === "pending") === true;
}

/** What is going on, in a line; empty when nothing is. @param {any} answer */
export function progressLine({ state, progress, model }) {
  if (progress?.working) return "Being analysed now.";
  if (progress) return `Waiting to be analysed${state === "pending" ? "" : " again"}: ${place(progress.ahead)}.`;
  const waiting = model?.versions.filter((info) => info.status === "pending").length ?? 0;
  if (waiting) return `${counted(waiting, "version")} of this model ${waiting === 1 ? "waits" : "wait"} for the analysis.`;
  return state === "pending" ? "Waiting to be analysed." : "";
}

/** A notice about the state; null when the tree says it all. @param {any} answer */
export function stateNotice(answer) {
  const { state } = answer;
  if (state === "unknown" && answer.model && !answer.model.versions.length) {
    return notice("info", "No versions yet", ["Register a version of this model and its lineage appears here."]);
  }
  if (!(state in TITLES) || progressLine(answer)) return null;
  return notice(state === "failed" ? "alarm" : "info", TITLES[state], [answer.reason, answer.remedy]);
}

function place(ahead) {
  if (ahead === 0) return "it is next";
  return `${counted(ahead, "version")} ${ahead === 1 ? "comes" : "come"} first`;
}

/** Why there is no lineage to show. @param {import("./api.js").ApiError} error @param {() => void} again */
export function refusal(error, again) {
  const { heading, words, alarm } = explained(error);
  return notice(alarm ? "alarm" : "info", heading, words, ...remedies(error, again));
}

/** @param {"info" | "alarm"} kind @param {string} title @param {string[]} words @param {Node[]} actions */
function notice(kind, title, words, ...actions) {
  const said = [...new Set(words)].filter(Boolean).map((text) => el("p", {}, text));
  return el("div", { class: `mother-notice ${kind}`, role: kind === "alarm" ? "alert" : "status" }, el("strong", {}, title), ...said, ...actions);
}
