// What boxes and lines of the drawing carry beside their text: chips, tooltips, and words for screen readers.

import { clean, draw } from "./dom.js";
import { probability, sentence, share, title, VERDICTS } from "./words.js";

const CHIP = { size: 10, height: 15, padding: 5, gap: 4, most: 96 };

let pen = null;

/** Width of a chip's text, measured without asking the page for a layout. */
function wide(text) {
  if (!pen) {
    pen = document.createElement("canvas").getContext("2d");
    pen.font = `600 ${CHIP.size}px -apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif`;
  }
  return pen.measureText(text).width;
}

function shortened(text) {
  if (wide(text) <= CHIP.most) return text;
  let kept = Math.min(text.length, 24);
  while (kept > 1 && wide(`${text.slice(0, kept)}…`) > CHIP.most) kept -= 1;
  return `${text.slice(0, kept)}…`;
}

/** Stage and aliases on the upper edge of a box; a box of one line has room for a dot only. */
export function chips(box, node, info, dense) {
  const words = [];
  if (info?.stage) words.push(["stage", info.stage]);
  for (const alias of node.aliases) words.push(["alias", `@${alias}`]);
  if (!words.length) return [];
  if (dense) return [draw("circle", { class: `dot ${words[0][0]}`, cx: 0, cy: 0, r: 4 })];
  const parts = [];
  let x = 10;
  for (const [index, [kind, word]] of words.entries()) {
    const rest = words.length - index;
    const text = shortened(clean(word));
    const width = wide(text) + 2 * CHIP.padding;
    const room = box.width - 14 - x - (rest > 1 ? 30 : 0);
    if (index > 0 && width > room) {
      parts.push(chip("more", `+${rest}`, x, wide(`+${rest}`) + 2 * CHIP.padding));
      break;
    }
    parts.push(chip(kind, text, x, width));
    x += width + CHIP.gap;
  }
  return parts;
}

function chip(kind, text, x, width) {
  return draw(
    "g",
    { class: `chip ${kind}`, transform: `translate(${x} ${4.5 - CHIP.height})` },
    draw("rect", { width, height: CHIP.height, rx: 4 }),
    draw("text", { x: CHIP.padding, y: CHIP.height - 4 }, text),
  );
}

/** Everything that is known of a node in a few lines. */
export function nodeTitle(node, info) {
  const lines = [node.id];
  if (node.kind === "unregistered") lines.push("An ancestor that the weights of its descendants imply and nobody registered.");
  if (info?.stage) lines.push(`stage: ${info.stage}`);
  if (node.aliases.length) lines.push(`aliases: ${node.aliases.join(", ")}`);
  if (node.parameters !== null) lines.push(`${node.parameters.toLocaleString("en")} parameters${node.format ? `, ${node.format}` : ""}`);
  if (node.status !== null && node.status !== "done") lines.push(`status: ${node.status}`);
  if (node.declared_parents.length) lines.push(`declared parent: ${node.declared_parents.join(", ")}`);
  if (node.verdict) lines.push(`${node.verdict}: ${VERDICTS[node.verdict]}`);
  if (node.note) lines.push(node.note);
  return draw("title", {}, lines.join("\n"));
}

/** What an edge says, and why. */
export function edgeTitle(edge) {
  const lines = [sentence(edge), `probability ${probability(edge.probability)}`];
  lines.push(edge.direction === "decided" ? `direction decided (${probability(edge.direction_probability)})` : "direction undecided");
  if (edge.relation === "merge") lines.push(`share of this parent ${share(edge.weight)}`);
  if (edge.rank !== null) lines.push(`rank of the update ${edge.rank}`);
  if (edge.evidence.length) lines.push(`• ${edge.evidence[0].text}`);
  return draw("title", {}, lines.join("\n"));
}

/** A node for those who hear the page. */
export function spoken(node, info, view) {
  const words = [node.kind === "unregistered" ? title(node.id) : node.label || title(node.id)];
  if (node.id === view.subject) words.push("this version");
  if (info?.stage) words.push(`stage ${info.stage}`);
  if (node.aliases.length) words.push(`alias ${node.aliases.join(", ")}`);
  if (node.status && node.status !== "done") words.push(node.status);
  if (node.verdict === "conflict" || node.verdict === "undocumented") words.push(VERDICTS[node.verdict]);
  for (const edge of view.tree.edges) {
    if (edge.child === node.id) words.push(`${edge.relation}${edge.direction === "decided" ? " of" : ", direction undecided, with"} ${title(edge.parent)}, probability ${probability(edge.probability)}`);
  }
  return words.join(", ");
}
