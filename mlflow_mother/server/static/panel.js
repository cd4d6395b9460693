// Everything about the node or the edge that was chosen in the drawing.

import { deciding } from "./decide.js";
import { button, el } from "./dom.js";
import { counted, isWeak, moment, probability, sentence, share, split, title, VERDICTS } from "./words.js";

const FEW = 6;
const REASONS = 4;

/**
 * @typedef {object} Actions What the panel can cause.
 * @property {import("./api.js").Api} api Of the registry that it is about.
 * @property {(item: import("./tree.js").Item) => void} choose Choose another node or edge.
 * @property {() => Promise<void>} changed Something was decided; done when it is shown.
 * @property {string} name The registered model that the user's permissions are about.
 */

/**
 * The panel about a node, an edge, or the whole tree.
 * @param {import("./tree.js").Item | null} item
 * @param {any} answer The API's.
 * @param {Actions} actions
 */
export function panel(item, answer, actions) {
  const { node, edge } = found(item, answer);
  if (node) return aboutNode(node, answer, actions);
  if (edge) return aboutEdge(edge, answer, actions);
  return aboutModel(answer, actions);
}

/** All that the panel is made of: while it is the same, so is the panel. */
export function facts(item, answer) {
  const { node, edge } = found(item, answer);
  const { nodes, edges } = answer.tree;
  if (!node && !edge) return [answer.model, nodes.map((one) => one.id)];
  const ids = edge ? [edge.parent, edge.child] : [node.id];
  const touching = edges.filter((one) => ids.includes(one.parent) || ids.includes(one.child));
  return [node, touching, ids.map((id) => answer.versions[id]), answer.can];
}

function found(item, { tree }) {
  return {
    node: item?.kind === "node" && tree.nodes.find((one) => one.id === item.id),
    edge: item?.kind === "edge" && tree.edges.find((one) => one.parent === item.parent && one.child === item.child),
  };
}

function aboutNode(node, answer, actions) {
  const info = answer.versions[node.id];
  const ref = split(node.id);
  const parents = answer.tree.edges.filter((e) => e.child === node.id && e.direction === "decided");
  const children = answer.tree.edges.filter((e) => e.parent === node.id && e.direction === "decided");
  const open = answer.tree.edges.filter((e) => [e.parent, e.child].includes(node.id) && e.direction === "undecided");
  const here = node.id === answer.subject;
  return [
    heading(node.kind === "unregistered" ? "Unregistered ancestor" : node.label || title(node.id), chips(node, info)),
    node.kind === "unregistered" && el("p", {}, "The weights of its descendants imply this model, and nobody registered it."),
    ref && links(ref, here, actions.api),
    info?.reason && info.status !== "done" && !here && el("p", { class: "mother-reason" }, info.reason),
    section("Parents", parents.map((e) => kin(e, e.parent, actions))),
    section("Related, direction undecided", open.map((e) => kin(e, e.parent === node.id ? e.child : e.parent, actions))),
    section(`Children${children.length > FEW ? ` (${children.length})` : ""}`, folded(children.map((e) => kin(e, e.child, actions)))),
    info && declared(info, parents),
    info && deciding({ info, parents, open, answer, actions }),
    info?.fingerprint && fingerprint(info),
  ];
}

function aboutEdge(edge, answer, actions) {
  const info = answer.versions[edge.child];
  const rows = [
    ["Probability", meter(edge)],
    ["Direction", edge.direction === "decided" ? `decided, ${probability(edge.direction_probability)}` : "undecided"],
    edge.relation === "merge" && ["Share of this parent", share(edge.weight)],
    edge.rank !== null && ["Rank of the update", String(edge.rank)],
  ];
  const decided = edge.direction === "decided";
  return [
    heading(el("span", { class: `mother-relation r-${edge.relation}` }, edge.relation)),
    el("p", { class: "mother-sentence" }, sentence(edge)),
    table(rows),
    section(
      "Evidence from the weights",
      edge.evidence.length ? folded(edge.evidence.map(reason), REASONS) : [el("li", { class: "mother-soft" }, "None was stored.")],
    ),
    section(decided ? "The two models" : "The two models, in no order", [end(decided ? "Parent" : "", edge.parent, actions), end(decided ? "Child" : "", edge.child, actions)]),
    comparing(edge, answer, actions.api),
    info && declared(info, answer.tree.edges.filter((e) => e.child === edge.child && e.direction === "decided")),
    info && deciding({ info, parents: decided ? [edge] : [], open: decided ? [] : [edge], answer, actions }),
  ];
}

