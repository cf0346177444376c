// What became of events of other systems, for the pages that show them.

import { instant } from "./jobs.js";
import { make, outcomeBadge, timeOf } from "./shell.js";

const OUTCOMES = {
  stored: ["Stored in the queue", "ready"],
  answered: ["Answered", "ready"],
  failed: ["Failed", "problem"],
  refused: ["Refused", "problem"],
  gone: ["Its function is gone", "absent"],
  unwanted: ["No function wants it", "absent"],
  empty: ["Empty, not delivered", "absent"],
};

const more = ({ outcome, status, attempts, why }) => [attempts > 1 && `${attempts} tries`, outcome !== "stored" && status && `status ${status}`, why].filter(Boolean).join(", ");

/** @param {any} event */
export const eventRow = (event) => {
  const { time, topic, function: name, outcome, source, connector, id } = event;
  return make(
    "tr", {},
    make("th", { scope: "row" }, time ? timeOf(instant(time)) : "–"), make("td", {}, topic),
    make("td", {}, name ? make("a", { href: `/ui/functions/${encodeURIComponent(name)}` }, name) : "–"),
    make("td", {}, outcomeBadge(OUTCOMES, outcome), " ", make("span", { class: "quiet" }, more(event))), make("td", {}, source ?? connector), make("td", { class: "mono" }, id),
  );
};

/** The same in a line, on a function's own page. @param {any} event */
export const eventItem = (event) =>
  make("li", {}, outcomeBadge(OUTCOMES, event.outcome), " ", event.time ? timeOf(instant(event.time)) : null, ` ${event.topic} `, make("span", { class: "quiet" }, more(event)));
