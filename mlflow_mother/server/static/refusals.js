// Why a request was not answered as asked, in words that the tab and the registry's page share.

import { button } from "./dom.js";

const MEANINGS = {
  0: ["The server cannot be reached", "Check the connection, then try again."],
  400: ["This link does not work", "It may be from another version of this page."],
  401: ["You are signed out", "Reload the page to sign in again."],
  403: ["No permission", "The model's owner, or whoever administers this server, can give you permission in MLflow."],
  404: ["Not in the registry", "It may have been deleted or renamed."],
  503: ["Lineage is not available now", "MLflow itself goes on working. For whoever runs the server: mlflow-mother doctor names the cause, too."],
};
const NO_FAULT = [400, 401, 403, 404];
const OUTSIDE = [200, 401];

/**
 * What to say of a failure.
 * @param {import("./api.js").ApiError} error
 * @returns {{heading: string, words: string[], alarm: boolean}} alarm: something is broken.
 */
export function explained({ status, message }) {
  const [heading, remedy] = MEANINGS[status] ?? ["Lineage could not be loaded", ""];
  return { heading, words: [message, remedy].filter(Boolean), alarm: !NO_FAULT.includes(status) };
}

/** Buttons that may help. @param {import("./api.js").ApiError} error @param {() => void} again */
export function remedies({ status }, again) {
  const retry = button("Try again", again);
  return OUTSIDE.includes(status) ? [button("Reload", () => location.reload()), retry] : [retry];
}
