// What is inside the tab: asks the API, follows an analysis in progress, and puts drawing, panel and actions together.

import { Api, ApiError } from "./api.js";
import { busy, button, el, refill, styles } from "./dom.js";
import { facts, panel } from "./panel.js";
import { isPassing, progressLine, refusal, stateNotice } from "./states.js";
import { drawTree } from "./tree.js";
import { counted, lead, moment, split } from "./words.js";

/** How much of a family is shown: the nearest relatives with all labels, then more of it, drawn smaller. */
const STEPS = [60, 300, 1000];
const SOON = 1_500;
const LATER = 5_000;
const FILES = { svg: "SVG", json: "JSON", graphml: "GraphML" };

export class Lineage {
  /**
   * @param {HTMLElement} place
   * @param {string} name The registered model.
   * @param {string | null} version One version of it; null for all of them.
   * @param {string} workspace The registry's, for as long as this is open; empty for none.
   */
  constructor(place, name, version, workspace = "") {
    this.api = new Api(workspace);
    this.name = name;
    this.version = version;
    this.step = 0;
    this.item = version ? { kind: "node", id: `models:/${name}/${version}` } : null;
    this.lead = el("p", { class: "mother-lead" });
    this.made = el("p", { class: "mother-soft mother-made", role: "status" });
    this.words = el("span");
    this.told = el("p", { class: "mother-told", role: "status" }, this.words);
    this.again = button("Analyse again", () => busy([this.again], () => this.#reanalyse()), { hidden: true });
    this.menu = this.#menu();
    this.notice = el("div", { class: "mother-notices" });
    this.drawing = el("div", { class: "mother-stage" });
    this.more = el("div", { class: "mother-more" });
    this.side = el("aside", { class: "mother-panel", "aria-label": "Details" });
    this.element = el(
      "div",
      { class: "mother-view mother-colours" },
      el("div", { class: "mother-head" }, this.lead, el("div", { class: "mother-actions" }, this.again, this.menu)),
      el("div", { class: "mother-foot" }, this.made, this.told),
      this.notice,
      el("div", { class: "mother-body" }, el("div", { class: "mother-left" }, this.drawing, this.more), this.side),
    );
    this.element.hidden = true;
    this.shown = "";
    /** Hears what was chosen in the tree. @type {(item: import("./tree.js").Item | null) => void} */
    this.onChoose = () => {};
    place.append(this.element);
    this.styled = styles("style.css", "tree.css").then(() => (this.element.hidden = false));
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
    this.#erase();
  }

  /** Points out a member of the family. @param {string} id */
  point(id) {
    const item = { kind: "node", id };
    if (this.answer) this.#choose(item, true);
    else this.item = item;
  }

  async #load() {
    clearTimeout(this.timer);
    this.request?.abort();
    const request = (this.request = new AbortController());
    this.element.setAttribute("aria-busy", String(!this.answer));
    if (!this.answer) this.lead.textContent = "Loading the lineage…";
    try {
      const parameters = { name: this.name, version: this.version, limit: STEPS[this.step] };
      const answer = await this.api.get(this.version ? "lineage" : "tree", parameters, request.signal);
      await this.styled;
      if (request === this.request && this.running) this.#show(answer);
    } catch (error) {
      if (request !== this.request || error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      this.#fail(error);
    } finally {
      if (request === this.request) this.element.removeAttribute("aria-busy");
    }
  }

  /** What is shown stays while the failure may pass. */
  #fail(error) {
    if (!this.answer || (error.status !== 0 && error.status < 500)) {
      this.#refuse(error);
      return;
    }
    if (this.step !== this.drawn) this.#tell(error.message);
    this.step = this.drawn;
    this.#follow();
  }

  #refuse(error) {
    this.answer = null;
    this.shown = "";
    this.lead.textContent = "";
    this.made.textContent = "";
    this.again.hidden = this.menu.hidden = true;
    this.#erase();
    this.more.replaceChildren();
    this.side.replaceChildren();
    this.element.classList.add("bare");
    this.notice.replaceChildren(refusal(error, () => this.#load()));
  }

  #erase() {
    this.tree?.leave();
    this.tree = null;
    this.drawing.replaceChildren();
  }

  #show(answer) {
    this.#follow(answer);
    const text_ = JSON.stringify(answer);
    const extended = this.step !== this.drawn;
    this.drawn = this.step;
    if (text_ === this.shown && !extended) return;
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
    if (!tree.nodes.length || extended) this.#erase();
    if (this.tree) this.tree.show(answer);
    else if (tree.nodes.length) this.tree = drawTree(this.drawing, answer, { selected: this.item, onSelect: (item) => this.#choose(item) });
    refill(this.more, this.#extent(answer));
    const writing = this.side.querySelector("form:not([hidden])") && !this.decided;
    if (!writing && this.described !== this.#facts()) this.#panel(); // Nobody's half-written remark is thrown away.
    this.decided = false;
  }

  /** What the panel is about, as text. */
  #facts() {
    return JSON.stringify([this.item, facts(this.item, this.answer)]);
  }

  #panel() {
    const actions = { api: this.api, choose: (item) => this.#choose(item, true), changed: () => this.#changed(), name: this.name };
    const back = this.item && !this.version && button("‹ All versions", () => this.#choose(null), { class: "mother-link mother-back" });
    refill(this.side, [back, ...panel(this.item, this.answer, actions)].filter(Boolean), "h3");
    this.described = this.#facts();
  }

  async #changed() {
    this.decided = true;
    this.#tell("Recorded.");
    await this.#load();
  }

  /** @param {import("./tree.js").Item | null} item @param {boolean} fromPanel The drawing has to follow. */
  #choose(item, fromPanel = item === null) {
    this.item = item;
    this.onChoose(item);
    if (fromPanel) this.tree?.select(item);
    if (fromPanel && item?.kind === "node") this.tree?.focus(item.id);
    this.#panel();
  }

  /** How much of the family is shown. */
  #extent(answer) {
    const next = STEPS[this.step + 1];
    const go = async (step) => {
      this.step = step;
      await this.#load();
    };
    const offer = (label, step) => {
      const one = button(label, () => busy([one], () => go(step)));
      return one;
    };
    const shown = counted(answer.tree.nodes.length, "model");
    const words = answer.truncated ? `The ${shown} nearest ${this.version ? "to this version" : "to its versions"}; the family has more.` : this.step > 0 ? `All ${shown} of the family.` : "";
    return [
      words && el("span", { class: "mother-soft" }, words),
      answer.truncated && next && offer(`Show up to ${next}`, this.step + 1),
      this.step > 0 && offer(`Show the nearest ${STEPS[0]}`, 0),
    ].filter(Boolean);
  }

  /** Looks again while something is going to change. */
  #follow(answer = this.answer) {
    clearTimeout(this.timer);
    this.waited = isPassing(answer) ? (this.waited ?? 0) + 1 : 0;
    if (this.waited && this.running) this.timer = setTimeout(() => document.hidden || this.#load(), this.waited < 40 ? SOON : LATER);
  }

  async #reanalyse() {
    try {
      await this.api.post("reanalyse", { name: this.name, version: this.version });
      this.#tell("Queued to be analysed again.");
      this.waited = 0;
      await this.#load();
    } catch (error) {
      this.#tell(error.message);
    }
  }

  #menu() {
    const asked = (format) => ({ name: this.name, version: this.version, format });
    const run = (job, done) => async () => {
      menu.open = false;
      menu.querySelector("summary").focus();
      try {
        await job();
        this.#tell(done);
      } catch (error) {
        this.#tell(error.message);
      }
    };
    const entry = (label, onclick) => el("li", {}, el("button", { type: "button", onclick }, label));
    const files = Object.entries(FILES).map(([format, label]) =>
      entry(`Download ${label}`, run(() => this.api.download("export", asked(format)), `${label} downloaded.`)),
    );
    const mermaid = entry("Copy as Mermaid", run(async () => copy(await this.api.text("export", asked("mermaid"))), "Copied as Mermaid."));
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
    this.words.textContent = words;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => (this.words.textContent = ""), 6_000);
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
