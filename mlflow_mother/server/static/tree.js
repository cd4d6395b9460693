// The drawing of a tree: the boxes and lines of the API's layout, to look at, to point at and to walk in.

import { draw, el } from "./dom.js";
import { legend } from "./legend.js";
import { chips, nodeTitle, edgeTitle, spoken } from "./marks.js";
import { Viewport } from "./viewport.js";
import { counted, isWeak } from "./words.js";

const MARGIN = 24;
const READABLE = 0.7;

/**
 * @typedef {object} View What the API answers about a lineage.
 * @property {any} tree
 * @property {any} layout
 * @property {string | null} subject
 * @property {Record<string, any>} versions
 *
 * @typedef {{kind: "node", id: string} | {kind: "edge", parent: string, child: string}} Item
 *
 * @typedef {object} Options
 * @property {Item | null} [selected] What is pointed out at first; the subject when not given.
 * @property {(item: Item) => void} [onSelect] Somebody chose a node or an edge.
 */

/**
 * Draws a tree into an element, in place of what is there. The page needs style.css and tree.css.
 * @param {Element} container
 * @param {View} view
 * @param {Options} [options]
 */
export function drawTree(container, view, options = {}) {
  const tree = new Tree(options);
  container.replaceChildren(tree.element);
  tree.show(view);
  return tree;
}

