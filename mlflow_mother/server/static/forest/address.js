// What the page shows, as the part of its address behind the "#": reload, back, forward and shared links follow from it.

/**
 * @typedef {object} State
 * @property {string} workspace Empty for the one in use in MLflow.
 * @property {"families" | "audit"} view Which list.
 * @property {string} family Any version of the family whose tree is open; empty for the lists.
 * @property {string} node The version pointed out in it; empty for none.
 * @property {string} q Text to search for.
 * @property {string} relation
 * @property {string} verdict
 * @property {string} status
 * @property {string} confidence One of CONFIDENCES.
 * @property {string} alone "1" to list versions without relatives as families of one.
 * @property {string} sort Empty for the list's own order.
 * @property {string} order "asc", "desc" or empty.
 * @property {string} cursor Where the page of the list begins; empty for the first one.
 * @property {string} page Its number; empty for the first one.
 */

/** @type {State} */
const DEFAULTS = {
  workspace: "", view: "families", family: "", node: "", q: "", relation: "", verdict: "", status: "", confidence: "",
  alone: "", sort: "", order: "", cursor: "", page: "",
};

/** The choices of probability: their words, and what they ask the API for. */
export const CONFIDENCES = {
  "below-0.5": { words: "below 0.5", asks: { max_confidence: "0.5" } },
  "below-0.8": { words: "below 0.8", asks: { max_confidence: "0.8" } },
  "from-0.8": { words: "0.8 and above", asks: { min_confidence: "0.8" } },
  "from-0.95": { words: "0.95 and above", asks: { min_confidence: "0.95" } },
};

/** What narrows both lists down. */
export const FILTERS = ["q", "relation", "verdict", "status", "confidence", "alone"];

/** @returns {State} What the address says; a part that makes no sense counts as missing. */
export function read() {
  const state = { ...DEFAULTS };
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (Object.hasOwn(DEFAULTS, key)) state[key] = value;
  }
  if (state.view !== "audit") state.view = "families";
  if (!Object.hasOwn(CONFIDENCES, state.confidence)) state.confidence = "";
  if (!/^[1-9]\d{0,5}$/.test(state.page)) state.page = "";
  if (!state.cursor) state.page = "";
  return state;
}

/**
 * The address of a state.
 * @param {State} state
 */
function hash(state) {
  const parts = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS)) {
    if (state[key] && state[key] !== DEFAULTS[key]) parts.set(key, state[key]);
  }
  return `#${parts}`;
}

/**
 * The address after a change; whatever narrows or orders a list begins at its first page.
 * @param {Partial<State>} changes
 */
export function after(changes) {
  const fresh = [...FILTERS, "sort", "order", "view"].some((key) => key in changes);
  return hash({ ...read(), ...(fresh ? { cursor: "", page: "" } : {}), ...changes });
}

/** The cursors of the pages before the present one, as far as this tab walked them. @returns {string[]} */
export function trail() {
  return history.state?.trail ?? [];
}

let listener = () => {};
let shown = "";

/**
 * Calls a function now, and whenever the address changes, by whatever way.
 * @param {() => void} onChange
 */
export function follow(onChange) {
  listener = onChange;
  const changed = () => {
    if (location.hash !== shown) announce();
  };
  addEventListener("popstate", changed);
  addEventListener("hashchange", changed);
  announce();
}

/**
 * Goes to another state.
 * @param {Partial<State>} changes
 * @param {{replace?: boolean, trail?: string[]}} [options] replace: no step of its own for the back button.
 */
export function go(changes, { replace = false, trail: walked = [] } = {}) {
  const target = after(changes);
  if (target === hash(read())) return;
  history[replace ? "replaceState" : "pushState"]({ trail: walked }, "", target === "#" ? location.pathname : target);
  announce();
}

function announce() {
  shown = location.hash;
  listener();
}
