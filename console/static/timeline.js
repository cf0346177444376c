// Decisions, newest first, in a person's words.

import { make, setText, timeOf } from "./shell.js";

const MOST = 200;

export class Timeline {
  /** @param {HTMLElement} list @param {HTMLElement} holds the button that also shows holds @param {HTMLElement} none */
  constructor(list, holds, none) {
    this.list = list;
    this.holds = holds;
    this.none = none;
    /** @type {any[]} oldest first */
    this.told = [];
    holds.addEventListener("click", () => {
      holds.setAttribute("aria-pressed", String(holds.getAttribute("aria-pressed") !== "true"));
      this.draw();
    });
  }

  /** When replicas were added or taken away. */
  changes() {
    return this.told.filter(({ changes }) => changes).map(({ at, up }) => ({ at, up }));
  }

  /** @param {any[]} decisions */
  add(decisions) {
    const known = new Set(this.told.map(({ number }) => number));
    const fresh = decisions.filter(({ number }) => !known.has(number));
    this.told = [...this.told, ...fresh].sort((one, other) => one.at - other.at).slice(-MOST);
    if (fresh.length || !this.drawn) this.draw();
  }

  draw() {
    this.drawn = true;
    const all = this.holds.getAttribute("aria-pressed") === "true";
    const shown = this.told.filter(({ changes }) => all || changes).reverse();
    const top = this.list.scrollTop;
    this.list.replaceChildren(...shown.map(entry));
    this.list.scrollTop = top;
    this.list.hidden = shown.length === 0;
    this.none.hidden = shown.length > 0;
    const held = this.told.at(-1);
    setText(
      this.none,
      held ? `Its replicas were not changed. Last looked at: ${held.reasonText}.` : "Nothing was decided about it yet. It scales when its load changes.",
    );
  }
}

const entry = ({ at, change, changes, up, reasonText, writer, detail, inputs }) => {
  const kind = changes ? (up ? "up" : "down") : "hold";
  const sign = { up: "↑", down: "↓", hold: "·" }[kind];
  const chips = inputs.map(([name, value]) => make("li", {}, `${name} `, make("b", {}, value)));
  return make(
    "li",
    { "data-kind": kind },
    make("span", { class: "dot", "aria-hidden": "true" }, sign),
    make("div", { class: "head" }, make("span", { class: "what" }, change), make("span", {}, reasonText), timeOf(at)),
    make("p", { class: "detail" }, `${writer}${detail ? `: ${detail}` : ""}`),
    chips.length ? make("ul", { class: "chips", "aria-label": "Decided from" }, ...chips) : null,
  );
};
