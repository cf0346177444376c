// Schedules of functions in a person's words, for the pages that show them.

import { act, functionUrl } from "./api.js";
import { count, exact, span } from "./format.js";
import { instant, jobPage } from "./jobs.js";
import { make, outcomeBadge, say, setText, timeOf } from "./shell.js";

const OUTCOMES = {
  queued: ["Queued", "scaling"],
  called: ["Answered", "ready"],
  failed: ["Failed", "problem"],
  refused: ["Refused", "problem"],
  skipped: ["Skipped", "absent"],
  cancelled: ["Cancelled", "absent"],
  missed: ["Missed", "problem"],
};

/** An instant that is to come, and by whose clock. @param {string} text RFC 3339 @param {string} zone the schedule's */
const dueOf = (text, zone) => {
  const at = instant(text);
  return make(
    "time", { datetime: text, title: `${inZone(text, zone)}; ${exact(at)} here`, "data-due": at },
    inZone(text, zone), make("span", { class: "quiet" }, ` ${untilText(at)}`),
  );
};

/** On the clocks of a zone, which it names. @param {string} text RFC 3339 @param {string} zone */
const inZone = (text, zone) => {
  const options = { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" };
  try {
    return `${new Date(text).toLocaleString(undefined, { ...options, timeZone: zone })} ${zone}`;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `${new Date(text).toLocaleString(undefined, { ...options, timeZone: "UTC" })} UTC`; // this browser does not know it
  }
};

const untilText = (at) => {
  const seconds = at - Date.now() / 1000;
  return seconds < 1 ? "now" : `in ${span(seconds)}`;
};

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-due]")) setText(element.lastElementChild, ` ${untilText(Number(element.dataset.due))}`);
}, 1000);

/** @param {any} run */
const runItem = ({ due, at, outcome, note, job }) => {
  const late = instant(at) - instant(due);
  return make(
    "li", {},
    outcomeBadge(OUTCOMES, outcome), " ", timeOf(instant(due)), " ",
    late >= 1 ? make("span", { class: "quiet" }, `${span(late)} late `) : null,
    note ? make("span", { class: "quiet" }, `${note} `) : null,
    job ? make("a", { href: jobPage(job), "aria-label": `The call of ${due}` }, "Its call") : null,
  );
};

const measure = (title, ...content) => make("div", { class: "measure" }, make("dt", {}, title), make("dd", {}, make("span", {}, ...content)));

const OPTIONS = [
  ({ overlap }) => overlap === "forbid" && "skipped while the call before runs",
  ({ overlap }) => overlap === "replace" && "the call before is cancelled",
  ({ catchUp }) => catchUp === "none" && "late ticks are dropped",
  ({ catchUp }) => catchUp === "all" && "all late ticks are made up for",
  ({ jitterSeconds: jitter }) => jitter > 0 && `moved by up to ${span(jitter)}`,
  ({ method, path }) => (method !== "POST" || path !== "/") && `${method} ${path}`,
];

const nextOf = ({ paused, next, zone }) => {
  if (paused) return ["Paused: nothing until it is resumed"];
  return next.length ? [dueOf(next[0], zone)] : ["Never: no such day or time comes"];
};

const button = (text, label, what, press) => {
  const made = make("button", { type: "button", class: "small", "data-act": what, "aria-label": label }, text);
  made.addEventListener("click", press);
  return made;
};

/**
 * One schedule. `attempt` runs an act and tells what goes wrong; `changed` is called when one was done.
 * @param {any} one @param {{link: boolean, attempt: (work: () => Promise<void>) => Promise<void>, changed: () => void}} how
 */
export const scheduleItem = (one, { link, attempt, changed }) => {
  const { function: name, namespace, schedule, zone, paused, next, waiting, runs } = one;
  const key = `${name}.${namespace}`;
  let busy = false;
  const does = (what, done, body) => async () => {
    if (busy) return; // not disabled: that would take the focus away from who uses the keyboard
    busy = true;
    await attempt(async () => {
      const answer = await act("POST", functionUrl(key, `/schedules/${what}`), body ?? {});
      say(done(answer ?? {}));
      changed();
    });
    busy = false;
  };
  const steer = paused
    ? button("Resume", `Resume ${key}`, "pause", does("resume", () => `${key} is called by its schedules again, from now on.`))
    : button("Pause", `Pause ${key}`, "pause", does("pause", () => `${key} is not called by its schedules until it is resumed.`));
  const run = button("Run now", `Run ${key} now, as ${schedule}`, "run", does("run", ({ status, job }) => (status === 202 || job ? "It was called; its schedule stays as it is." : `It answered ${status}.`), { schedule }));
  const more = runs.slice(1);
  const options = OPTIONS.map((said) => said(one)).filter(Boolean).join(", ");
  const told = [
    next.length > 1 && make("p", {}, "Then: ", ...next.slice(1).flatMap((at, number) => [number ? ", " : "", dueOf(at, zone)])),
    more.length && make("ul", { class: "runs", "aria-label": "Ticks before the last one" }, ...more.map(runItem)),
    options && make("p", { class: "quiet" }, `${options[0].toUpperCase()}${options.slice(1)}.`),
  ].filter(Boolean);
  return make(
    "li", { "data-key": `${key} ${schedule}` },
    make(
      "article", { class: "schedule" },
      make(
        "div", { class: "who" },
        link ? make("h3", {}, make("a", { class: "name", href: `/ui/functions/${encodeURIComponent(key)}` }, key)) : null,
        make("p", {}, make("code", {}, schedule), zone === "UTC" || schedule.includes(zone) ? null : ` ${zone}`),
      ),
      make(
        "dl", { class: "measures" },
        measure("Next", ...nextOf(one)),
        measure("Last", runs.length ? make("ul", { class: "runs" }, runItem(runs[0])) : "None is known"),
        waiting ? measure("Not sent yet", count(waiting)) : "",
      ),
      make("div", { class: "ranges" }, steer, run),
      told.length ? make("details", {}, make("summary", { "aria-label": `More about ${key}, ${schedule}` }, "More"), ...told) : null,
    ),
  );
};

/**
 * Shows a list, and leaves alone what did not change: who reads or has put a finger on something there goes on.
 * @param {HTMLElement} list @param {any[]} rows @param {(row: any) => HTMLElement} made
 */
export const showRows = (list, rows, made) => {
  const before = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = rows.map((row) => {
    const text = JSON.stringify(row);
    const old = before.get(`${row.function}.${row.namespace} ${row.schedule}`);
    if (old?.row === text) return old;
    const item = made(row);
    item.row = text;
    const open = old?.querySelector("details")?.open;
    if (open && item.querySelector("details")) item.querySelector("details").open = true;
    const focused = old?.contains(document.activeElement) ? document.activeElement : null;
    item.focusOn = focused && (focused.dataset.act ? `[data-act=${focused.dataset.act}]` : focused.localName);
    return item;
  });
  if (items.length !== list.children.length || items.some((item, number) => item !== list.children[number])) list.replaceChildren(...items);
  for (const item of items) {
    if (item.focusOn) item.querySelector(item.focusOn)?.focus();
    delete item.focusOn;
  }
};

