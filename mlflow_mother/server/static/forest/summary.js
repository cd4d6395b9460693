// The registry in numbers: how much there is, what needs attention, and what is still being read.

import { go, read } from "./address.js";
import { el } from "../dom.js";
import { counted, moment, VERDICTS } from "../words.js";
import { number } from "./figures.js";

const SILENT = 180;

export class Summary {
  constructor() {
    this.sizes = el("dl", { class: "forest-sizes" });
    this.verdicts = Object.fromEntries(Object.entries(VERDICTS).map(([name, words]) => [name, this.#verdict(name, words)]));
    const tiles = Object.values(this.verdicts).map(({ button }) => el("li", {}, button));
    this.element = el(
      "section", { class: "forest-summary", "aria-label": "The registry" }, this.sizes,
      el("ul", { class: "forest-verdicts", "aria-label": "Filter by verdict" }, ...tiles),
    );
    this.element.hidden = true;
  }

  /** Shows counts. @param {{versions: number, families: number, alone: number, by_verdict: Record<string, number>}} totals */
  show(totals) {
    const sizes = [
      [totals.versions, totals.versions === 1 ? "version" : "versions"],
      [totals.families, totals.families === 1 ? "family" : "families"],
      [totals.alone, "without relatives"],
    ];
    this.sizes.replaceChildren(
      ...sizes.map(([count, noun]) => el("div", {}, el("dt", {}, noun), el("dd", {}, number(count)))),
    );
    for (const [name, { button, count }] of Object.entries(this.verdicts)) {
      const found = totals.by_verdict[name] ?? 0;
      count.textContent = number(found);
      button.classList.toggle("forest-none", !found);
    }
    this.element.hidden = totals.versions === 0;
  }

  /** Marks the verdict that the lists are filtered by. @param {string} verdict */
  mark(verdict) {
    for (const [name, { button }] of Object.entries(this.verdicts)) {
      button.setAttribute("aria-pressed", String(name === verdict));
    }
  }

  #verdict(name, words) {
    const count = el("b", {});
    const tag = el("span", { class: `forest-tag ${name}` }, name);
    const button = el("button", { type: "button", title: words, "aria-pressed": "false" }, count, tag);
    button.addEventListener("click", () => go({ verdict: read().verdict === name ? "" : name }));
    return { button, count };
  }
}

export class Progress {
  constructor() {
    this.words = el("span", {});
    this.bar = el("progress", { "aria-label": "Versions analysed" });
    this.element = el("div", { class: "forest-progress", role: "status" }, this.words, this.bar);
    this.status = null;
    this.totals = null;
  }

  /** Whether anything is being read, as far as the user may know. */
  get busy() {
    const queue = this.status?.queue;
    return Boolean(queue && queue.waiting + queue.working > 0) || Boolean(this.totals?.by_status.pending);
  }

  /** @param {object | null} status What the API says of the server. @param {object | null} totals Of the forest. */
  show(status, totals) {
    this.status = status ?? this.status;
    this.totals = totals ?? this.totals;
    const pending = this.totals?.by_status.pending ?? 0;
    const versions = this.totals?.versions ?? 0;
    const words = this.#words(pending, versions);
    if (this.words.textContent !== words) this.words.textContent = words;
    this.bar.hidden = !pending;
    this.bar.max = Math.max(versions, 1);
    this.bar.value = versions - pending;
    this.element.classList.toggle("forest-late", Boolean(this.#silence()));
    this.element.title = this.#silence();
  }

  #words(pending, versions) {
    if (!this.totals || !versions) return "";
    if (this.#silence()) return `${counted(this.status.queue.waiting, "version")} waiting, and no worker at work`;
    if (!pending) return this.busy ? "Looking at versions again" : "All versions are analysed";
    return `${number(versions - pending)} of ${counted(versions, "version")} analysed`;
  }

  /** What is known of a worker that is missing while versions wait; empty when none is missing. */
  #silence() {
    if (!this.status?.queue?.waiting) return "";
    const seen = this.status.worker_seen_at;
    if (!seen) return "No worker has been here yet.";
    return Date.now() / 1000 - seen < SILENT ? "" : `The worker was last seen on ${moment(seen)}.`;
  }
}
