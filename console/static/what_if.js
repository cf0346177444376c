// "What if": policies that are tried on recorded calls, as a table and two charts.

import { panel } from "./charts.js";
import { count, duration, rate, span } from "./format.js";
import { find, make, setText } from "./shell.js";

const INKS = ["chart-1", "chart-2", "chart-3", "chart-bad"];
const AS_IT_WAS = "(as it was)";
const HEADS = ["Policy", "Calls", "Cold", "p50", "p95", "p99", "Replica-hours", "Flaps", "Largest"];

const row = (name, { calls, cold, wait_p50_s, wait_p95_s, wait_p99_s, replica_hours, flaps, largest }) =>
  make(
    "tr", {}, make("th", { scope: "row" }, name),
    // Nobody waited for nothing: without calls there is no wait, not one of 0.
    ...[count(calls), count(cold), ...[wait_p50_s, wait_p95_s, wait_p99_s].map((wait) => duration(calls ? wait : null)), replica_hours.toFixed(2), count(flaps), count(largest)]
      .map((text) => make("td", {}, text)),
  );

const table = ({ policies, functions }) => {
  const really = functions[0].as_it_was;
  const rows = policies.map((result, number) => row(`${number + 1}: ${result.policy}`, result));
  if (really) {
    const cells = ["–", count(really.cold), "–", "–", "–", really.replica_hours.toFixed(2), "–", count(really.largest)];
    rows.push(make("tr", {}, make("th", { scope: "row" }, "As it was"), ...cells.map((text) => make("td", {}, text))));
  }
  const head = make("tr", {}, ...HEADS.map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("caption", { class: "hidden-text" }, "Policies that were tried"), make("thead", {}, head), make("tbody", {}, ...rows));
};

const sentence = ({ functions, policies, unknown_share: unknown }, since) => {
  const { length_s: length, service_mean_s: service, cold_start_s: start } = functions[0];
  const parts = [`Recorded for ${span(length)} of the last ${since}.`];
  if (!policies[0].calls) parts.push("It was not called in that time, so nobody waited.");
  if (service != null) parts.push(`A call takes ${duration(service)} on average.`);
  parts.push(start == null ? "No start was measured; two seconds are assumed." : `A start takes ${duration(start)}.`);
  if (unknown > 0) parts.push(`Of ${(unknown * 100).toFixed(1)} % of that time nothing is known, as when no gateway was scraped; it is left out.`);
  return parts.join(" ");
};

/** @param {HTMLFormElement} form @param {Function} attempt @param {(value: unknown) => Promise<any>} ask */
export const whatIf = (form, attempt, ask) => {
  const tried = panel(find("#chart-tried"), {
    title: "Replicas by policy", format: count, least: 2,
    lines: [
      ...INKS.map((ink, number) => ({ key: `p${number}`, label: String(number + 1), ink, steps: true })),
      { key: "really", label: "as it was", ink: "quiet", dashed: true, steps: true },
    ],
  });
  const load = panel(find("#chart-recorded"), {
    title: "Calls recorded", format: rate, least: 1, lines: [{ key: "load", label: "begun", ink: "chart-1", area: true }],
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const said = find("#what-if-said");
    attempt(form, find("#what-if-problem"), async () => {
      setText(said, "Trying them on the recorded calls …");
      try {
        const answer = await ask(Object.fromEntries(new FormData(form)));
        const { part_s: step, calls_per_s: calls, replicas } = answer.over_time;
        const { begin, length_s: length } = answer.functions[0];
        const columns = {};
        replicas.filter(({ policy }) => policy !== AS_IT_WAS).forEach((each, number) => (columns[`p${number}`] = each.replicas));
        columns.really = replicas.find(({ policy }) => policy === AS_IT_WAS)?.replicas ?? [];
        find("#what-if-answer").hidden = false;
        find("#what-if-table").replaceChildren(table(answer));
        const until = begin + length - step / 2;
        tried.show({ columns, until, step }, "the recorded time");
        load.show({ columns: { load: calls }, until, step }, "the recorded time");
        setText(said, sentence(answer, form.elements.since.value));
      } catch (error) {
        setText(said, "");
        throw error;
      }
    });
  });
};
