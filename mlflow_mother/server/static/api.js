// Mother's JSON API below whatever prefix the server has, asked as MLflow's own pages ask theirs.

const ROOT = new URL("../../", import.meta.url);

/** A request that was not answered as asked; status 0 when nobody answered at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The workspace of this page: the address's own, else the one in use in MLflow; empty for none. */
export function workspace() {
  const asked = new URLSearchParams(location.hash.replace(/^#(\/[^?]*\??)?/, "")).get("workspace");
  try {
    return asked ?? localStorage.getItem("mlflow.activeWorkspace") ?? "";
  } catch {
    return asked ?? ""; // Storage is forbidden here.
  }
}

let workspaces = null;

/** MLflow refuses the header where workspaces are off, and a browser may remember one from elsewhere. */
async function headers() {
  const own = workspace();
  const sent = fromCookies();
  if (!own) return sent;
  workspaces ??= fetch(new URL("ajax-api/3.0/mlflow/server-info", ROOT))
    .then((response) => response.json())
    .then((info) => Boolean(info.workspaces_enabled))
    .catch(() => false);
  return (await workspaces) ? { ...sent, "X-MLFLOW-WORKSPACE": own } : sent;
}

/** Headers that whoever stands before the server wants to see; MLflow's pages send them too. */
function fromCookies() {
  const mark = "mlflow-request-header-";
  const pairs = document.cookie.split(/; */).filter((cookie) => cookie.startsWith(mark));
  return Object.fromEntries(
    pairs.map((cookie) => {
      const at = cookie.indexOf("=");
      return [cookie.slice(mark.length, at), decodeURIComponent(cookie.slice(at + 1))];
    }),
  );
}

async function request(path, parameters, options) {
  const url = new URL(`ajax-api/2.0/mlflow-mother/${path}`, ROOT);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...(await headers()), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, error.message);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new ApiError(response.status, said.message ?? "");
}

/**
 * What a route answers.
 * @param {string} path Below the API's root.
 * @param {Record<string, string | number | null>} [parameters] Those without a value are left out.
 * @param {AbortSignal} [signal]
 */
export async function get(path, parameters = {}, signal = undefined) {
  return (await request(path, parameters, { signal })).json();
}

/** A document as text. */
export async function text(path, parameters = {}) {
  return (await request(path, parameters, {})).text();
}

/** Changes something; the answer. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, {}, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Saves what a route answers as a file. */
export async function download(path, parameters, name) {
  const content = await (await request(path, parameters, {})).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * The address of a version, or of a registered model, in MLflow.
 * @param {string} name
 * @param {string | null} version
 * @param {boolean} lineage Whether its Lineage tab is to be open.
 */
export function page(name, version = null, lineage = true) {
  const parameters = new URLSearchParams();
  if (workspace()) parameters.set("workspace", workspace());
  if (lineage) parameters.set("tab", "lineage");
  const place = `#/models/${encodeURIComponent(name)}${version ? `/versions/${version}` : ""}`;
  return new URL(parameters.size ? `${place}?${parameters}` : place, ROOT).href;
}
