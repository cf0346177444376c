// What a call that was made by hand came back with.

import { bytes, duration } from "./format.js";
import { make, pair } from "./shell.js";

/** The parts of a cold start, as a bar and in words. @param {{part: string, text: string, seconds: number}[]} parts */
export const coldPart = (parts) => {
  if (!parts.length) return [];
  const bar = make("div", { class: "parts", "aria-hidden": "true" });
  for (const { part, seconds } of parts) {
    const piece = make("i", { "data-part": part });
    piece.style.flexGrow = String(Math.max(seconds, 1e-6) * 1e6);
    bar.append(piece);
  }
  const names = parts.map(({ part, text, seconds }) => make("li", { "data-part": part }, `${text} ${duration(seconds)}`));
  return [bar, make("ul", { class: "part-names" }, ...names)];
};

/** @param {any} answer @returns {Element[]} */
export const answerOf = ({ status, statusText, seconds, headers, cold, refused, bytes: size, broken, text }) => {
  const state = status >= 500 ? "problem" : status >= 400 ? "pending" : "ready";
  const head = make(
    "div",
    { class: "head" },
    make("span", { class: "state", "data-state": state, id: "status" }, `${status} ${statusText}`),
    " ",
    make("span", {}, `in ${duration(seconds)}`),
    " ",
    cold
      ? make("span", { class: "state", "data-state": "cold", id: "cold" }, `Cold: held for ${duration(cold.seconds)}`)
      : make("span", { class: "quiet", id: "cold" }, refused ? "said by the gateway, not by the function" : "warm"),
  );
  const table = make("dl", { class: "pairs mono" });
  for (const [name, value] of headers) table.append(...pair(name, value));
  const shown =
    text == null
      ? make("p", { class: "quiet" }, `The body is not text (${bytes(size)}).`)
      : text === ""
        ? make("p", { class: "quiet" }, "The body is empty.")
        : make("pre", { tabindex: "0", role: "region", "aria-label": "Body of the answer", id: "answer-body" }, text);
  const more = broken ? make("p", { class: "quiet small", id: "broken" }, broken) : null;
  const details = make("details", {}, make("summary", {}, `${headers.length} headers`), table);
  return [head, ...(cold ? coldPart(cold.parts) : []), shown, more, details].filter(Boolean);
};
