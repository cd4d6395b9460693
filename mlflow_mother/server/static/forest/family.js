// One family: what the Lineage tab shows of a version, on this page.

import { el } from "../dom.js";
import { Lineage } from "../lineage.js";
import { split, title } from "../words.js";
import { go } from "./address.js";
import { notice } from "./notices.js";
import { api } from "./registry.js";

export class Family {
  constructor() {
    this.element = el("section", { "aria-label": "Family" });
    this.family = "";
  }

  /** Shows the family of the version that the address names, and points out one of its members. @param {import("./address.js").State} state */
  show({ family, node }) {
    if (family === this.family) {
      if (split(node) && node !== this.lineage?.item?.id) this.lineage?.point(node);
      return;
    }
    this.leave();
    this.family = family;
    const ref = split(family);
    if (!ref) {
      this.element.replaceChildren(notice("This link does not work", [`${title(family)} is no model version.`]));
      return;
    }
    this.lineage = new Lineage(this.element, ref.name, ref.version, api.workspace);
    if (split(node)) this.lineage.item = { kind: "node", id: node };
    this.lineage.onChoose = (item) => go({ node: item?.id ?? "" }, { replace: true });
    this.lineage.resume();
  }

  /** Forgets the family: it is read anew when it is opened again. */
  leave() {
    this.lineage?.leave();
    this.lineage = null;
    this.family = "";
    this.element.replaceChildren();
  }
}
