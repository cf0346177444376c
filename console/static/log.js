// A function's log, told by the page's stream for as long as it is wanted.

import { clock, exact } from "./format.js";
import { find, make, setText } from "./shell.js";

const MOST_LINES = 1000;
/** Lines are shown so often at most: a function may write thousands at once, and each showing costs a layout. */
const SHOW_MS = 100;

/** @param {() => void} reopen opens the page's stream anew, with the log or without */
export const logView = (reopen) => {
  const box = find("#log");
  const state = find("#log-state");
  const search = find("#log-search");
  const button = find("#log-follow");
  let wanted = true;
  /** @type {any[]} lines that came since the last showing */
  let fresh = [];
  let timer = 0;

  const matches = (element) => element.textContent.toLowerCase().includes(search.value.trim().toLowerCase());
  const made = ({ at, instance, text }) => {
    const when = Date.parse(at) / 1000;
    const shown = Number.isNaN(when) ? "" : clock(when, true);
    const element = make(
      "p",
      { title: `${Number.isNaN(when) ? "" : exact(when)} ${instance ?? ""}` },
      make("span", { class: "when" }, shown),
      make("span", {}, text),
    );
    element.hidden = !matches(element);
    return element;
  };
  const show = () => {
    timer = 0;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.append(...fresh.splice(0).map(made));
    while (box.children.length > MOST_LINES) box.firstElementChild.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
    setText(state, "Following.");
  };
  const line = (next) => {
    fresh.push(next);
    if (fresh.length > MOST_LINES) fresh.shift();
    timer ||= setTimeout(show, SHOW_MS);
  };
  const tell = (words) => {
    if (timer) {
      clearTimeout(timer);
      show();
    }
    setText(state, words);
  };
  const want = (next, words) => {
    wanted = next;
    button.setAttribute("aria-pressed", String(wanted));
    tell(words);
  };
  button.addEventListener("click", () => {
    want(!wanted, wanted ? "Paused." : "Connecting …");
    reopen();
  });
  search.addEventListener("input", () => {
    for (const element of box.children) element.hidden = !matches(element);
  });
  return {
    wanted: () => wanted,
    onState: (now) => wanted && now !== "on" && tell(now === "off" ? "The log does not answer; trying again." : "Connecting …"),
    handlers: {
      line,
      log: () => {
        // Each opening tells the last lines again.
        tell("Following. Nothing new so far.");
        box.replaceChildren();
      },
      broken: tell,
      ended: (why) => want(false, why),
    },
  };
};
