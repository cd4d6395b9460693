// What the tab says of nodes, edges and verdicts; the sentences are those of the pictures and reports.

/** @type {Record<string, (child: string, parent: string) => string>} */
const RELATIONS = {
  finetune: (child, parent) => `${child} is a fine-tune of ${parent}.`,
  adapter: (child, parent) => `${child} is an adapter of ${parent}.`,
  quantized: (child, parent) => `${child} is a quantized ${parent}.`,
  merge: (child, parent) => `${child} was merged from ${parent}, among others.`,
  "lora-merged": (child, parent) => `${child} is ${parent} with a low-rank adapter merged in.`,
  "partial-finetune": (child, parent) => `${child} is a fine-tune of some layers of ${parent}.`,
  cast: (child, parent) => `${child} is ${parent} cast to another number format.`,
  pruned: (child, parent) => `${child} is a pruned ${parent}.`,
  extended: (child, parent) => `${child} is ${parent} with rows or layers added.`,
  copy: (child, parent) => `${child} is a copy of ${parent}.`,
  sibling: (child, parent) => `${child} and ${parent} come from one ancestor.`,
};

/** The relations in the order of legends. */
export const RELATION_NAMES = Object.keys(RELATIONS);

/** What each verdict means. */
export const VERDICTS = {
  conflict: "the declared parent and the weights disagree",
  undocumented: "the weights show a parent that nobody declared",
  undecided: "the weights do not decide",
  confirmed: "the weights confirm the declared parent",
  unrelated: "no parent is declared and the weights show none",
};

/** A probability below it is weak. */
export const WEAK_BELOW = 0.8;

/** @param {number} value */
export function isWeak(value) {
  return value < WEAK_BELOW;
}

/**
 * Name and version of a node id; null for what is no registered version.
 * @param {string} id
 */
export function split(id) {
  const match = /^models:\/(.+)\/([1-9]\d*)$/s.exec(id);
  return match && { name: match[1], version: match[2] };
}

/** What people call a node. @param {string} id */
export function title(id) {
  const ref = split(id);
  if (ref) return `${ref.name} v${ref.version}`;
  return id.startsWith("unregistered:") ? `unregistered ancestor ${id.slice(13)}` : id;
}

/** What an edge says. @param {{parent: string, child: string, relation: string, direction: string}} edge */
export function sentence(edge) {
  const [parent, child] = [title(edge.parent), title(edge.child)];
  if (edge.direction === "undecided" && edge.relation !== "sibling") {
    return `${parent} and ${child} are related (${edge.relation}); which came first is undecided.`;
  }
  return RELATIONS[edge.relation](child, parent);
}

/** What is known of a version's place in the tree, in sentences. */
export function lead(tree, subject, state) {
  const touching = tree.edges.filter((edge) => edge.parent === subject || edge.child === subject);
  const decided = touching.filter((edge) => edge.direction === "decided");
  const parents = decided.filter((edge) => edge.child === subject);
  const children = decided.filter((edge) => edge.parent === subject);
  const open = touching.filter((edge) => edge.direction === "undecided");
  const said = [];
  if (parents.length > 1) {
    const shares = parents.map((edge) => `${title(edge.parent)} (${share(edge.weight)})`);
    const least = probability(Math.min(...parents.map((edge) => edge.probability)));
    said.push(`${title(subject)} is a merge of ${joined(shares)} (probability at least ${least}).`);
  } else if (parents.length === 1) {
    said.push(`${sentence(parents[0]).slice(0, -1)} (probability ${probability(parents[0].probability)}).`);
  }
  if (open.length === 1) said.push(sentence(open[0]));
  if (open.length > 1) said.push(`${title(subject)} is related to ${open.length} models; which came first is undecided.`);
  const compared = state === "done" || state === "undecided";
  if (touching.length === 0) said.push(`${title(subject)} ${compared ? "has no relatives among the known models" : "was not compared with other models"} yet.`);
  else if (said.length === 0) said.push(`${title(subject)} has no parent among the known models.`);
  if (children.length) {
    said.push(children.length === 1 ? "1 known model descends from it directly." : `${children.length} known models descend from it directly.`);
  }
  return said.join(" ");
}

function joined(names) {
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** @param {number} count @param {string} noun */
export function counted(count, noun, plural = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
}

/** Two decimals; rounding never makes a probability certain. @param {number} value */
export function probability(value) {
  const inside = value > 0 && value < 1 ? Math.min(Math.max(value, 0.01), 0.99) : value;
  return inside.toFixed(2);
}

/** A merge coefficient as a percentage; a whole one means that it is not told. @param {number} weight */
export function share(weight) {
  return weight === 1 ? "?" : `${Math.round(weight * 100)}%`;
}

/** Day and time of a moment. @param {number} seconds */
export function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