class Tree {
  /** @param {Options} options */
  constructor({ selected = null, onSelect = () => {} }) {
    this.onSelect = onSelect;
    this.selected = selected;
    this.drawing = draw("svg", { class: "mother-drawing", role: "group" });
    this.viewport = new Viewport(this.drawing);
    this.legend = el("ul", { class: "mother-legend", "aria-label": "Signs in the drawing" });
    this.counts = el("span", { class: "mother-soft" });
    const strip = el("div", { class: "mother-tree-strip" }, this.counts, this.viewport.tools);
    const stage = el("div", { class: "mother-tree-stage" }, strip, this.viewport.frame, this.viewport.map);
    this.element = el("div", { class: "mother-tree mother-colours" }, stage, this.legend);
    this.drawing.addEventListener("click", (event) => this.#click(event));
    this.drawing.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Draws another state of the tree; what one looks at stays where it is. @param {View} view */
  show(view) {
    const anchor = this.view && this.#anchor(view);
    const before = anchor && this.viewport.place(this.boxes.get(anchor));
    const focused = this.drawing.contains(document.activeElement) && document.activeElement.dataset.node;
    this.view = view;
    const { tree, layout } = view;
    this.boxes = new Map(layout.nodes.map((box) => [box.id, { ...box, x: box.x + MARGIN, y: box.y + MARGIN }]));
    this.edges = new Map(tree.edges.map((edge) => [key(edge), edge]));
    const nodes = new Map(tree.nodes.map((node) => [node.id, node]));
    this.groups = new Map();
    const lines = layout.edges.map((line) => this.#edge(line, this.edges.get(key(line))));
    const stems = layout.edges.filter((line) => line.stem).map((line) => stem(line, this.edges.get(key(line))));
    const boxes = layout.nodes.map((box) => this.#node(box, nodes.get(box.id), layout.dense));
    const captions = layout.captions.map((caption) => draw("text", { class: "soft", x: caption.x, y: caption.y }, caption.text));
    const all = draw("g", { class: layout.dense ? "dense" : "roomy", transform: `translate(${MARGIN} ${MARGIN})` });
    all.append(...stems, ...lines, ...boxes, ...captions);
    this.drawing.replaceChildren(all);
    this.counts.textContent = `${counted(tree.nodes.length, "model")}, ${counted(tree.edges.length, "relation")}`;
    this.drawing.setAttribute("aria-label", `Model tree: ${this.counts.textContent}. Arrow keys walk, Enter opens.`);
    this.legend.replaceChildren(...legend(view));
    const size = { width: layout.width + 2 * MARGIN, height: layout.height + 2 * MARGIN };
    this.element.style.setProperty("--drawing", `${Math.ceil(size.height)}px`);
    this.viewport.measure(size, [...this.boxes.values()]);
    if (anchor) this.viewport.put(this.boxes.get(anchor), before);
    else this.#begin();
    if (focused) this.groups.get(focused)?.focus({ preventScroll: true });
    this.select(this.selected && this.groups.has(name(this.selected)) ? this.selected : null);
  }

  /** Points out a node or an edge, and the way down to it. @param {Item | null} item */
  select(item) {
    this.selected = item;
    const way = item ? this.#way(item.kind === "node" ? item.id : item.child) : new Set();
    for (const [id, group] of this.groups) {
      group.classList.toggle("selected", item !== null && id === name(item));
      group.classList.toggle("way", way.has(id));
      if (group.classList.contains("node")) group.setAttribute("aria-pressed", String(item !== null && id === name(item)));
    }
    const at = item?.kind === "node" ? item.id : this.view.subject;
    this.#stop(this.boxes.has(at) ? at : this.view.layout.nodes[0]?.id);
  }

  /** Brings a node into sight and gives it the focus. @param {string} id */
  focus(id) {
    if (!this.boxes.has(id)) return; // The part of the family that is drawn is without it.
    this.#stop(id);
    this.viewport.show(this.boxes.get(id));
    this.groups.get(id).focus({ preventScroll: true });
  }

  fit() {
    this.viewport.fit();
  }

  leave() {
    this.viewport.leave();
  }

  /** All of it when it can be read then, else the subject, or the first root. */
  #begin() {
    const { fitting } = this.viewport;
    this.viewport.zoom(fitting >= READABLE ? fitting : 1);
    if (fitting >= READABLE) return;
    const { subject, tree } = this.view;
    if (this.boxes.has(subject)) {
      this.viewport.show(this.boxes.get(subject), { middle: true });
      return;
    }
    const parents = new Set(tree.edges.map((edge) => edge.parent));
    const first = tree.roots.filter((id) => parents.has(id)).map((id) => this.boxes.get(id)).sort((a, b) => a.x + a.y - b.x - b.y)[0];
    if (first) this.viewport.show(first);
  }

  /** A node that is there before and after. */
  #anchor(view) {
    const there = new Set(view.layout.nodes.map((box) => box.id));
    const wanted = [this.selected?.kind === "node" && this.selected.id, view.subject, ...this.boxes.keys()];
    return wanted.find((id) => id && there.has(id) && this.boxes.has(id));
  }

  #node(box, node, dense) {
    const info = this.view.versions[box.id];
    const classes = ["node"];
    if (node.kind === "unregistered") classes.push("unregistered");
    if (node.verdict === "conflict") classes.push("conflict");
    if (["failed", "unsupported"].includes(node.status)) classes.push("trouble");
    if (node.status === "pending") classes.push("pending");
    if (box.id === this.view.subject) classes.push("current");
    const middle = box.height / 2;
    const group = draw(
      "g",
      { class: classes.join(" "), transform: `translate(${box.x} ${box.y})`, role: "button", tabindex: -1, "aria-label": spoken(node, info, this.view) },
      nodeTitle(node, info),
      draw("rect", { class: "box", width: box.width, height: box.height, rx: dense ? 4 : 7 }),
    );
    const detail = dense ? box.detail : withoutAliases(box.detail, node.aliases);
    if (dense) {
      group.append(draw("text", { class: "name", x: 7, y: middle + 4 }, box.name));
      if (detail) group.append(draw("text", { class: "soft", x: box.width - 7, y: middle + 4, "text-anchor": "end" }, detail));
    } else {
      group.append(draw("text", { class: "name", x: 12, y: detail ? middle - 3 : middle + 4.5 }, box.name));
      if (detail) group.append(draw("text", { class: "soft", x: 12, y: middle + 13 }, detail));
    }
    group.append(...chips(box, node, info, dense));
    if (node.verdict === "conflict") {
      group.append(
        draw("circle", { class: "sign", cx: box.width, cy: 0, r: dense ? 6 : 7.5 }),
        draw("text", { class: "bang", x: box.width, y: dense ? 3.5 : 4, "text-anchor": "middle" }, "!"),
      );
    }
    group.dataset.node = box.id;
    this.groups.set(box.id, group);
    return group;
  }

  #edge(line, edge) {
    const classes = ["edge", `r-${edge.relation}`];
    if (edge.direction === "undecided") classes.push("undecided");
    if (isWeak(edge.probability)) classes.push("weak");
    const group = draw(
      "g",
      { class: classes.join(" ") },
      edgeTitle(edge),
      draw("path", { class: "touch", d: line.path }),
      draw("path", { class: "wire", d: line.branch }),
    );
    if (line.head) {
      const back = line.head_points === "right" ? -8 : 8;
      group.append(draw("path", { class: "head", d: `M${line.head[0]} ${line.head[1]}l${back} -4v8z` }));
    }
    if (line.label) group.append(draw("text", { class: "label", x: line.label_x, y: line.label_y }, line.label));
    group.dataset.edge = key(edge);
    this.groups.set(key(edge), group);
    return group;
  }