/** The versions of a registered model; what was not analysed yet or could not be stands here, too. */
function aboutModel(answer, actions) {
  const versions = answer.model?.versions ?? [];
  const shown = new Set(answer.tree.nodes.map((node) => node.id));
  const rows = versions.map((info) =>
    el(
      "li",
      { class: "mother-row" },
      shown.has(info.id)
        ? el("button", { type: "button", class: "mother-link", onclick: () => actions.choose({ kind: "node", id: info.id }) }, `Version ${info.version}`)
        : el("a", { href: actions.api.page(info.name, info.version) }, `Version ${info.version}`),
      chips({ status: info.status, verdict: info.verdict, aliases: info.aliases }, info),
    ),
  );
  return [
    heading(answer.model?.name ?? "Model tree"),
    el("p", { class: "mother-soft" }, `Choose a model or a line in the tree to see what is known of it.`),
    section(counted(versions.length, "version"), folded(rows, 12)),
  ];
}

function heading(text, ...more) {
  return el("div", { class: "mother-panel-head" }, el("h3", { tabindex: -1 }, text), ...more);
}

function chips(node, info) {
  const all = [];
  if (info?.stage) all.push(el("span", { class: "mother-chip stage" }, info.stage));
  for (const alias of node.aliases) all.push(el("span", { class: "mother-chip alias" }, `@${alias}`));
  if (info?.ignored) all.push(el("span", { class: "mother-chip" }, "opted out"));
  if (node.status && node.status !== "done") all.push(el("span", { class: `mother-chip ${node.status}` }, node.status));
  if (node.verdict === "conflict" || node.verdict === "undocumented") all.push(el("span", { class: `mother-chip ${node.verdict}` }, node.verdict));
  return all.length ? el("span", { class: "mother-chips" }, ...all) : null;
}

function links(ref, here, api) {
  return el(
    "p",
    { class: "mother-links" },
    here ? el("span", { class: "mother-soft" }, "This version") : el("a", { href: api.page(ref.name, ref.version) }, "Open its lineage"),
    el("a", { href: api.page(ref.name, ref.version, false) }, "Version page"),
    el("a", { href: api.page(ref.name) }, "All its versions"),
  );
}

function section(name, rows) {
  return rows.length ? el("section", {}, el("h4", {}, name), el("ul", {}, ...rows)) : null;
}

/** The first of many rows; the others on demand. */
function folded(rows, few = FEW) {
  if (rows.length <= few + 1) return rows;
  const rest = rows.slice(few);
  const more = el("li", {}, button(`${rest.length} more`, () => more.replaceWith(...rest), { class: "mother-link" }));
  return [...rows.slice(0, few), more];
}

function kin(edge, other, actions) {
  const choose = () => actions.choose({ kind: "edge", parent: edge.parent, child: edge.child });
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "mother-kin", onclick: choose, title: "Why?" },
      el("span", { class: "mother-name" }, title(other)),
      el("span", { class: `mother-relation r-${edge.relation}` }, edge.relation),
      el("span", { class: isWeak(edge.probability) ? "mother-number weak" : "mother-number" }, probability(edge.probability)),
    ),
  );
}

function end(role, id, actions) {
  const ref = split(id);
  return el(
    "li",
    { class: "mother-row" },
    role && el("span", { class: "mother-soft mother-role" }, role),
    el("button", { type: "button", class: "mother-link", onclick: () => actions.choose({ kind: "node", id }) }, title(id)),
    ref && el("a", { class: "mother-out", href: actions.api.page(ref.name, ref.version, false) }, "version page"),
  );
}

