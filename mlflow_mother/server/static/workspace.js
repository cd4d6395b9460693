/**
 * The workspace that an address is about: its own, else the one in use in MLflow; empty for none.
 * @param {URLSearchParams} parameters The address's.
 */
export function workspace(parameters) {
  const asked = parameters.get("workspace");
  try {
    return asked ?? localStorage.getItem("mlflow.activeWorkspace") ?? "";
  } catch {
    return asked ?? ""; // Storage is forbidden here.
  }
}
