// Schedules and events: what is due, what became of it, and pausing, resuming and running by hand.

import { Refused } from "./api.js";
import { eventRow } from "./events.js";
import { count } from "./format.js";
import { follow } from "./live.js";
import { scheduleItem, showRows } from "./schedules.js";
import { data, find, make, ready, setText, warn } from "./shell.js";

const TYPING_MS = 300;
const form = find("#filter");
let offset = 0;

/** What is wrong as a sentence. */
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const attempt = async (work) => {
  const problem = find("#schedules-problem");
  try {
    await work();
    problem.hidden = true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    setText(problem, error.message);
    problem.hidden = false;
  }
};

// Schedules

const item = (row) => scheduleItem(row, { link: true, attempt, changed: () => stream.reopen() });

const foundText = ({ schedules, total, offset: from, counts }) => {
  if (!schedules.length) return "";
  const shown = total === schedules.length ? `${count(total)} of ${count(counts.schedules)}` : `${count(from + 1)} to ${count(from + schedules.length)} of ${count(total)}`;
  const more = [counts.paused && `${count(counts.paused)} paused`, counts.failing && `of ${count(counts.failing)} the last tick went wrong`].filter(Boolean);
  return `${[shown, ...more].join(", ")}.`;
};

const showWrong = ({ problems, counts }) => {
  find("#wrong").hidden = !problems.length;
  setText(find("#wrong-title"), "What is wrong of these schedules does not run:");
  const rest = counts.problems - problems.length;
  find("#wrong-list").replaceChildren(
    ...problems.map(({ function: name, namespace, problem }) =>
      make("li", {}, make("a", { href: `/ui/functions/${encodeURIComponent(`${name}.${namespace}`)}` }, `${name}.${namespace}`), `: ${problem}`)),
    ...(rest > 0 ? [make("li", {}, `${count(rest)} more problems: springtide schedule list tells all.`)] : []),
  );
};

const showOff = ({ off, uncalled = [], uncalledTotal: total = 0 }) => {
  find("#no-cron").hidden = !off;
  setText(find("#why-no-cron"), off ? sentence(off) : "");
  const names = uncalled.flatMap((key, number) => [number ? ", " : "", make("a", { href: `/ui/functions/${encodeURIComponent(key)}` }, key)]);
  const rest = total > uncalled.length ? ` and ${count(total - uncalled.length)} more` : "";
  find("#uncalled").replaceChildren(...(total ? ["Nobody calls by their schedules: ", ...names, `${rest}.`] : ["No function has a schedule."]));
};

let wrong = "";
const showSchedules = (told) => {
  const { off, problem, schedules = [], total = 0, limit, queue, problems = [] } = told;
  showOff(told);
  find("#cron").hidden = Boolean(off);
  warn(problem ? `What schedules do is not known now: ${problem}.` : null);
  if (off || problem) return; // what was last known stays
  const text = JSON.stringify(problems);
  if (text !== wrong) showWrong(told);
  wrong = text;
  find("#no-queue").hidden = queue;
  showRows(find("#schedules"), schedules, item);
  find("#no-schedules").hidden = schedules.length > 0;
  setText(find("#no-schedules"), told.counts.schedules ? "No schedule is like that." : "No function has a schedule. Give one the annotations topic=cron-function and schedule.");
  setText(find("#found"), foundText(told));
  find("#before").hidden = offset === 0;
  find("#after").hidden = told.offset + limit >= total;
  if (!schedules.length && total && offset) move(-offset);
};

// Events

const showEvents = ({ off, problem, events = [], connectors = [] }) => {
  const none = off ?? (problem || connectors.length ? null : "no connector runs");
  find("#no-connector").hidden = !none;
  setText(find("#no-connector"), none ? `Events are not known here: ${none}. springtide connector FILE calls functions for events of other systems.` : "");
  find("#events-problem").hidden = !problem;
  setText(find("#events-problem"), problem ? `What became of events is not known now: ${problem}.` : "");
  if (off || problem) return;
  const silent = connectors.filter((connector) => connector.problem);
  find("#silent").hidden = !silent.length;
  find("#silent-list").replaceChildren(...silent.map((connector) => make("li", {}, `The connector at ${connector.url} does not answer (${connector.problem}): its events are missing here.`)));
  find("#events-table").hidden = !events.length;
  find("#no-events").hidden = events.length > 0 || silent.length === connectors.length; // of none, too
  find("#events").replaceChildren(...events.map(eventRow));
};

const show = ({ schedules, events }) => {
  showSchedules(schedules);
  showEvents(events);
};

// What is asked for

const asked = () => new URLSearchParams({ ...Object.fromEntries(new FormData(form)), offset: String(offset) });

const look = () => {
  const there = asked();
  for (const [name, value] of [...there]) if (!value || (name === "offset" && value === "0")) there.delete(name);
  history.replaceState(null, "", there.size ? `?${there}` : location.pathname);
  stream.reopen();
};
const move = (by) => {
  offset = Math.max(0, offset + by);
  look();
};
let typing = 0;
form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    offset = 0;
    look();
  }, TYPING_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  look();
});
find("#before").addEventListener("click", () => move(-data.schedules.limit));
find("#after").addEventListener("click", () => move(data.schedules.limit));
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest?.("input, textarea, select")) return;
  event.preventDefault();
  find("#search").focus();
});

const before = new URLSearchParams(location.search);
for (const name of ["search", "state", "order"]) if (before.get(name)) form.elements[name].value = before.get(name);
offset = data.schedules.offset;
const stream = follow(() => `/ui/events?page=triggers&${asked()}`, { triggers: show });
show(data);
ready();
