// A list that the API gives page by page: at most one page of it is ever in the document.

import { ApiError } from "../api.js";
import { go, read, trail, CONFIDENCES, FILTERS } from "./address.js";
import { button, el } from "../dom.js";
import { failed, nothing, waiting } from "./notices.js";
import { counted } from "../words.js";
import { number } from "./figures.js";
import { api } from "./registry.js";

const PAGE = 50;

/** What the address asks of the API. @param {string[]} names Parameters that the route knows. */
export function query(names) {
  const state = read();
  const asked = { ...state, ...CONFIDENCES[state.confidence]?.asks, include_alone: state.alone && "true" };
  return Object.fromEntries(names.filter((name) => asked[name]).map((name) => [name, asked[name]]));
}

export class List {
  /**
   * @param {object} options
   * @param {string} options.route Below the API's root.
   * @param {string[]} options.takes Parameters that the route knows.
   * @param {string} options.rows Name of the rows in its answers.
   * @param {[string, string]} options.noun One row, and several.
   * @param {import("./table.js").Table} options.table
   * @param {[string, string]} options.order Sort and order when the address names none.
   * @param {(answer: any) => Node | null} options.empty What to say when there is nothing to list, filters or not.
   * @param {(answer: any) => void} options.onAnswer
   */
  constructor({ route, takes, rows, noun, table, order, empty, onAnswer }) {
    Object.assign(this, { route, takes, rows, noun, table, order, empty, onAnswer });
    this.count = el("p", { class: "forest-count", role: "status" });
    this.previous = button("Previous", () => this.#back());
    this.next = button("Next", () => this.#on());
    this.range = el("span", { class: "forest-range" });
    this.pager = el("nav", { class: "forest-pager", "aria-label": "Pages" }, this.previous, this.range, this.next);
    this.notice = el("div");
    this.element = el("div", { class: "forest-list" }, this.notice, table.element, this.pager);
    this.asked = "";
    this.#reveal({});
  }

  /**
   * Shows what the address asks for, unless it is shown already.
   * @param {{quiet?: boolean}} [options] quiet: looks again at what is shown, without a sign of it.
   */
  async show({ quiet = false } = {}) {
    const asked = { limit: String(PAGE), ...query(this.takes) };
    const key = JSON.stringify(asked);
    if (quiet ? this.request || !this.answer : key === this.asked) return;
    this.asked = key;
    this.request?.abort();
    const request = (this.request = new AbortController());
    this.element.setAttribute("aria-busy", String(!quiet));
    const patience = setTimeout(() => !this.answer && this.#reveal({ notice: waiting() }), 150);
    try {
      const answer = await api.get(this.route, asked, request.signal);
      if (request !== this.request) return;
      if (!quiet || JSON.stringify(answer) !== JSON.stringify(this.answer)) this.#take(answer);
    } catch (error) {
      if (request !== this.request || quiet) return;
      this.asked = "";
      if (!(error instanceof ApiError)) throw error;
      this.answer = null;
      this.count.textContent = "";
      this.#reveal({ notice: failed(error, () => this.show()) });
    } finally {
      clearTimeout(patience);
      if (request === this.request) {
        this.request = null;
        this.element.setAttribute("aria-busy", "false");
      }
    }
  }

  #take(answer) {
    const rows = answer[this.rows];
    const state = read();
    const filtered = FILTERS.some((name) => name !== "alone" && state[name]);
    const page = Number(state.page) || 1;
    this.answer = answer;
    this.onAnswer(answer);
    this.table.show(rows, state.sort || this.order[0], state.order || this.order[1]);
    this.count.textContent = rows.length ? `${counted(answer.total, ...this.noun)}${filtered ? " found" : ""}` : "";
    const start = (page - 1) * PAGE;
    this.range.textContent = `${number(start + 1)}–${number(start + rows.length)} of ${number(answer.total)}`;
    this.previous.ariaDisabled = String(page === 1); // Not disabled: the keyboard's focus would be lost.
    this.next.ariaDisabled = String(!answer.next);
    if (rows.length) this.#reveal({ table: true, pager: page > 1 || Boolean(answer.next) });
    else this.#reveal({ notice: (filtered || page > 1 ? null : this.empty(answer)) ?? nothing() });
  }

  #reveal({ notice = null, table = false, pager = false }) {
    this.notice.replaceChildren(...(notice ? [notice] : []));
    this.table.element.hidden = !table;
    this.pager.hidden = !pager;
  }

  #on() {
    if (!this.answer.next) return;
    const page = Number(read().page) || 1;
    const walked = page === 1 ? [] : [...trail(), read().cursor];
    go({ cursor: this.answer.next, page: String(page + 1) }, { trail: walked });
    this.#top();
  }

  #back() {
    if (!read().cursor) return;
    const walked = trail();
    const cursor = walked.at(-1) ?? "";
    const page = cursor ? String(Number(read().page) - 1) : "";
    go({ cursor, page }, { trail: walked.slice(0, -1) });
    this.#top();
  }

  #top() {
    this.element.scrollIntoView({ block: "nearest" });
  }
}