  /** Names in the drawing of the edges that lead to a node from its roots. */
  #way(id) {
    const [way, open, known] = [new Set(), [id], new Set([id])];
    while (open.length) {
      const child = open.pop();
      for (const [own, edge] of this.edges) {
        if (edge.child !== child || edge.direction !== "decided") continue;
        way.add(own);
        if (!known.has(edge.parent)) open.push(edge.parent);
        known.add(edge.parent);
      }
    }
    return way;
  }

  #click(event) {
    const group = event.target.closest("[data-node], [data-edge]");
    if (!group || this.viewport.frame.classList.contains("grabbed")) return;
    this.#choose(group);
  }

  #choose(group) {
    const edge = this.edges.get(group.dataset.edge);
    const item = edge ? { kind: "edge", parent: edge.parent, child: edge.child } : { kind: "node", id: group.dataset.node };
    this.select(item);
    this.onSelect(item);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const id = event.target.closest("[data-node]")?.dataset.node;
    const { viewport } = this;
    const tools = { "+": () => viewport.zoomIn(), "=": () => viewport.zoomIn(), "-": () => viewport.zoomOut(), 0: () => viewport.zoom(1), f: () => viewport.fit() };
    if (tools[event.key]) {
      tools[event.key]();
      if (id) viewport.show(this.boxes.get(id));
    } else if (id && (event.key === "Enter" || event.key === " ")) this.#choose(this.groups.get(id));
    else if (id && event.key.startsWith("Arrow")) {
      const next = this.#beside(id, event.key.slice(5));
      if (next) this.focus(next);
    } else return;
    event.preventDefault();
  }

  /** The node that an arrow key leads to: parents and children first, then whatever stands there. */
  #beside(id, way) {
    const from = this.boxes.get(id);
    const kin = [...this.edges.values()];
    const related = { Left: kin.filter((e) => e.child === id).map((e) => e.parent), Right: kin.filter((e) => e.parent === id).map((e) => e.child) }[way];
    const near = (ids) => {
      const away = (to) => {
        const [dx, dy] = [to.x - from.x, to.y + to.height / 2 - from.y - from.height / 2];
        const [along, across] = { Left: [-dx, dy], Right: [dx, dy], Up: [-dy, dx], Down: [dy, dx] }[way];
        return along > 1 ? along + 3 * Math.abs(across) : Infinity;
      };
      const ranked = ids.filter((other) => this.boxes.has(other)).map((other) => [away(this.boxes.get(other)), other]);
      return ranked.filter(([far]) => far < Infinity).sort(([a], [b]) => a - b)[0]?.[1];
    };
    return (related && near(related)) ?? near([...this.boxes.keys()]);
  }

  /** Only one node is a stop of the tabulator key; arrows lead to the others. */
  #stop(id) {
    if (this.stop) this.groups.get(this.stop)?.setAttribute("tabindex", "-1");
    this.stop = id;
    if (id) this.groups.get(id)?.setAttribute("tabindex", "0");
  }
}

function stem(line, edge) {
  return draw("g", { class: edge.direction === "undecided" ? "stem undecided" : "stem" }, draw("path", { class: "wire", d: line.stem }));
}

/** @param {{parent: string, child: string}} edge */
function key(edge) {
  return `${edge.parent}\n${edge.child}`;
}

/** @param {Item} item */
function name(item) {
  return item.kind === "node" ? item.id : key(item);
}

/** Roomy boxes carry their aliases as chips. */
function withoutAliases(detail, aliases) {
  const own = new Set(aliases.map((alias) => `@${alias}`));
  return detail.split(" · ").filter((fact) => !own.has(fact)).join(" · ");
}
