// The signs that a drawing uses, below it.

import { draw, el } from "./dom.js";
import { isWeak, RELATION_NAMES, WEAK_BELOW } from "./words.js";

/** Entries of the legend. @param {import("./tree.js").View} view */
export function legend({ tree, subject, versions, layout }) {
  const counts = new Map();
  for (const edge of tree.edges) counts.set(edge.relation, (counts.get(edge.relation) ?? 0) + 1);
  const entries = RELATION_NAMES.filter((relation) => counts.has(relation)).map((relation) =>
    entry(wire(`edge r-${relation}`), `${relation} (${counts.get(relation)})`),
  );
  const sign = (there, mark, words) => there && entries.push(entry(mark(), words));
  const { nodes, edges } = tree;
  sign(edges.some((e) => e.direction === "undecided"), () => wire("edge undecided"), "direction undecided");
  sign(edges.some((e) => e.direction === "decided" && isWeak(e.probability)), () => wire("edge weak"), `probability below ${WEAK_BELOW}`);
  sign(nodes.some((n) => n.kind === "unregistered"), () => box("unregistered"), "unregistered ancestor");
  sign(nodes.some((n) => n.verdict === "conflict"), () => box("conflict"), "declared parent disagrees");
  sign(nodes.some((n) => ["failed", "unsupported"].includes(n.status)), () => box("trouble"), "could not be read");
  sign(nodes.some((n) => n.status === "pending"), () => box("pending"), "not analysed yet");
  sign(nodes.some((n) => n.id === subject), () => box("current"), "this version");
  sign(layout.dense && nodes.some((n) => n.aliases.length), () => dot("alias"), "has an alias");
  sign(layout.dense && Object.values(versions).some((v) => v.stage), () => dot("stage"), "has a stage");
  return entries;
}

function entry(mark, words) {
  return el("li", {}, mark, words);
}

function mark(...parts) {
  return draw("svg", { class: "mother-drawing", width: 22, height: 14, viewBox: "0 0 22 14", "aria-hidden": "true" }, ...parts);
}

function wire(classes) {
  return mark(draw("g", { class: classes }, draw("path", { class: "wire", d: "M1 7h20" })));
}

function box(classes) {
  return mark(draw("g", { class: `node ${classes}` }, draw("rect", { class: "box", x: 1, y: 1.5, width: 20, height: 11, rx: 3 })));
}

function dot(kind) {
  return mark(draw("circle", { class: `dot ${kind}`, cx: 11, cy: 7, r: 4 }));
}
