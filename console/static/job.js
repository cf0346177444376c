// One asynchronous call: what became of it so far, and what can be done about it.

import { Refused, act, get } from "./api.js";
import { count, duration } from "./format.js";
import { ENDED, deliveryText, instant, jobPage, jobUrl, letterUrl, showState } from "./jobs.js";
import { data, find, make, pair, ready, say, setText, timeOf } from "./shell.js";

const LOOK_MS = 2000;
let job = data;

const time = (text) => (text ? timeOf(instant(text)) : null);

const ran = ({ started_at: from, finished_at: to }) => (from && to ? duration(Math.max(0, instant(to) - instant(from))) : null);

const begun = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

const sentence = ({ state, reason, attempts, next_attempt_at: next, not_before: due, of_callback: ofCallback }) => {
  const tries = attempts === 1 ? "one try" : `${count(attempts)} tries`;
  if (state === "queued") return "It waits until its function has room.";
  if (state === "delayed") return due ? `Its time comes at ${new Date(due).toLocaleString()}.` : "Its time has not come.";
  if (state === "running") return attempts > 1 ? `It runs; this is try ${count(attempts)}.` : "It runs.";
  if (state === "retrying") return `After ${tries} it is to be tried again${next ? ` at ${new Date(next).toLocaleTimeString()}` : ""}.`;
  if (state === "done") return `The function answered after ${tries}.`;
  if (ofCallback && reason) return begun(reason);
  if (state === "failed") return `It was given up: ${reason ?? "no reason is known"}.`;
  return reason ? begun(reason) : "It was cancelled.";
};

/** Where the callback that was given up is kept. */
const letterOf = ({ callback_delivery: delivery }) =>
  delivery?.dead_letter ? make("a", { href: jobPage(delivery.dead_letter) }, "To its dead letter") : null;

const showAnswer = (answer) => {
  find("#answer-card").hidden = !answer;
  if (!answer) return;
  setText(find("#answer-title"), answer.status ? `Its answer: ${answer.status}` : "No answer came: the connection was lost");
  setText(find("#answer-body"), answer.body || "(empty)");
  const notes = [answer.encoding === "base64" && "It is no text, and shown in base64.", answer.truncated && "This is its beginning; springtide jobs show has all that was kept."];
  setText(find("#answer-note"), notes.filter(Boolean).join(" "));
  find("#answer-headers").replaceChildren(...Object.entries(answer.headers ?? {}).flatMap(([name, values]) => pair(name, values.join(", "))));
};

const show = (next) => {
  job = next;
  showState(find("#state"), job.state);
  setText(find("#say"), sentence(job));
  find("#story").replaceChildren(
    ...pair("Accepted", time(job.accepted_at)),
    ...pair("Put off to", time(job.not_before)),
    ...pair("Tries", count(job.attempts)),
    ...pair("Last begun", time(job.started_at)),
    ...pair("Next try", time(job.next_attempt_at)),
    ...pair("Ended", time(job.finished_at)),
    ...pair("Last try took", ran(job)),
    ...pair("Last status", job.status ? String(job.status) : null),
    ...pair("Telling its callback", deliveryText(job.callback_delivery)),
    ...pair("Dead letter", letterOf(job)),
  );
  showAnswer(job.answer);
  find("#cancel").hidden = ENDED.has(job.state);
  find("#retry").hidden = find("#purge").hidden = job.state !== "failed";
};

/** A call whose caller is still to be told has more to say. */
const over = ({ state, callback_delivery: delivery }) => ENDED.has(state) && (!delivery || ENDED.has(delivery.state));

const look = async () => {
  if (document.hidden || over(job)) return;
  await attempt(async () => show(await get(jobUrl(job.id))));
};

const attempt = async (work) => {
  const problem = find("#problem");
  try {
    await work();
    problem.hidden = true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    setText(problem, error.message);
    problem.hidden = false;
  }
};

const onClick = (id, work) => {
  const button = find(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await attempt(work);
    button.disabled = false;
  });
};

onClick("#cancel", async () => {
  show(await act("DELETE", jobUrl(job.id)));
  say(job.state === "cancelled" ? "It is cancelled." : "Its worker was told to end it.");
});
onClick("#retry", async () => {
  await act("POST", letterUrl(job.id, "/retry"));
  say("It was put back, and its tries are counted anew.");
  show(await get(jobUrl(job.id)));
});
onClick("#purge", async () => {
  await act("DELETE", letterUrl(job.id));
  say("It was thrown away; what became of it is remembered for a while.");
  find("#retry").hidden = find("#purge").hidden = true;
});

show(data);
setInterval(look, LOOK_MS);
ready();
