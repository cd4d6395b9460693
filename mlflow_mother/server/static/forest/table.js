// A table of which some columns sort the list behind it.

import { el } from "../dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} label Its heading.
 * @property {string} name Class of its cells.
 * @property {string} [sort] What the API calls an order by this column.
 * @property {"asc" | "desc"} [first] The order that its first click asks for.
 * @property {boolean} [oneWay] Whether that is the only order there is.
 * @property {(row: Row) => (Node | string)[]} cell A row's cell; empty where there is nothing to say.
 */

export class Table {
  /**
   * @param {object} options
   * @param {string} options.caption What the table lists, for those who do not see it.
   * @param {string} options.name Class of the table.
   * @param {Column<any>[]} options.columns
   * @param {(row: any) => string} options.id A row's lasting name.
   * @param {boolean} [options.opens] Whether a click anywhere on a row follows its first link.
   * @param {(sort: string, order: string) => void} options.onSort
   */
  constructor({ caption, name, columns, id, opens = false, onSort }) {
    this.columns = columns;
    this.id = id;
    this.onSort = onSort;
    this.heads = columns.map((column) => this.#head(column));
    // In narrow windows rows are blocks, and only the roles still say that this is a table.
    this.body = el("tbody", { role: "rowgroup" });
    this.element = el(
      "table",
      { class: `forest-table ${name}`, role: "table" },
      el("caption", { class: "forest-unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...this.heads)),
      this.body,
    );
    if (opens) this.body.addEventListener("click", follow);
    this.element.classList.toggle("forest-opens", opens);
  }

  /**
   * Shows rows instead of those before; the keyboard stays where it was.
   * @param {any[]} rows
   * @param {string} sort
   * @param {string} order
   */
  show(rows, sort, order) {
    const focused = document.activeElement;
    const held = this.body.contains(focused) ? focused.closest("tr").dataset.id : null;
    this.body.replaceChildren(...rows.map((row) => this.#row(row)));
    this.columns.forEach((column, i) => {
      if (!column.sort) return;
      const direction = column.oneWay ? column.first : order;
      this.heads[i].setAttribute("aria-sort", column.sort === sort ? `${direction}ending` : "none");
    });
    this.sorted = { sort, order };
    if (held !== null) this.focus(held);
  }

  /** Leads the keyboard to a row, if it is there. @param {string} id */
  focus(id) {
    const row = [...this.body.rows].find((one) => one.dataset.id === id);
    row?.querySelector("a").focus({ preventScroll: true });
  }

  #head(column) {
    const properties = { scope: "col", role: "columnheader", class: column.name };
    if (!column.sort) return el("th", properties, column.label);
    const button = el("button", { type: "button" }, column.label, el("span", { class: "forest-arrow", "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      const { sort, order } = this.sorted;
      if (sort !== column.sort) this.onSort(column.sort, column.first);
      else if (!column.oneWay) this.onSort(sort, order === "asc" ? "desc" : "asc");
    });
    return el("th", { ...properties, "aria-sort": "none" }, button);
  }

  #row(row) {
    const cells = this.columns.map((column, i) => {
      const content = column.cell(row);
      const properties = { class: content.length ? column.name : `${column.name} forest-blank`, "data-label": column.label };
      return i === 0 ? el("th", { scope: "row", role: "rowheader", ...properties }, ...content) : el("td", { role: "cell", ...properties }, ...content);
    });
    const element = el("tr", { role: "row" }, ...cells);
    element.dataset.id = this.id(row);
    return element;
  }
}

/** Follows a row's link wherever it is clicked; not when its text was selected, nor for a link of its own. */
function follow(event) {
  if (event.target.closest("a, button") || String(getSelection())) return;
  const link = event.target.closest("tr").querySelector("a");
  link.focus({ preventScroll: true });
  link.click();
}
