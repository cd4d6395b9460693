// A person's word on a version's parents: what was said, and the form to say more. It stands beside what the weights say.

import { busy, button, el } from "./dom.js";
import { moment, split, title } from "./words.js";

let forms = 0;

/**
 * What people said of a version, and what the user may say.
 * @param {object} about
 * @param {any} about.info The version.
 * @param {any[]} about.parents Its inferred edges.
 * @param {any[]} about.open Edges of undecided direction.
 * @param {any} about.answer
 * @param {import("./panel.js").Actions} about.actions
 */
export function deciding({ info, parents, open, answer, actions }) {
  const may = answer.can.decide && info.name === actions.name && info.status !== null;
  if (!may && !info.decisions.length) return null;
  const place = el("section", {}, el("h4", {}, "What people say"));
  if (info.decisions.length) place.append(el("ul", {}, ...info.decisions.map(word).reverse()));
  if (may) place.append(...choices(info, parents, open, answer, actions, place));
  return place;
}

function word(decision) {
  const said = {
    confirmed: `${title(decision.parent ?? "")} is its parent`,
    rejected: `${title(decision.parent ?? "")} is not its parent`,
    corrected: decision.parent === null ? "It has no parent" : `Its parent is ${title(decision.parent)}`,
  }[decision.kind];
  return el(
    "li",
    { class: "mother-word" },
    el("span", { class: `mother-chip ${decision.kind}` }, decision.kind),
    el("span", { class: "mother-line" }, said),
    decision.note && el("span", { class: "mother-line" }, `“${decision.note}”`),
    el("span", { class: "mother-soft mother-line" }, `${decision.by ?? "someone"}, ${moment(decision.at)}`),
  );
}

function choices(info, parents, open, answer, actions, place) {
  const failed = el("p", { class: "mother-error", role: "alert", hidden: true });
  const record = async (kind, parent, note) => {
    failed.hidden = true;
    try {
      await actions.api.post("decisions", { name: info.name, version: info.version, kind, parent, note });
      await actions.changed();
    } catch (error) {
      failed.textContent = error.message;
      failed.hidden = false;
    }
  };
  const send = (kind, parent, note = "") => busy([...place.querySelectorAll("button")], () => record(kind, parent, note));
  const rows = [...parents, ...open].map((edge) => {
    const parent = edge.child === info.id ? edge.parent : edge.child;
    return (
      split(parent) &&
      el(
        "div",
        { class: "mother-choice", role: "group", "aria-label": `Is ${title(parent)} the parent?` },
        el("span", { class: "mother-name" }, `Is ${title(parent)} its parent?`),
        button("Confirm", () => send("confirmed", parent)),
        button("Reject", () => send("rejected", parent)),
      )
    );
  });
  const form = correction(info, answer, send);
  const correct = button("Correct…", () => {
    form.hidden = !form.hidden;
    correct.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) form.querySelector("input").focus();
  }, { "aria-expanded": "false" });
  return [...rows.filter(Boolean), el("div", { class: "mother-choice" }, correct), form, failed];
}

function correction(info, answer, send) {
  const list = `mother-parents-${(forms += 1)}`;
  const parent = el("input", { type: "text", name: "parent", list, placeholder: "models:/name/version", maxlength: 1100, autocomplete: "off" });
  const note = el("input", { type: "text", name: "note", maxlength: 2000, autocomplete: "off" });
  const known = answer.tree.nodes.filter((node) => split(node.id) && node.id !== info.id).slice(0, 200);
  const submit = (event) => {
    event.preventDefault();
    send("corrected", parent.value.trim() || null, note.value);
  };
  return el(
    "form",
    { class: "mother-form", hidden: true, onsubmit: submit },
    el("label", {}, "Its parent; empty for none", parent),
    el("datalist", { id: list }, ...known.map((node) => el("option", { value: node.id }))),
    el("label", {}, "Remark", note),
    el("button", { type: "submit", class: "mother-button" }, "Save"),
  );
}
