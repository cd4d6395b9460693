// Mother's JSON API below whatever prefix the server has, asked as MLflow's own pages ask theirs.

const ROOT = new URL("../../", import.meta.url);
const KEPT_MS = 60_000;

const SILENT = "The server did not answer.";
const NO_DATA = "A page came instead of data, perhaps from a proxy before the server that asks to sign in. Reload the page.";

/** A request that was not answered as asked, with words for people; status 0 when nobody answered at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The API of one workspace's registry. What somebody looks at, and decides on, stays in it whatever MLflow turns to. */
export class Api {
  /** @param {string} workspace Empty where there are none. */
  constructor(workspace) {
    this.workspace = workspace;
  }

  /**
   * What a route answers.
   * @param {string} path Below the API's root.
   * @param {Record<string, string | number | null>} [parameters] Those without a value are left out.
   * @param {AbortSignal} [signal]
   */
  async get(path, parameters = {}, signal = undefined) {
    return content(await this.#request(path, parameters, { signal }), "json");
  }

  /** Changes something; the answer. */
  async post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return content(await this.#request(path, {}, { method: "POST", headers, body: JSON.stringify(body) }), "json");
  }

  /** A document as text. */
  async text(path, parameters = {}) {
    return content((await this.#document(path, parameters)).response, "text");
  }

  /** Saves a document as a file, under the name that the server gives it. */
  async download(path, parameters) {
    const { response, name } = await this.#document(path, parameters);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await content(response, "blob"));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS); // The browser reads it after the click.
  }

  /**
   * The address of a version, or of a registered model, in MLflow.
   * @param {string} name
   * @param {string | null} version
   * @param {boolean} lineage Whether its Lineage tab is to be open.
   */
  page(name, version = null, lineage = true) {
    const parameters = new URLSearchParams();
    if (this.workspace) parameters.set("workspace", this.workspace);
    if (lineage) parameters.set("tab", "lineage");
    const place = `#/models/${encodeURIComponent(name)}${version ? `/versions/${version}` : ""}`;
    return new URL(parameters.size ? `${place}?${parameters}` : place, ROOT).href;
  }

  async #document(path, parameters) {
    const response = await this.#request(path, parameters, {});
    const name = named(response.headers.get("Content-Disposition") ?? "");
    if (!name) throw new ApiError(response.status, NO_DATA);
    return { response, name };
  }

  async #request(path, parameters, options) {
    const url = new URL(`ajax-api/2.0/mlflow-mother/${path}`, ROOT);
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null && value !== undefined) url.searchParams.set(name, value);
    }
    return answered(url, { ...options, headers: { ...(await this.#headers()), ...options.headers } });
  }

  /** MLflow refuses the workspace's header where workspaces are off, and a browser may remember one from elsewhere. */
  async #headers() {
    const sent = fromCookies();
    return this.workspace && (await hasWorkspaces()) ? { ...sent, "X-MLFLOW-WORKSPACE": this.workspace } : sent;
  }
}

let known = null;

/** Whether the server has workspaces. Asked once; but whoever takes a failure for a no would be led to another registry. */
function hasWorkspaces() {
  known ??= (async () => {
    const response = await answered(new URL("ajax-api/3.0/mlflow/server-info", ROOT), { headers: fromCookies() });
    return Boolean((await content(response, "json")).workspaces_enabled);
  })().catch((error) => {
    known = null;
    if (error.status === 404) return false; // An MLflow from before workspaces.
    throw error;
  });
  return known;
}

/** Headers that whoever stands before the server wants to see; MLflow's pages send them too. */
function fromCookies() {
  const mark = "mlflow-request-header-";
  const pairs = document.cookie.split(/; */).filter((cookie) => cookie.startsWith(mark));
  return Object.fromEntries(
    pairs.map((cookie) => {
      const at = cookie.indexOf("=");
      return [cookie.slice(mark.length, at), decoded(cookie.slice(at + 1))];
    }),
  );
}

/** Text without its escaping; as it is where a "%" does not escape anything. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A good answer; whatever else happens is told in words. */
async function answered(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0, SILENT);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => null);
  const status = `${response.status} ${response.statusText}`.trim();
  throw new ApiError(response.status, said?.message || `The server, or a proxy before it, answered ${status}.`);
}

/** @param {Response} response @param {"json" | "text" | "blob"} kind */
async function content(response, kind) {
  try {
    return await response[kind]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw error instanceof SyntaxError ? new ApiError(response.status, NO_DATA) : new ApiError(0, SILENT);
  }
}

/** The file name that a Content-Disposition header gives; empty for none. @param {string} header */
function named(header) {
  const [, escaped] = /filename\*=UTF-8''([^;]+)/i.exec(header) ?? [];
  const [, plain] = /filename="([^"]*)"/i.exec(header) ?? [];
  return escaped ? decoded(escaped) : (plain ?? "");
}
