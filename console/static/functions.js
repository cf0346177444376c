// The list of functions: one row each, changed where something changed.

import { get } from "./api.js";
import { inWords, spark } from "./charts.js";
import { count, duration, percent, rate, replicas } from "./format.js";
import { follow } from "./live.js";
import { copyOf, data, find, setText, warn } from "./shell.js";

const SPARK_POINTS = 60;
const MEASURES = [
  { name: "replicas", column: "desired", ink: "chart-1", steps: true, least: 1, words: count, title: "Replicas" },
  { name: "rate", column: "rate", ink: "chart-1", least: 1, words: rate, title: "Calls" },
  { name: "errors", column: "errors", ink: "chart-bad", least: 1, words: rate, title: "Errors" },
  { name: "p95", column: "p95_s", ink: "chart-3", least: 0.05, words: duration, title: "95th percentile" },
];
/** A row's value that goes into each column of its history. */
const VALUES = { desired: "desired", rate: "rate", errors: "errors", p95_s: "p95" };

/** @type {Map<string, any>} */
const shown = new Map();
const list = find("#rows");
const search = find("#search");
const states = find("#states");
const order = find("#order");

const update = (entry, row) => {
  entry.row = row;
  const { element } = entry;
  setText(find(".name", element), row.name);
  const state = find(".state", element);
  state.dataset.state = row.state;
  setText(state, row.stateText);
  setText(find(".owner", element), row.owner);
  const why = find(".why", element);
  setText(why, row.problem ?? (row.last ? `${row.last.change}: ${row.last.reasonText}` : ""));
  why.title = why.textContent;
  const texts = {
    replicas: replicas(row.ready, row.desired),
    rate: rate(row.rate),
    errors: percent(row.errorShare),
    p95: duration(row.p95),
  };
  for (const { name } of MEASURES) {
    const value = find(`[data-measure=${name}] .value`, element);
    setText(value, texts[name]);
    if (name === "errors") value.classList.toggle("bad", row.errorShare > 0);
  }
};

const add = (row) => {
  const element = copyOf("row");
  const link = find(".name", element);
  link.href = `/ui/functions/${encodeURIComponent(row.key)}`;
  const entry = { element, row, sparks: null, columns: null };
  shown.set(row.key, entry);
  element.dataset.key = row.key;
  update(entry, row);
  visible.observe(element);
};

const remove = (key) => {
  const entry = shown.get(key);
  if (!entry) return;
  visible.unobserve(entry.element);
  clear(entry);
  entry.element.remove();
  shown.delete(key);
};

// Small charts: there while their row is in sight, their past fetched for many rows at once.

let wanted = new Set();
const visible = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      const entry = shown.get(target.dataset.key);
      if (entry?.sparks && !isIntersecting) clear(entry);
      if (!entry || !isIntersecting || entry.sparks) continue;
      entry.sparks = MEASURES.map((measure) => spark(find(`[data-measure=${measure.name}] .spark`, target), measure));
      if (!wanted.size) setTimeout(fetchPasts, 50);
      wanted.add(target.dataset.key);
    }
  },
  { rootMargin: "200px" },
);

const clear = (entry) => {
  entry.sparks?.forEach((chart) => chart.remove());
  entry.sparks = entry.columns = null;
};

const fetchPasts = async () => {
  const keys = [...wanted];
  wanted = new Set();
  for (let at = 0; at < keys.length; at += 50) {
    const batch = keys.slice(at, at + 50);
    const pasts = await get(`/ui/api/sparks?keys=${batch.map(encodeURIComponent).join(",")}`).catch(() => ({}));
    for (const [key, { columns, until, step }] of Object.entries(pasts)) {
      const entry = shown.get(key);
      if (!entry?.sparks) continue;
      entry.columns = columns;
      draw(entry, until, step);
    }
  }
};

const draw = (entry, until, step) => {
  MEASURES.forEach(({ name, column, words, title }, index) => {
    const values = entry.columns[column] ?? [];
    const full = [...Array(Math.max(0, SPARK_POINTS - values.length)).fill(null), ...values];
    entry.sparks[index].show(full, until, step);
    const element = find(`[data-measure=${name}] .spark`, entry.element);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", `${title} over two minutes: ${inWords(values, words)}`);
  });
};

const grow = (at) => {
  for (const entry of shown.values()) {
    if (!entry.columns) continue;
    for (const [column, name] of Object.entries(VALUES)) {
      entry.columns[column] = [...(entry.columns[column] ?? []), entry.row[name]].slice(-SPARK_POINTS);
    }
    draw(entry, at, data.step);
  }
};

// What is listed, and in which order.

const arrange = () => {
  const words = search.value.trim().toLowerCase();
  const entries = [...shown.values()];
  const by = order.value;
  const compare = by === "name" ? () => 0 : (one, other) => (other.row[by] ?? -1) - (one.row[by] ?? -1);
  entries.sort((one, other) => compare(one, other) || one.row.key.localeCompare(other.row.key));
  let previous = null;
  let matching = 0;
  for (const { element, row } of entries) {
    element.hidden = !(row.key.includes(words) && (!states.value || row.state === states.value));
    matching += element.hidden ? 0 : 1;
    // Only what is out of place is moved, so that focus stays where it is.
    const place = previous ? previous.nextElementSibling : list.firstElementChild;
    if (place !== element) list.insertBefore(element, place);
    previous = element;
  }
  const total = entries.length;
  find("#some").hidden = total === 0;
  find("#totals").hidden = total === 0;
  find("#none").hidden = total > 0 || waiting;
  find("#none-found").hidden = matching > 0 || total === 0;
  setText(find("#found"), words || states.value ? `${matching} of ${total} functions` : "");
};

const sum = (rows, name) => rows.reduce((total, row) => (row[name] == null ? total : (total ?? 0) + row[name]), null);

const totals = () => {
  const rows = [...shown.values()].map(({ row }) => row);
  const calls = sum(rows, "rate");
  const errors = sum(rows, "errors");
  const texts = {
    functions: count(rows.length),
    replicas: replicas(sum(rows, "ready"), sum(rows, "desired")),
    rate: rate(calls),
    errors: calls ? percent(errors / calls) : "–",
  };
  for (const [name, text] of Object.entries(texts)) setText(find(`[data-total=${name}]`), text);
};

let waiting = true;
let last = 0;
const tick = ({ at, rows, gone, warning, known }) => {
  waiting = !known;
  gone.forEach(remove);
  for (const row of rows) {
    const entry = shown.get(row.key);
    entry ? update(entry, row) : add(row);
  }
  if (at > last) grow(at);
  last = at;
  warn(warning);
  totals();
  arrange();
};

/** A stream that was opened anew tells all functions there are: what it does not name has gone. */
let fresh = false;
const first = (value) => {
  if (fresh) {
    const named = new Set(value.rows.map((row) => row.key));
    value.gone = [...shown.keys()].filter((key) => !named.has(key));
    fresh = false;
  }
  tick(value);
};

tick(data.tick);
follow(() => ((fresh = true), "/ui/events"), { tick: first });
for (const control of [search, states, order]) control.addEventListener("input", arrange);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) {
    event.preventDefault();
    search.focus();
  }
});
