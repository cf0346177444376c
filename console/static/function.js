// One function: its history, why it was scaled, its log, and the forms to act on it.

import { Refused, act, functionUrl, get } from "./api.js";
import { panel } from "./charts.js";
import { answerOf, coldPart } from "./answer.js";
import { bytes, count, duration, rate, replicas } from "./format.js";
import { follow } from "./live.js";
import { logView } from "./log.js";
import { queueCard } from "./queue_card.js";
import { data, find, make, markField, ready, say, setText, timeOf, unmark, warn } from "./shell.js";
import { triggerCard } from "./trigger_card.js";
import { Timeline } from "./timeline.js";
import { versionCard } from "./version_card.js";
import { whatIf } from "./what_if.js";

const { key } = data;
const SPANS = { live: "the last 15 minutes", "1h": "the last hour", "6h": "the last 6 hours", "24h": "the last 24 hours", "7d": "the last 7 days" };

// Charts

const charts = {
  replicas: panel(find("#chart-replicas"), {
    title: "Replicas", format: count, least: 2, whole: true, marked: true,
    lines: [
      { key: "desired", label: "wanted", ink: "chart-2", dashed: true, steps: true },
      { key: "ready", label: "ready", ink: "chart-1", steps: true, area: true },
    ],
  }),
  rate: panel(find("#chart-rate"), {
    title: "Calls", format: rate, least: 1,
    lines: [
      { key: "rate", label: "answered", ink: "chart-1", area: true },
      { key: "errors", label: "failed", ink: "chart-bad" },
    ],
  }),
  p95: panel(find("#chart-p95"), {
    title: "95th percentile of a call's time", format: duration, least: 0.02,
    lines: [{ key: "p95_s", label: "p95", ink: "chart-3", area: true }],
  }),
  flight: panel(find("#chart-flight"), {
    title: "Calls in flight", format: count, least: 2, whole: true,
    lines: [{ key: "in_flight", label: "in flight", ink: "chart-2", area: true, steps: true }],
  }),
};
const VALUES = { desired: "desired", ready: "ready", rate: "rate", errors: "errors", p95_s: "p95", in_flight: "inFlight" };

let range = "live";
let history = data.history;
let row = null;

const draw = () => {
  for (const chart of Object.values(charts)) chart.show(history, SPANS[range]);
};

const grow = (at) => {
  if (range !== "live" || !row || removed || at <= history.until) return;
  const most = Math.round(900 / data.step);
  const missed = Math.max(0, Math.round((at - history.until) / data.step) - 1);
  for (const [column, name] of Object.entries(VALUES)) {
    const values = [...(history.columns[column] ?? []), ...Array(Math.min(missed, most)).fill(null), row[name]];
    history.columns[column] = values.slice(-most);
  }
  history.until = at;
  draw();
};

const choose = async (chosen) => {
  const problem = find("#range-problem");
  problem.hidden = true;
  try {
    const answer = await get(functionUrl(key, `/history?range=${chosen}`));
    range = chosen;
    history = answer;
    for (const button of document.querySelectorAll("[data-range]")) {
      button.setAttribute("aria-pressed", String(button.dataset.range === chosen));
    }
    draw();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem.textContent = `${error.message}. The last 15 minutes are kept by the console itself.`;
    problem.hidden = false;
  }
};
for (const button of document.querySelectorAll("[data-range]")) {
  button.addEventListener("click", () => choose(button.dataset.range));
}
setInterval(() => range !== "live" && !document.hidden && choose(range), 30_000);

// State

const sentence = ({ state, ready, desired, problem, held }) => {
  const waiting = held ? ` ${count(held)} ${held === 1 ? "caller waits" : "callers wait"} for it.` : "";
  const sentences = {
    ready: `${count(ready)} ${ready === 1 ? "replica answers" : "replicas answer"}.`,
    scaling: `${count(ready)} of ${count(desired)} replicas answer; the others are starting.`,
    starting: `${count(desired)} wanted, none answers yet.`,
    asleep: "No replica runs. The next caller wakes it.",
    problem: `No replica answers: ${problem}`,
    unknown: "How it is doing is not known at the moment.",
  };
  return sentences[state] + waiting;
};

// The number to scale to begins at what is wanted now, whoever changed that last, until somebody writes another one.
const wanted = find("#replicas");
let edited = wanted.value !== wanted.defaultValue; // it may have been written before this script was read
/** @type {number | null} */
let asked = null;
const showWanted = ({ desired }) => {
  if (asked !== null && asked === desired) {
    edited = false;
    asked = null;
  }
  if (!edited && desired != null) wanted.value = String(desired);
};

const showRow = (next) => {
  row = next;
  showWanted(row);
  const state = find("#state");
  state.dataset.state = row.state;
  setText(state, row.stateText);
  setText(find("#say"), sentence(row));
};

let removed = false;
const showRemoved = () => {
  removed = true;
  const state = find("#state");
  state.dataset.state = "absent";
  setText(state, "Removed");
  setText(find("#say"), "It is not there any more; what is shown is the last that was known of it.");
};

