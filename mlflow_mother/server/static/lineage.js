// What is inside the tab: asks the API, follows an analysis in progress, and puts drawing, panel and actions together.

import { ApiError, download, get, post, text } from "./api.js";
import { button, el, styles } from "./dom.js";
import { panel } from "./panel.js";
import { isPassing, progressLine, refusal, stateNotice } from "./states.js";
import { drawTree } from "./tree.js";
import { counted, lead, moment, split } from "./words.js";

/** How much of a family is shown: the nearest relatives with all labels, then more of it, drawn smaller. */
const STEPS = [60, 300, 1000];
const SOON = 1_500;
const LATER = 5_000;
const FILES = { svg: ["SVG", "svg"], json: ["JSON", "json"], graphml: ["GraphML", "graphml"] };

const styled = styles("style.css", "tree.css");

export class Lineage {
  /**
   * @param {HTMLElement} place
   * @param {string} name The registered model.
   * @param {string | null} version One version of it; null for all of them.
   */
  constructor(place, name, version) {
    this.name = name;
    this.version = version;
    this.step = 0;
    this.item = version ? { kind: "node", id: `models:/${name}/${version}` } : null;
    this.lead = el("p", { class: "mother-lead" });
    this.made = el("p", { class: "mother-soft mother-made", role: "status" });
    this.again = button("Analyse again", () => this.#reanalyse(), { hidden: true });
    this.menu = this.#menu();
    this.notice = el("div", { class: "mother-notices" });
    this.told = el("p", { class: "mother-told", role: "status" });
    this.drawing = el("div", { class: "mother-stage" });
    this.more = el("div", { class: "mother-more" });
    this.side = el("aside", { class: "mother-panel", "aria-label": "Details" });
    const actions = el("div", { class: "mother-actions" }, this.again, this.menu);
    this.element = el(
      "div",
      { class: "mother-view mother-colours" },
      el("div", { class: "mother-head" }, el("div", {}, this.lead, this.made), actions),
      this.notice,
      this.told,
      el("div", { class: "mother-body" }, el("div", { class: "mother-left" }, this.drawing, this.more), this.side),
    );
    this.element.hidden = true;
    this.shown = "";
    /** Hears what was chosen in the tree. @type {(item: import("./tree.js").Item | null) => void} */
    this.onChoose = () => {};
    place.append(this.element);
    styled.then(() => (this.element.hidden = false));
    this.wake = () => document.hidden || this.#load();
  }

  /** The tab was opened. */
  resume() {
    if (this.running) return;
    this.running = true;
    document.addEventListener("visibilitychange", this.wake);
    this.#load();
  }

  /** Another tab was opened. */
  pause() {
    this.running = false;
    document.removeEventListener("visibilitychange", this.wake);
    clearTimeout(this.timer);
    this.request?.abort();
  }

  /** The page is left. */
  leave() {
    this.pause();
    this.tree?.leave();
  }

  async #load() {
    clearTimeout(this.timer);
    this.request?.abort();
    const request = (this.request = new AbortController());
    this.element.setAttribute("aria-busy", String(!this.answer));
    if (!this.answer) this.lead.textContent = "Loading the lineage…";
    try {
      const parameters = { name: this.name, version: this.version, limit: STEPS[this.step] };
      const answer = await get(this.version ? "lineage" : "tree", parameters, request.signal);
      await styled;
      if (request === this.request && this.running) this.#show(answer);
    } catch (error) {
      if (request !== this.request || error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      if (this.answer && error.status === 0) this.#follow();
      else this.#refuse(error);
    } finally {
      if (request === this.request) this.element.removeAttribute("aria-busy");
    }
  }

  #refuse(error) {
    this.answer = null;
    this.shown = "";
    this.lead.textContent = "";
    this.made.textContent = "";
    this.again.hidden = this.menu.hidden = true;
    this.tree?.leave();
    this.tree = null;
    this.drawing.replaceChildren();
    this.more.replaceChildren();
    this.side.replaceChildren();
    this.element.classList.add("bare");
    this.notice.replaceChildren(refusal(error, () => this.#load()));
  }

  #show(answer) {
    this.#follow(answer);
    const text_ = JSON.stringify(answer);
    if (text_ === this.shown) return;
    this.shown = text_;
    this.answer = answer;
    const { tree, subject } = answer;
    this.lead.textContent = subject ? lead(tree, subject, answer.state) : summary(answer);
    const busy = progressLine(answer);
    this.made.classList.toggle("busy", busy !== "");
    this.made.textContent = busy ? `${busy} This page follows it.` : answer.inferred_at ? `Inferred from the weights on ${moment(answer.inferred_at)}${answer.engine ? `, engine ${answer.engine}` : ""}.` : "";
    this.again.hidden = !(answer.can.reanalyse && subject && answer.state !== "ignored");
    this.menu.hidden = !tree.nodes.length;
    const notice = stateNotice(answer);
    this.notice.replaceChildren(...(notice ? [notice] : []));
    this.element.classList.toggle("bare", !tree.nodes.length);
    if (!tree.nodes.length) this.drawing.replaceChildren();
    else if (this.tree) this.tree.show(answer);
    else this.tree = drawTree(this.drawing, answer, { selected: this.item, onSelect: (item) => this.#choose(item) });
    this.more.replaceChildren(...this.#extent(answer));
    const writing = this.side.querySelector("form:not([hidden])") && !this.decided;
    if (!writing) this.#panel(); // Nobody's half-written remark is thrown away.
    this.decided = false;
  }

  #panel() {
    const actions = { choose: (item) => this.#choose(item, true), changed: () => this.#changed(), name: this.name };
    const focused = this.side.contains(document.activeElement);
    this.side.replaceChildren(...panel(this.item, this.answer, actions).filter(Boolean));
    if (this.item && !this.version) this.side.prepend(button("‹ All versions", () => this.#choose(null), { class: "mother-link mother-back" }));
    if (focused) this.side.querySelector("h3")?.focus();
  }

  #changed() {
    this.decided = true;
    this.#load();
  }

  /** @param {import("./tree.js").Item | null} item @param {boolean} fromPanel The drawing has to follow. */
  #choose(item, fromPanel = item === null) {
    this.item = item;
    this.onChoose(item);
    if (fromPanel) this.tree.select(item);
    if (fromPanel && item?.kind === "node") this.tree.focus(item.id);
    this.#panel();
  }

  /** How much of the family is shown. */
  #extent(answer) {
    const next = STEPS[this.step + 1];
    const go = (step) => () => {
      this.step = step;
      this.tree?.leave();
      this.tree = null;
      this.#load();
    };
    const shown = counted(answer.tree.nodes.length, "model");
    const words = answer.truncated ? `The ${shown} nearest ${this.version ? "to this version" : "to its versions"}; the family has more.` : this.step > 0 ? `All ${shown} of the family.` : "";
    return [
      words && el("span", { class: "mother-soft" }, words),
      answer.truncated && next && button(`Show up to ${next}`, go(this.step + 1)),
      this.step > 0 && button(`Show the nearest ${STEPS[0]}`, go(0)),
    ].filter(Boolean);
  }

  /** Looks again while something is going to change. */
  #follow(answer = this.answer) {
    clearTimeout(this.timer);
    this.waited = isPassing(answer) ? (this.waited ?? 0) + 1 : 0;
    if (this.waited && this.running) this.timer = setTimeout(() => document.hidden || this.#load(), this.waited < 40 ? SOON : LATER);
  }

  async #reanalyse() {
    this.again.disabled = true;
    try {
      await post("reanalyse", { name: this.name, version: this.version });
      this.#tell("Queued to be analysed again.");
      this.waited = 0;
      await this.#load();
    } catch (error) {
      this.#tell(error.message || "The server did not answer.");
    } finally {
      this.again.disabled = false;
    }
  }

  #menu() {
    const asked = (format) => ({ name: this.name, version: this.version, format });
    const stem = `lineage-${this.name}${this.version ? `-v${this.version}` : ""}`.replace(/[^\w.-]+/g, "_");
    const run = (job, done) => async () => {
      menu.open = false;
      menu.querySelector("summary").focus();
      try {
        await job();
        this.#tell(done);
      } catch (error) {
        this.#tell(error.message || "That did not work.");
      }
    };
    const entry = (label, onclick) => el("li", {}, el("button", { type: "button", onclick }, label));
    const files = Object.entries(FILES).map(([format, [label, suffix]]) =>
      entry(`Download ${label}`, run(() => download("export", asked(format), `${stem}.${suffix}`), `${label} downloaded.`)),
    );
    const mermaid = entry("Copy as Mermaid", run(async () => copy(await text("export", asked("mermaid"))), "Copied as Mermaid."));
    const menu = el("details", { class: "mother-menu", hidden: true }, el("summary", { class: "mother-button" }, "Export"), el("ul", {}, mermaid, ...files));
    const outside = (event) => menu.contains(event.target) || (menu.open = false);
    menu.addEventListener("toggle", () => {
      if (menu.open) addEventListener("pointerdown", outside);
      else removeEventListener("pointerdown", outside);
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    return menu;
  }

  #tell(words) {
    this.told.textContent = words;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => (this.told.textContent = ""), 6_000);
  }
}

function summary({ tree, model }) {
  const { nodes, edges } = tree;
  if (!nodes.length) return "";
  const own = counted(model.versions.length, "version");
  const others = nodes.filter((node) => node.kind === "model" && split(node.id)?.name !== model.name).length;
  if (!edges.length) return `${own}, none with relatives among the known models yet.`;
  return others ? `${own}, and ${counted(others, "relative")} in other registered models.` : `${own}; their relatives are all in this registered model.`;
}

/** Puts text into the clipboard, also on servers without https, where browsers have no interface for it. */
async function copy(words) {
  if (navigator.clipboard) return navigator.clipboard.writeText(words);
  const field = el("textarea", { class: "mother-unseen", "aria-hidden": "true" });
  field.value = words;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("The browser did not allow to copy.");
}
