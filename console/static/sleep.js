// What learned sleep would cost and spare: a curve by the price of a cold start, with today beside it.

import { get } from "./api.js";
import { count, span } from "./format.js";
import { data, find, make, setText, timeOf } from "./shell.js";

const ASK_EVERY_MS = 2000;
const FRAME = { left: 58, right: 18, top: 14, bottom: 46 };
const NAMES = { "24h": "day", "7d": "week", "30d": "30 days" };

const share = (value) => `${(value * 100).toLocaleString("en", { maximumSignificantDigits: 3 })} %`;
const hours = (value) => `${value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 })} h`;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
/** To the second, as labels have it: prices that were tried may lie close together. */
const worth = (seconds) => {
  let left = seconds;
  const parts = UNITS.map(([size, name]) => {
    const number = Math.floor(left / size);
    left -= number * size;
    return number ? `${number} ${name}` : "";
  });
  return parts.filter(Boolean).join(" ");
};

const SVG = "http://www.w3.org/2000/svg";
const draw = (name, attributes = {}, ...children) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
};

/** Round numbers from 0 on, some four of them, up to at least `most`. */
const marks = (most) => {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((each) => each >= rough * 0.999);
  return Array.from({ length: Math.ceil(most / step - 0.001) + 1 }, (_, number) => number * step);
};

/** Left is cheap, down is warm: both begin at 0, so that distances are what they look like. */
const paint = (element, curve) => {
  const width = Math.max(280, element.clientWidth), height = element.clientHeight || 320;
  const all = [...curve.tried, curve.today];
  const across = marks(Math.max(...all.map((each) => each.replica_hours), 1e-6));
  const up = marks(Math.max(...all.map((each) => each.cold_share), 1e-6));
  const x = (value) => FRAME.left + (value / across.at(-1)) * (width - FRAME.left - FRAME.right);
  const y = (value) => height - FRAME.bottom - (value / up.at(-1)) * (height - FRAME.top - FRAME.bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  for (const at of up) {
    svg.append(draw("path", { class: "grid", d: `M${FRAME.left} ${y(at)}H${width - FRAME.right}` }));
    svg.append(draw("text", { x: FRAME.left - 8, y: y(at) + 4, "text-anchor": "end" }, share(at)));
  }
  for (const at of across) svg.append(draw("text", { x: x(at), y: height - FRAME.bottom + 18, "text-anchor": "middle" }, count(at)));
  svg.append(draw("text", { x: width - FRAME.right, y: height - 8, "text-anchor": "end" }, "replica-hours"));
  const line = curve.tried.map((each) => `${x(each.replica_hours).toFixed(1)} ${y(each.cold_share).toFixed(1)}`).join("L");
  svg.append(draw("path", { class: "line", d: `M${line}` }));
  const point = (each, name, radius, text) =>
    svg.append(draw("circle", { class: name, cx: x(each.replica_hours), cy: y(each.cold_share), r: radius }, draw("title", {}, text)));
  for (const each of curve.tried) point(each, "tried", 3.5, `A cold start is worth ${worth(each.cold_worth_s)}: ${figures(each)}`);
  point(curve.best, "best", 7, `Advised, ${worth(curve.best.cold_worth_s)}: ${figures(curve.best)}`);
  point(curve.today, "today", 7, `Today: ${figures(curve.today)}`);
  element.replaceChildren(svg);
};

const figures = ({ cold_share: cold, replica_hours: cost }) => `${share(cold)} of calls cold, ${hours(cost)}`;

const row = (name, each, mark) =>
  make("tr", { "data-mark": mark }, make("th", { scope: "row" }, name), ...[share(each.cold_share), share(each.mean_cold_share), hours(each.replica_hours)].map((text) => make("td", {}, text)));

const table = ({ today, best, tried }) => {
  const head = ["A cold start is worth", "Cold calls", "Mean function", "Replica-hours"].map((text) => make("th", { scope: "col" }, text));
  const rows = tried.map((each) => {
    const advised = each.cold_worth_s === best.cold_worth_s;
    return row(advised ? `${worth(each.cold_worth_s)}, advised` : worth(each.cold_worth_s), each, advised ? "best" : null);
  });
  return make("table", {}, make("caption", { class: "hidden-text" }, "Prices that were tried"), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, row("Today", today, "today"), ...rows));
};

/** Why there is no curve to see; null where there is one. */
const missing = ({ off, curve, problem }) => {
  if (off) return off;
  if (!curve) return problem;
  if (curve.recorded_s >= curve.least_s) return null;
  return `Too little is recorded: ${span(curve.recorded_s)}. In the first half functions learn, and the second one is counted: from ${span(curve.least_s)} on there is something to tell.`;
};

const counted = ({ functions, of_functions: all, recorded_s: recorded }) => {
  const which = functions < all ? `${count(functions)} of ${count(all)} functions that may sleep, drawn at random` : `${count(functions)} functions that may sleep`;
  return `${which}; recorded for ${span(recorded)}, of which the second half is counted.`;
};

let shown = data;
const show = (seen) => {
  shown = seen;
  const { curve, working, problem, at } = seen;
  const none = working && !curve ? null : missing(seen);
  find("#none").hidden = !none;
  setText(find("#why-none"), none ?? "");
  const whole = curve && !none;
  find("#answer").hidden = !whole;
  find("#problem").hidden = !(problem && whole);
  setText(find("#problem"), problem && whole ? `This is of before: ${problem}` : "");
  const said = find("#said");
  said.replaceChildren();
  if (working) said.append(`Working it out from the calls of the last ${NAMES[seen.span]}; it takes some minutes at most.`);
  else if (whole) said.append("Worked out ", timeOf(at), ".");
  if (!whole) return;
  find("#curve").setAttribute("aria-label", `Learned sleep from ${figures(curve.tried[0])} to ${figures(curve.tried.at(-1))}. Today: ${figures(curve.today)}. Advised: ${figures(curve.best)}.`);
  paint(find("#curve"), curve);
  setText(find("#summary"), counted(curve));
  find("#tried").replaceChildren(table(curve));
  const price = worth(curve.best.cold_worth_s);
  setText(find("#advised"), curve.fits
    ? `For as many replica-hours as today a cold start is worth ${price}: ${share(curve.best.cold_share)} of calls are cold instead of ${share(curve.today.cold_share)}, for ${hours(curve.best.replica_hours)} instead of ${hours(curve.today.replica_hours)}.`
    : `No price costs as little as today; ${price} comes nearest.`);
  setText(find("#labels"), Object.entries(curve.labels).map(([label, value]) => `${label}: "${value}"`).join("\n"));
};

let asking = 0;
const ask = async () => {
  const number = ++asking;
  const chosen = find("#span").value;
  try {
    const seen = await get(`/ui/api/sleep?span=${chosen}`);
    if (number !== asking) return;
    show(seen);
    if (seen.working) setTimeout(() => number === asking && ask(), ASK_EVERY_MS);
  } catch (error) {
    if (number !== asking) return;
    setText(find("#said"), error.message);
    setTimeout(() => number === asking && ask(), 2 * ASK_EVERY_MS);
  }
};

find("#choice").addEventListener("submit", (event) => event.preventDefault());
find("#span").addEventListener("change", () => {
  history.replaceState(null, "", `?span=${find("#span").value}`);
  ask();
});
new ResizeObserver(() => !find("#answer").hidden && paint(find("#curve"), shown.curve)).observe(find("#curve"));
show(data);
if (data.working) ask();
