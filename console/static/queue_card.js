// A function's asynchronous calls, on its page.

import { Refused, functionUrl, get } from "./api.js";
import { count, rate } from "./format.js";
import { find, pair } from "./shell.js";

const LOOK_MS = 5000;

const show = ({ off, problem, rows, measured }) => {
  find("#queue-card").hidden = Boolean(off || problem);
  const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
  const known = (format, column) => format(measured ? sum(column) : null);
  find("#queue").replaceChildren(
    ...pair("In the queue", count(sum("pending"))),
    ...pair("Running", known(count, "running")),
    ...pair("Ended", known(rate, "rate")),
    ...pair("Repeated", known(rate, "repeated")),
  );
};

/** @param {string} key */
export const queueCard = (key) => {
  const look = async () => {
    if (document.hidden) return;
    try {
      show(await get(functionUrl(key, "/queue")));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      find("#queue-card").hidden = true; // the banner tells what is away
    }
  };
  setInterval(look, LOOK_MS);
  look();
};
