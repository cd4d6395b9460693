// Looking at a drawing that is larger than its frame: the frame scrolls, the drawing is scaled, a small map shows where
// one is. Scrolling is the browser's own, so that wheels, fingers, keys and scroll bars do what they do everywhere.

import { draw, el } from "./dom.js";

const LEAST = 0.1;
const MOST = 2.5;
const STEP = 1.25;
const MAP = { width: 168, height: 112, edge: 18 };

export class Viewport {
  /** @param {SVGSVGElement} drawing */
  constructor(drawing) {
    this.drawing = drawing;
    this.frame = el("div", { class: "mother-tree-frame" }, drawing);
    this.percent = el("button", { type: "button", title: "Actual size (0)", onclick: () => this.zoom(1) });
    const tool = (label, name, onclick) => el("button", { type: "button", title: name, "aria-label": name, onclick }, label);
    this.tools = el(
      "div",
      { class: "mother-tree-tools", role: "group", "aria-label": "Zoom" },
      tool("−", "Zoom out (-)", () => this.zoom(this.scale / STEP)),
      this.percent,
      tool("+", "Zoom in (+)", () => this.zoom(this.scale * STEP)),
      el("button", { type: "button", title: "Show all of it (f)", onclick: () => this.fit() }, "Fit"),
    );
    this.view = draw("rect", { class: "view" });
    this.boxes = draw("path", { class: "boxes" });
    this.map = draw("svg", { class: "mother-tree-map", "aria-hidden": "true" }, this.boxes, this.view);
    this.scale = 1;
    this.size = { width: 1, height: 1 };
    /** How much of the frame the map covers. */
    this.covered = { width: 0, height: 0 };
    /** Where each finger is that is down. @type {Map<number, PointerEvent>} */
    this.fingers = new Map();
    this.left = new AbortController();
    this.frame.addEventListener("scroll", () => this.#look(), { passive: true });
    this.frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.#grab(event));
    this.map.addEventListener("pointerdown", (event) => this.#point(event));
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, (event) => this.fingers.delete(event.pointerId), { signal: this.left.signal });
    }
    this.resized = new ResizeObserver(() => this.#look());
    this.resized.observe(this.frame);
  }

  /** Takes over another drawing's measures. */
  measure({ width, height }, boxes) {
    this.size = { width, height };
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const scale = Math.min(MAP.width / width, MAP.height / height);
    this.covered = { width: width * scale + MAP.edge, height: height * scale + MAP.edge };
    this.map.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.map.setAttribute("width", String(Math.round(width * scale)));
    this.map.setAttribute("height", String(Math.round(height * scale)));
    this.boxes.setAttribute("d", boxes.map((box) => `M${box.x} ${box.y}h${box.width}v${box.height}h${-box.width}z`).join(""));
    this.#resize(this.scale);
  }

  /** The scale at which all of it is seen, at most its actual size. */
  get fitting() {
    const { clientWidth, clientHeight } = this.frame;
    return Math.min(1, clientWidth / this.size.width, clientHeight / this.size.height);
  }

  fit() {
    this.zoom(this.fitting);
  }

  /** Scales; what is at a point of the frame (its middle when not given) stays there. */
  zoom(scale, at = { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 2 }) {
    const before = this.#offset();
    const x = (this.frame.scrollLeft + at.x - before.x) / this.scale;
    const y = (this.frame.scrollTop + at.y - before.y) / this.scale;
    this.#resize(Math.min(MOST, Math.max(Math.min(LEAST, this.fitting), scale)));
    const after = this.#offset();
    this.frame.scrollTo(x * this.scale + after.x - at.x, y * this.scale + after.y - at.y);
  }

  zoomIn() {
    this.zoom(this.scale * STEP);
  }

  zoomOut() {
    this.zoom(this.scale / STEP);
  }

  /** Where a box is, from the frame's upper left corner. */
  place(box) {
    const offset = this.#offset();
    return {
      x: box.x * this.scale + offset.x - this.frame.scrollLeft,
      y: box.y * this.scale + offset.y - this.frame.scrollTop,
    };
  }

  /** Scrolls so that a box is at a place. */
  put(box, { x, y }) {
    const now = this.place(box);
    this.frame.scrollBy(now.x - x, now.y - y);
  }

  /** Brings a box into the middle, or just into sight. */
  show(box, { middle = false } = {}) {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const { x, y } = this.place(box);
    const [w, h] = [box.width * this.scale, box.height * this.scale];
    if (middle) this.frame.scrollBy(x + w / 2 - width / 2, y + h / 2 - height / 2);
    else this.frame.scrollBy(outside(x, w, width), outside(y, h, height));
  }

  leave() {
    this.left.abort();
    this.resized.disconnect();
  }

  /** Where the drawing begins in the frame: in the middle while it is smaller. */
  #offset() {
    const { clientWidth, clientHeight } = this.frame;
    return {
      x: Math.max(0, (clientWidth - this.size.width * this.scale) / 2),
      y: Math.max(0, (clientHeight - this.size.height * this.scale) / 2),
    };
  }

