// What narrows the lists down: one search field, four choices.

import { go, CONFIDENCES, FILTERS } from "./address.js";
import { el } from "../dom.js";
import { RELATION_NAMES, VERDICTS } from "../words.js";
import { STATUSES } from "./figures.js";

const TYPING = 250;

const CHOICES = {
  relation: ["Relation", "Any relation", RELATION_NAMES.map((name) => [name, name])],
  verdict: ["Verdict", "Any verdict", Object.keys(VERDICTS).map((name) => [name, name])],
  status: ["Status", "Any status", STATUSES.map((name) => [name, name])],
  confidence: ["Probability", "Any probability", Object.entries(CONFIDENCES).map(([name, { words }]) => [name, words])],
};

export class Filters {
  constructor() {
    this.search = el("input", {
      type: "search", placeholder: "Search models", "aria-label": "Search models", "aria-keyshortcuts": "/",
      autocomplete: "off", spellcheck: "false", maxlength: "500",
    });
    this.choices = Object.fromEntries(Object.entries(CHOICES).map(([name, made]) => [name, this.#choice(name, ...made)]));
    this.alone = el("input", { type: "checkbox" });
    this.aloneLabel = el("label", { class: "forest-check" }, this.alone, "Include versions without relatives");
    this.clear = el("button", { type: "button", class: "mother-link" }, "Clear");
    this.element = el(
      "search", { class: "forest-filters" }, this.search, ...Object.values(this.choices), this.aloneLabel, this.clear,
    );
    this.search.addEventListener("input", () => this.#typed());
    this.search.addEventListener("keydown", (event) => event.key === "Enter" && this.#searchNow());
    this.alone.addEventListener("change", () => this.#choose({ alone: this.alone.checked ? "1" : "" }));
    this.clear.addEventListener("click", () => {
      this.search.focus();
      go(Object.fromEntries(FILTERS.map((name) => [name, ""])));
    });
    addEventListener("keydown", (event) => this.#shortcut(event));
  }

  /** Follows the address. @param {import("./address.js").State} state */
  show(state) {
    clearTimeout(this.pause);
    if (this.search.value.trim() !== state.q) this.search.value = state.q;
    for (const [name, select] of Object.entries(this.choices)) {
      select.value = state[name];
      select.classList.toggle("forest-set", Boolean(state[name]));
    }
    this.alone.checked = Boolean(state.alone);
    this.aloneLabel.hidden = state.view !== "families";
    this.clear.hidden = !FILTERS.some((name) => state[name]);
  }

  #choice(name, label, any, options) {
    const select = el("select", { "aria-label": label }, el("option", { value: "" }, any));
    select.append(...options.map(([value, text]) => el("option", { value }, text)));
    select.addEventListener("change", () => this.#choose({ [name]: select.value }));
    return select;
  }

  #choose(change) {
    go({ ...change, q: this.search.value.trim() }); // Typed, perhaps, a moment ago.
  }

  #typed() {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.#searchNow(), TYPING);
  }

  #searchNow() {
    go({ q: this.search.value.trim() }, { replace: true });
  }

  #shortcut(event) {
    const elsewhere = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || elsewhere) return;
    if (!this.element.checkVisibility()) return;
    event.preventDefault();
    this.search.focus();
  }
}
