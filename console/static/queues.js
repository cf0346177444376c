// The queues: what waits and runs by function, the calls themselves, and those that were given up.

import { Refused, act, get } from "./api.js";
import { count, rate, span } from "./format.js";
import { deliveryMark, instant, jobPage, letterUrl, stateBadge } from "./jobs.js";
import { follow } from "./live.js";
import { data, find, make, ready, say, setText, timeOf, warn } from "./shell.js";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}(-callback)?$/i;
const FORMATS = { rate, repeated: rate, oldestAge: (age) => (age == null ? "–" : span(age)) };

const cell = (content, attributes = {}) => make("td", attributes, content);
const functionLink = (key) => make("a", { href: `/ui/functions/${encodeURIComponent(key)}` }, key);

// By function

const rowOf = ({ key, queue, pending, running, rate: ended, repeated }) =>
  make("tr", {}, make("th", { scope: "row" }, functionLink(key)), cell(queue), cell(count(pending)), cell(count(running)), cell(rate(ended)), cell(rate(repeated)));

let dead = null;

const show = ({ off, problem, measured, rows, more, totals }) => {
  find("#off").hidden = !off;
  find("#on").hidden = Boolean(off);
  setText(find("#why-off"), off ? `${off[0].toUpperCase()}${off.slice(1)}.` : "");
  warn(problem ? `What is in the queues is not known now: ${problem}.` : null);
  for (const [name, value] of Object.entries(totals)) setText(find(`[data-total=${name}]`), (FORMATS[name] ?? count)(value));
  find("#rows").replaceChildren(...rows.map(rowOf));
  find("#no-rows").hidden = Boolean(rows.length || problem || off);
  find("#more-rows").hidden = !more;
  setText(find("#more-rows"), more ? `${count(more)} more functions have fewer calls in a queue.` : "");
  find("#unmeasured").hidden = Boolean(measured || problem || off);
  if (!off && totals.dead !== null && totals.dead !== dead) {
    dead = totals.dead;
    showLetters();
  }
};

/** @param {HTMLElement} problem @param {() => Promise<void>} work */
const attempt = async (problem, work) => {
  problem.hidden = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    setText(problem, error.message);
    problem.hidden = false;
  }
};

// Calls

const jobRow = ({ id, function: name, namespace, state, attempts, status, callback_delivery: delivery, accepted_at: accepted }) =>
  make(
    "tr", {},
    make("th", { scope: "row" }, make("a", { href: jobPage(id), class: "mono" }, id)),
    cell(functionLink(`${name}.${namespace}`)), cell(stateBadge(state)), cell(count(attempts)), cell([status ?? "–", deliveryMark(delivery)].filter(Boolean).join(", ")),
    cell(accepted ? timeOf(instant(accepted)) : "–"),
  );

const showJobs = () =>
  attempt(find("#jobs-problem"), async () => {
    const form = find("#filter");
    const asked = new URLSearchParams({ state: form.elements.state.value, function: form.elements.find.value.trim() });
    const { jobs = [], complete } = await get(`/ui/api/jobs?${asked}`);
    find("#jobs").replaceChildren(...jobs.map(jobRow));
    const found = jobs.length === 1 ? "One call." : `${count(jobs.length)} calls.`;
    setText(find("#jobs-said"), jobs.length ? (complete ? found : `${found} There are more: ask for a state or a function.`) : "No call is like that.");
  });

find("#filter").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = find("#find").value.trim();
  if (ID.test(wanted)) location.assign(jobPage(wanted.toLowerCase()));
  else showJobs();
});

// Given up

const decided = (what, said) => async (event) => {
  event.target.disabled = true;
  await attempt(find("#dead-problem"), async () => {
    await what();
    say(said);
    event.target.closest("li").remove();
  });
  event.target.disabled = false;
};

const letterItem = (letter) => {
  const { id, function: name, namespace, reason, dead_at: at, of_callback: callback } = letter;
  const again = make("button", { type: "button", class: "small", "aria-label": `Try ${id} again` }, "Try it again");
  again.addEventListener("click", decided(() => act("POST", letterUrl(id, "/retry")), "It was put back, and its tries are counted anew."));
  const away = make("button", { type: "button", class: "danger small", "aria-label": `Throw ${id} away` }, "Throw it away");
  away.addEventListener("click", decided(() => act("DELETE", letterUrl(id)), "It was thrown away."));
  return make(
    "li", {},
    make("span", {}, make("strong", {}, callback ? `Callback for ${name}.${namespace}` : `${name}.${namespace}`), " ", make("a", { href: jobPage(id), class: "mono small" }, id)),
    make("span", { class: "ranges" }, again, away),
    make("span", { class: "quiet small wide" }, `${reason ?? "no reason is known"}, `, at ? timeOf(instant(at)) : "some time ago"),
  );
};

let next = null;
const showLetters = (after = null) =>
  attempt(find("#dead-problem"), async () => {
    const answer = await get(`/ui/api/dead-letters${after ? `?after=${encodeURIComponent(after)}` : ""}`);
    const items = (answer.letters ?? []).map(letterItem);
    if (after) find("#dead").append(...items);
    else find("#dead").replaceChildren(...items);
    next = answer.next;
    find("#more-dead").hidden = !next;
    setText(find("#no-dead"), find("#dead").childElementCount ? "" : "Nothing was given up.");
  });
find("#more-dead").addEventListener("click", () => showLetters(next));

const named = new URLSearchParams(location.search).get("function");
if (named) find("#find").value = named;
show(data);
if (!data.off) showJobs();
follow(() => "/ui/events?page=queues", { queues: show });
ready();
