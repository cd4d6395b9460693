// Elements. Whatever comes from the registry goes in as text and is cleaned of what could mislead its reader.

const SVG = "http://www.w3.org/2000/svg";
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu;

/** Replaces control characters and those that turn the writing direction. @param {string} text */
export function clean(text) {
  return text.replace(INVISIBLE, "\ufffd");
}

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined | EventListener>} [attributes] A function is a
 *   listener; true is an attribute without a value; null, undefined and false are left out.
 * @param {(Node | string | null | undefined | false)[]} children
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an element of a drawing; see el. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : clean(String(value)));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(typeof child === "string" ? clean(child) : child);
  }
  return element;
}

/** A button. */
export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", class: "mother-button", onclick, ...attributes }, label);
}

/**
 * Fills an element anew. The keyboard's focus goes to what looks as what had it.
 * @param {Element} place
 * @param {Node[]} children
 * @param {string} [otherwise] Selects what takes the focus when there is nothing like it.
 */
export function refill(place, children, otherwise = "button") {
  const focused = place.contains(document.activeElement) ? look(document.activeElement) : null;
  place.replaceChildren(...children);
  if (focused === null) return;
  const same = [...place.querySelectorAll("a, button, input")].find((one) => look(one) === focused);
  (same ?? place.querySelector(otherwise))?.focus();
}

function look(element) {
  const group = element.closest("[role=group]");
  return [element.tagName, element.name, element.textContent, group?.ariaLabel].join("\n");
}

/**
 * Runs a job while its buttons are out of use. Disabled ones would lose the keyboard's focus.
 * @param {Element[]} buttons
 * @param {() => Promise<void>} job Not run while another one of these buttons is.
 */
export async function busy(buttons, job) {
  if (buttons.some((one) => one.ariaDisabled === "true")) return;
  for (const one of buttons) one.ariaDisabled = "true";
  try {
    await job();
  } finally {
    for (const one of buttons) one.ariaDisabled = null;
  }
}

/** Style sheets that are on their way, by address. @type {Map<string, Promise<void>>} */
const asked = new Map();

/** Waits for style sheets beside this file; one that cannot be had hides nothing and is tried again by the next caller. @param {string[]} names */
export async function styles(...names) {
  await Promise.all(
    names.map((name) => {
      const href = new URL(name, import.meta.url).href;
      if ([...document.styleSheets].some((sheet) => sheet.href === href)) return null;
      if (!asked.has(href)) asked.set(href, fetched(href));
      return asked.get(href);
    }),
  );
}

/** Loads a style sheet; settles when it is there or cannot be had. @param {string} href @returns {Promise<void>} */
function fetched(href) {
  const link = el("link", { rel: "stylesheet", href });
  document.head.append(link);
  return new Promise((done) => {
    link.addEventListener("load", () => done());
    link.addEventListener("error", () => (link.remove(), done()));
  }).finally(() => asked.delete(href));
}
