// The bar [Overview | Lineage] on MLflow's registered-model and model-version pages.
//
// MLflow's pages have no place for tabs of others. The bar stands behind the heading; while Lineage is chosen, the
// page's own sections are hidden by a style rule and left alone otherwise. What is inside the tab is only loaded when
// somebody opens it, and on all other pages an observed change costs the comparison of two strings.

import { workspace } from "./workspace.js";

const ROUTE = /^#\/models\/([^/?]+)(?:\/versions\/([1-9]\d*))?\/?(?:\?(.*))?$/;
const TABS = { overview: "Overview", lineage: "Lineage" };
const VIEW = "mother-lineage";

/** @typedef {{name: string, version: string | null, workspace: string, open: boolean}} Page */
/** @typedef {{header: Element, host: Element, bar: HTMLElement, view: HTMLElement, key: string, lineage: any}} Mounted */

/** @type {Mounted | null} */
let mounted = null;
let seen = "";

/** The page that an address is about; null for all other pages. @returns {Page | null} */
function read(hash) {
  const match = ROUTE.exec(hash);
  if (!match) return null;
  try {
    const parameters = new URLSearchParams(match[3] ?? "");
    const [name, version = null] = [decodeURIComponent(match[1]), match[2]];
    return { name, version, workspace: workspace(parameters), open: parameters.get("tab") === "lineage" };
  } catch {
    return null; // No escaping that a name could have.
  }
}

/** The heading of a model's page, the parts of which have held over years of MLflow's builds. */
function heading() {
  const main = document.querySelector("main") ?? document.getElementById("root");
  const way = main?.querySelector('[class*="-breadcrumb"]');
  const title = main?.querySelector("h2");
  if (!way || !title || !way.querySelector('a[href*="#/models"]')) return null;
  let header = title.parentElement;
  while (header && !header.contains(way)) header = header.parentElement;
  return header && header !== main && main.contains(header) ? header : null;
}

function sync() {
  const hash = location.hash;
  if (hash === seen && (mounted ? isWhole() : !ROUTE.test(hash))) return;
  seen = hash;
  const page = read(hash);
  const header = page && heading();
  if (!header) {
    unmount();
    return;
  }
  const key = JSON.stringify([page.name, page.version, page.workspace]);
  if (!mounted || mounted.header !== header || mounted.key !== key || !isWhole()) {
    unmount();
    mount(header, key);
  }
  choose(page);
}

/** Whether the bar is where it was put. */
function isWhole() {
  return mounted.bar.isConnected && mounted.header.nextSibling === mounted.bar;
}

function mount(header, key) {
  const bar = document.createElement("div");
  bar.className = "mother-tabs";
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", "Parts of this page");
  for (const [tab, label] of Object.entries(TABS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.id = `mother-tab-${tab}`;
    button.textContent = label;
    button.dataset.tab = tab;
    button.setAttribute("role", "tab");
    button.addEventListener("click", () => go(tab));
    bar.append(button);
  }
  bar.querySelector("[data-tab=lineage]").setAttribute("aria-controls", VIEW);
  bar.addEventListener("keydown", walk);
  const view = document.createElement("div");
  view.className = "mother-tab";
  view.id = VIEW;
  view.hidden = true;
  view.setAttribute("role", "tabpanel");
  view.setAttribute("aria-labelledby", "mother-tab-lineage");
  header.setAttribute("data-mother-header", "");
  header.after(bar, view);
  mounted = { header, host: header.parentElement, bar, view, key, lineage: null };
}

function unmount() {
  if (!mounted) return;
  mounted.lineage?.leave();
  mounted.bar.remove();
  mounted.view.remove();
  mounted.header.removeAttribute("data-mother-header");
  mounted.host.removeAttribute("data-mother-tab");
  mounted = null;
}

/** @param {Page} page */
function choose(page) {
  const { host, bar, view } = mounted;
  const chosen = page.open ? "lineage" : "overview";
  if (host.getAttribute("data-mother-tab") === chosen) return;
  host.setAttribute("data-mother-tab", chosen);
  for (const button of bar.children) {
    const selected = button.dataset.tab === chosen;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  view.hidden = !page.open;
  if (page.open) open(mounted, page);
  else mounted.lineage?.pause();
}

/** @param {Mounted} place @param {Page} page */
async function open(place, page) {
  try {
    const { Lineage } = await import("./lineage.js");
    if (place !== mounted) return;
    place.lineage ??= new Lineage(place.view, page.name, page.version, page.workspace);
    if (!place.view.hidden) place.lineage.resume();
  } catch {
    place.view.textContent = "The Lineage tab could not be loaded from the server. Reload the page to try again.";
  }
}

/** Shows a tab, as a step of its own for the back button. */
function go(tab) {
  const [path, query] = location.hash.split("?");
  const parameters = new URLSearchParams(query);
  if (tab === "lineage") parameters.set("tab", tab);
  else parameters.delete("tab");
  const target = parameters.size ? `${path}?${parameters}` : path;
  if (target !== location.hash) history.pushState(history.state, "", target);
  sync();
}

/** @param {KeyboardEvent} event */
function walk(event) {
  const tabs = [...mounted.bar.children];
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  const next = tabs[(to + tabs.length) % tabs.length];
  next.focus();
  go(next.dataset.tab);
}

// Before the browser paints: the bar and the heading appear in the same frame.
new MutationObserver(sync).observe(document.documentElement, { childList: true, subtree: true });
addEventListener("hashchange", sync);
addEventListener("popstate", sync);
sync();
