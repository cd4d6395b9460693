// The registry that this page is about, for as long as it is open.

import { Api } from "../api.js";
import { workspace } from "../workspace.js";

function asked() {
  return workspace(new URLSearchParams(location.hash.slice(1)));
}

export const api = new Api(asked());

/** Whether the address, or MLflow in another tab, has turned to another one. */
export function isLeft() {
  return asked() !== api.workspace;
}
