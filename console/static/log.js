// A function's log, followed for as long as it is wanted.

import { functionUrl } from "./api.js";
import { clock, exact } from "./format.js";
import { follow } from "./live.js";
import { find, make, setText } from "./shell.js";

const MOST_LINES = 1000;

/** @param {string} key */
export const followLog = (key) => {
  const box = find("#log");
  const state = find("#log-state");
  const search = find("#log-search");
  const button = find("#log-follow");
  let stream = null;

  const matches = (element) => element.textContent.toLowerCase().includes(search.value.trim().toLowerCase());
  const line = ({ at, instance, text }) => {
    const when = Date.parse(at) / 1000;
    const shown = Number.isNaN(when) ? "" : clock(when, true);
    const element = make(
      "p",
      { title: `${Number.isNaN(when) ? "" : exact(when)} ${instance ?? ""}` },
      make("span", { class: "when" }, shown),
      make("span", {}, text),
    );
    element.hidden = !matches(element);
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.append(element);
    while (box.children.length > MOST_LINES) box.firstElementChild.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
    setText(state, "Following.");
  };
  const ended = (why) => {
    stop();
    setText(state, why);
  };
  const start = () => {
    // Each opening tells the last lines again.
    const url = () => (box.replaceChildren(), functionUrl(key, "/log"));
    const onState = (now) => setText(state, now === "on" ? "Following. Nothing new so far." : now === "off" ? "The log does not answer; trying again." : "Connecting …");
    stream = follow(url, { line, ended }, { indicator: false, onState });
    button.setAttribute("aria-pressed", "true");
  };
  const stop = () => {
    stream?.stop();
    stream = null;
    button.setAttribute("aria-pressed", "false");
    setText(state, "Paused.");
  };
  button.addEventListener("click", () => (stream ? stop() : start()));
  search.addEventListener("input", () => {
    for (const element of box.children) element.hidden = !matches(element);
  });
  start();
};
