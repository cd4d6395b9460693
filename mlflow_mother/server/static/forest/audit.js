// The audit: for every version what is declared beside what its weights show.

import { go } from "./address.js";
import { date, likely, tag, version, versions } from "./cells.js";
import { busy, button, el } from "../dom.js";
import { List, query } from "./list.js";
import { notice } from "./notices.js";
import { api } from "./registry.js";
import { Table } from "./table.js";
import { VERDICTS } from "../words.js";
import { TROUBLES } from "./figures.js";

const FILTERS = ["q", "verdict", "relation", "status", "min_confidence", "max_confidence", "sort", "order"];

/** The list, and the button that saves all of it. */
export function audit() {
  const table = new Table({
    caption: "Declared and inferred parents of every model version",
    name: "forest-audit",
    id: (row) => row.id,
    onSort: (sort, order) => go({ sort, order }),
    columns: [
      { label: "Version", name: "version", sort: "name", first: "asc", cell: (row) => [version(row.id)] },
      { label: "Verdict", name: "verdict", sort: "verdict", first: "asc", cell: verdict },
      { label: "Declared parent", name: "declared", cell: (row) => versions(row.declared) },
      { label: "Inferred parent", name: "inferred", cell: (row) => versions(row.inferred) },
      { label: "Relation", name: "relation", cell: relation },
      { label: "Probability", name: "probability", sort: "probability", first: "asc", cell: (row) => likely(row.probability) },
      { label: "Registered", name: "registered", sort: "registered", first: "desc", cell: (row) => date(row.registered_at) },
      { label: "Note", name: "note", cell: note },
    ],
  });
  const list = new List({
    route: "audit",
    takes: [...FILTERS, "cursor"],
    rows: "rows",
    noun: ["version", "versions"],
    table,
    order: ["verdict", "asc"],
    empty: () => notice("No model versions yet", ["Register one, from any client, and its audit appears here."]),
    onAnswer: () => {},
  });
  return { list, save: save() };
}

function save() {
  const download = async () => {
    try {
      await api.download("audit.csv", query(FILTERS));
      saving.textContent = "Download CSV";
      saving.title = "";
    } catch (error) {
      saving.textContent = "Download failed: try again";
      saving.title = error.message;
    }
  };
  const saving = button("Download CSV", () => busy([saving], download));
  return saving;
}

/** The verdict; what could not be analysed is undecided for a reason that says more. */
function verdict(row) {
  const trouble = TROUBLES.includes(row.status);
  return [el("span", { title: VERDICTS[row.verdict] }, tag(trouble ? row.status : row.verdict))];
}

function relation(row) {
  return row.relation ? [el("span", { class: `forest-tag r-${row.relation}` }, row.relation)] : [];
}

function note(row) {
  const found = row.note ? [el("span", { class: "forest-text" }, row.note)] : [];
  const remark = row.decision?.note;
  if (remark) found.push(el("div", { class: "mother-soft forest-text" }, `“${remark}”`));
  return found;
}