const tick = ({ at, rows, gone, warning, decisions }) => {
  if (rows.length) {
    removed = false;
    showRow(rows[0]);
  }
  // Of one that was deployed a moment ago nothing has been told yet, either.
  if (gone.length && row) showRemoved();
  warn(removed ? "This function was removed." : warning);
  const problem = find("#decisions-problem");
  problem.hidden = !decisions;
  setText(problem, decisions ? `New decisions do not come in: ${decisions}.` : "");
  grow(at);
};

// Decisions and cold starts

const timeline = new Timeline(find("#timeline"), find("#holds"), find("#no-decisions"));
let after = data.after;
const decided = (list) => {
  timeline.add(list);
  charts.replicas.mark(timeline.changes());
  if (list.length) after = Math.max(after, ...list.map(({ number }) => number));
};

const colds = find("#colds");
let coldSeen = 0;
const cold = (list) => {
  for (const one of list.filter(({ number }) => number > coldSeen)) {
    coldSeen = one.number;
    const calls = one.calls > 1 ? `${one.calls} calls held, ${duration(one.seconds)} on average` : `A call held for ${duration(one.seconds)}`;
    colds.prepend(make("li", {}, make("div", { class: "head" }, calls, timeOf(one.at)), ...coldPart(one.parts)));
    while (colds.children.length > 50) colds.lastElementChild.remove();
  }
  find("#no-colds").hidden = colds.children.length > 0;
  colds.hidden = colds.children.length === 0;
};

// Acts

/** Runs one act of a form; what goes wrong is said beside it. */
const attempt = async (form, problem, work) => {
  const button = form.querySelector("[type=submit], .danger");
  problem.hidden = true;
  unmark(form);
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const fields = error.problems.map((text) => markField(form, text));
    problem.textContent = error.message;
    problem.hidden = fields.every(Boolean);
    fields.find(Boolean)?.focus();
  } finally {
    button.disabled = false;
  }
};

const edit = () => {
  edited = true;
  // What was asked for earlier takes nothing back that is written now.
  asked = null;
};
const step = (by) => {
  edit();
  wanted.value = String(Math.max(0, (Number.parseInt(wanted.value, 10) || 0) + by));
};
wanted.addEventListener("input", edit);
find("#fewer").addEventListener("click", () => step(-1));
find("#more").addEventListener("click", () => step(1));
find("#scale").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(event.target, find("#scale-problem"), async () => {
    const number = Number.parseInt(wanted.value, 10);
    asked = number;
    const { warning } = await act("POST", functionUrl(key, "/scale"), { replicas: number });
    setText(find("#scale-note"), warning);
    say(number === 0 ? "Put to sleep." : `Asked for ${number} ${number === 1 ? "replica" : "replicas"}.`);
  });
});

const invoke = find("#invoke");
invoke.addEventListener("submit", (event) => {
  event.preventDefault();
  const answer = find("#answer");
  attempt(invoke, find("#invoke-problem"), async () => {
    answer.replaceChildren(make("p", { class: "quiet" }, "Waiting for the answer …"));
    setText(find("#answer-said"), "Waiting for the answer");
    answer.hidden = false;
    try {
      const value = await act("POST", functionUrl(key, "/invoke"), Object.fromEntries(new FormData(invoke)));
      answer.replaceChildren(...answerOf(value));
      // Only this is read aloud: a body may be a quarter of a megabyte.
      setText(find("#answer-said"), find(".head", answer).textContent);
    } catch (error) {
      answer.hidden = true;
      throw error;
    }
  });
});
invoke.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) invoke.requestSubmit();
});

const question = document.querySelector("#what-if");
if (question) whatIf(question, attempt, (value) => act("POST", functionUrl(key, "/what-if"), value));

const dialog = find("#really");
find("#remove").addEventListener("click", () => dialog.showModal());
find("#yes").addEventListener("click", () =>
  attempt(dialog, find("#remove-problem"), async () => {
    await act("DELETE", functionUrl(key));
    location.assign("/ui/");
  }),
);

const usage = async () => {
  if (document.hidden || removed) return;
  const { cpu, memory } = await get(functionUrl(key, "/usage")).catch(() => ({}));
  setText(find("#cpu"), cpu == null ? "–" : `${(cpu / 1000).toFixed(2)} of a core`);
  setText(find("#memory"), bytes(memory));
};

// Begin

draw();
tick(data.tick);
if (!row) setText(find("#say"), "Waiting for its numbers …");
decided(data.decisions);
cold(data.cold);
const log = logView(() => stream.reopen());
const stream = follow(
  () => `/ui/events?function=${encodeURIComponent(key)}&after=${after}${log.wanted() ? "&log=true" : ""}`,
  { tick, decisions: decided, cold, ...log.handlers },
  log.onState,
);
usage();
queueCard(key);
triggerCard(key, data.triggers);
versionCard(key);
setInterval(usage, 10_000);

ready();
