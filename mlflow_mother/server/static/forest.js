// The page about the whole registry: its families, the audit, and the tree of one family.

import { el } from "./dom.js";
import { after, follow, read } from "./forest/address.js";
import { audit } from "./forest/audit.js";
import { families } from "./forest/families.js";
import { Family } from "./forest/family.js";
import { Filters } from "./forest/filters.js";
import { api, isLeft } from "./forest/registry.js";
import { Progress, Summary } from "./forest/summary.js";
import { title } from "./words.js";

const SOON = 5_000;
const LATER = 60_000;
const NAME = "Model lineage";
const VIEWS = { families: "Families", audit: "Audit" };

const summary = new Summary();
const progress = new Progress();
const filters = new Filters();
const family = new Family();
const { list: rows, save } = audit();
const lists = { families: families(count), audit: rows };

const way = el("nav", { class: "forest-way", "aria-label": "Breadcrumb" });
const heading = el("h1", { tabindex: -1 });
const links = Object.fromEntries(Object.entries(VIEWS).map(([view, name]) => [view, el("a", {}, name)]));
const tools = el("div", { class: "forest-tools" });
const overview = el(
  "div",
  { class: "forest-overview" },
  summary.element,
  el("nav", { class: "forest-views", "aria-label": "Lists" }, ...Object.values(links)),
  filters.element,
  tools,
  ...Object.values(lists).map((list) => list.element),
);
const header = el("header", { class: "forest-header" }, way, heading, progress.element);
document.getElementById("forest").append(header, overview, family.element);

let left = { scroll: 0, row: "" };

/** Shows what the address says. */
function show() {
  if (isLeft()) {
    location.reload(); // Nothing of this registry stays.
    return;
  }
  const state = read();
  const name = state.family ? title(state.family) : NAME;
  if (heading.textContent !== name) heading.textContent = name;
  document.title = `${name} · ${state.family ? NAME : VIEWS[state.view]}`;
  const models = api.workspace ? `../#/models?workspace=${encodeURIComponent(api.workspace)}` : "../#/models";
  const steps = [el("a", { href: models }, "Models"), state.family && el("a", { href: after({ family: "", node: "" }) }, NAME)];
  way.replaceChildren(...steps.filter(Boolean));
  if (state.family) open(state);
  else close(state);
}

function open(state) {
  if (!overview.hidden) {
    left = { scroll: scrollY, row: document.activeElement.closest("tr")?.dataset.id ?? "" };
    overview.hidden = true;
    family.element.hidden = false;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  family.show(state);
}

function close(state) {
  const returning = overview.hidden;
  family.leave();
  family.element.hidden = true;
  overview.hidden = false;
  list(state);
  if (!returning) return;
  scrollTo(0, left.scroll);
  lists[state.view].table.focus(left.row);
}

function list(state) {
  summary.mark(state.verdict);
  filters.show(state);
  for (const [view, link] of Object.entries(links)) {
    link.href = after({ view, sort: "", order: "" });
    if (view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    lists[view].element.hidden = view !== state.view;
  }
  tools.replaceChildren(lists[state.view].count, ...(state.view === "audit" ? [save] : []));
  lists[state.view].show();
}

function count(totals) {
  summary.show(totals);
  progress.show(null, totals);
  overview.classList.toggle("forest-bare", totals.versions === 0);
}

let next = 0;

/** Looks at the server from time to time, and more often while it works; not while nobody looks at the page. */
async function watch() {
  clearTimeout(next);
  if (document.hidden) return;
  try {
    await look();
  } finally {
    clearTimeout(next);
    next = setTimeout(watch, progress.busy ? SOON : LATER);
  }
}

async function look() {
  const status = await api.get("status").catch(() => null);
  if (status === null) return;
  const again = progress.status !== null; // At first the list is on its way by itself.
  progress.show(status, null);
  const state = read();
  if (again && !state.family) await lists[state.view].show({ quiet: true });
  if (state.view === "families" && !state.family) return; // The list counts by itself.
  const forest = await api.get("forest", { limit: 1 }).catch(() => null);
  if (forest) count(forest.totals);
}

follow(show);
watch();
document.addEventListener("visibilitychange", watch);
addEventListener("storage", () => isLeft() && location.reload());