  #resize(scale) {
    this.scale = scale;
    this.drawing.setAttribute("width", String(this.size.width * scale));
    this.drawing.setAttribute("height", String(this.size.height * scale));
    this.percent.textContent = `${Math.round(scale * 100)}%`;
    this.#look();
  }

  /** Marks the part in sight on the map, which is there only while there is more. */
  #look() {
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.frame;
    const [width, height] = [clientWidth / this.scale, clientHeight / this.scale];
    this.map.toggleAttribute("hidden", width > this.size.width - 1 && height > this.size.height - 1);
    const at = { x: scrollLeft / this.scale, y: scrollTop / this.scale };
    const seen = { ...at, width: Math.min(width, this.size.width), height: Math.min(height, this.size.height) };
    const ends = { x: (this.size.width - at.x) * this.scale, y: (this.size.height - at.y) * this.scale };
    const corner = ends.x < clientWidth + this.covered.width && ends.y < clientHeight + this.covered.height;
    this.map.classList.toggle("left", corner); // Never over the end of the drawing, where one cannot scroll on.
    for (const [name, value] of Object.entries(seen)) this.view.setAttribute(name, String(value));
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault(); // A pinch on a touch pad arrives as a wheel with the control key, too.
    const edge = this.frame.getBoundingClientRect();
    const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * 30;
    const factor = Math.exp(-Math.max(-60, Math.min(60, pixels)) / 150);
    this.zoom(this.scale * factor, { x: event.clientX - edge.left, y: event.clientY - edge.top });
  }

  /** Drags the drawing with the mouse, or pinches it with two fingers; one finger scrolls by itself. */
  #grab(event) {
    if (event.pointerType === "touch") {
      this.#pinch(event);
      return;
    }
    if (event.button !== 0 || this.#isBar(event)) return;
    const from = { x: event.clientX + this.frame.scrollLeft, y: event.clientY + this.frame.scrollTop };
    const move = (moved) => {
      const far = Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY);
      if (far > 4) this.frame.classList.add("grabbed");
      this.frame.scrollTo(from.x - moved.clientX, from.y - moved.clientY);
    };
    this.#until(move, () => setTimeout(() => this.frame.classList.remove("grabbed")));
  }

  /** Whether a scroll bar was pressed. */
  #isBar({ clientX, clientY }) {
    const edge = this.frame.getBoundingClientRect();
    return clientX - edge.left >= this.frame.clientWidth || clientY - edge.top >= this.frame.clientHeight;
  }

  #pinch(event) {
    const { fingers } = this;
    if (event.isPrimary) fingers.clear();
    fingers.set(event.pointerId, event);
    if (fingers.size !== 2) return;
    const spread = () => {
      const [a, b] = [...fingers.values()];
      return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    };
    const [began, scale] = [Math.max(1, spread()), this.scale];
    const move = (moved) => {
      if (!fingers.has(moved.pointerId) || fingers.size !== 2) return;
      fingers.set(moved.pointerId, moved);
      const [a, b] = [...fingers.values()];
      const edge = this.frame.getBoundingClientRect();
      this.zoom((scale * spread()) / began, { x: (a.clientX + b.clientX) / 2 - edge.left, y: (a.clientY + b.clientY) / 2 - edge.top });
    };
    this.#until(move);
  }

  #point(event) {
    event.preventDefault();
    const move = (moved) => {
      const edge = this.map.getBoundingClientRect();
      const x = ((moved.clientX - edge.left) / edge.width) * this.size.width;
      const y = ((moved.clientY - edge.top) / edge.height) * this.size.height;
      this.show({ x, y, width: 0, height: 0 }, { middle: true });
    };
    move(event);
    this.#until(move);
  }

  /** Follows pointers until one is lifted. */
  #until(move, done = () => {}) {
    const over = new AbortController();
    const stop = () => {
      over.abort();
      done();
    };
    addEventListener("pointermove", move, { signal: over.signal });
    addEventListener("pointerup", stop, { signal: over.signal });
    addEventListener("pointercancel", stop, { signal: over.signal });
  }
}

/** How far to scroll for a stretch to be within a length, with some air. */
function outside(start, length, room) {
  const air = Math.min(24, Math.max(0, (room - length) / 2));
  if (start < air) return start - air;
  return Math.max(0, start + length + air - room);
}