function reason(evidence) {
  const odds = evidence.log_odds;
  const side = odds === null || odds === 0 ? null : odds > 0 ? "for" : "against";
  return el("li", { class: side ? `mother-evidence ${side}` : "mother-evidence" }, side && el("span", { class: "mother-side" }, side), evidence.text);
}

function declared(info, parents) {
  if (!info.declared.length && !["conflict", "undocumented", "confirmed"].includes(info.verdict)) return null;
  const said = info.declared.map((one) => el("span", { class: "mother-line" }, title(one.parent), el("span", { class: "mother-soft" }, ` (${one.source})`)));
  const found = parents.map((edge) => el("span", { class: "mother-line" }, title(edge.parent)));
  const none = () => el("span", { class: "mother-soft" }, "none");
  return el(
    "section",
    {},
    el("h4", {}, "Declared against inferred"),
    table([
      ["Declared", said.length ? el("span", {}, ...said) : none()],
      ["Inferred", found.length ? el("span", {}, ...found) : none()],
      info.verdict && ["Verdict", el("span", {}, el("span", { class: `mother-verdict ${info.verdict}` }, info.verdict), el("span", { class: "mother-soft mother-line" }, VERDICTS[info.verdict]))],
    ]),
  );
}

function fingerprint({ fingerprint: own, registered_at: at }) {
  return el(
    "section",
    {},
    el("h4", {}, "Fingerprint"),
    table([
      ["Parameters", own.parameters.toLocaleString("en")],
      ["Tensors", own.tensors.toLocaleString("en")],
      own.format && ["Format", own.format],
      ["Digest", el("code", { title: own.digest }, own.digest.length > 24 ? `${own.digest.slice(0, 20)}…` : own.digest)],
      ["Spec", own.spec],
      at && ["Registered", moment(at)],
    ]),
  );
}

function table(pairs) {
  return el("dl", { class: "mother-facts" }, ...pairs.filter(Boolean).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function meter(edge) {
  const bar = el("span", { class: "mother-meter", "aria-hidden": "true" }, el("span", {}));
  bar.firstChild.style.width = `${100 * edge.probability}%`;
  return el("span", { class: isWeak(edge.probability) ? "mother-probability weak" : "mother-probability" }, bar, probability(edge.probability));
}

/** All evidence on the pair, in both directions, asked for when somebody wants it. */
function comparing(edge, answer, api) {
  if (![edge.parent, edge.child].every((id) => answer.versions[id]?.fingerprint)) return null;
  const place = el("section", { class: "mother-compare", "aria-live": "polite" });
  const ask = async () => {
    place.replaceChildren(el("p", { class: "mother-soft" }, "Comparing the two fingerprints…"));
    try {
      place.replaceChildren(...compared(await api.get("compare", { a: edge.parent, b: edge.child })));
    } catch (error) {
      place.replaceChildren(el("p", { class: "mother-error" }, error.message), button("Try again", ask));
    }
  };
  place.append(button("Compare the two", ask));
  return place;
}

function compared(pair) {
  const read = (parent, child, evidence) => [
    el("h5", {}, `As if ${title(parent)} were the parent`),
    el("ul", {}, ...(evidence.length ? folded(evidence.map(reason), REASONS) : [el("li", { class: "mother-soft" }, "No evidence.")])),
  ];
  return [
    el("h4", {}, "Comparison of the fingerprints"),
    table([
      ["Tensors in both", pair.tensors.toLocaleString("en")],
      ["Identical", pair.identical.toLocaleString("en")],
      ["Cosine", `${pair.cosine.toFixed(4)} (by chance ${pair.chance.toFixed(4)})`],
    ]),
    ...read(pair.first, pair.second, pair.first_to_second),
    ...read(pair.second, pair.first, pair.second_to_first),
  ];
}
