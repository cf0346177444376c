// Charts by Lightweight Charts, in our colours, with words beside them. Without that library there are only the words.

import { clock, day } from "./format.js";
import { make, setText } from "./shell.js";

const library = /** @type {any} */ (window).LightweightCharts;
export const hasCharts = Boolean(library);

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const faint = (hex, alpha) => `${hex}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;

/** @type {Set<() => void>} */
const repaint = new Set();
addEventListener("themechange", () => repaint.forEach((paint) => paint()));

/** Points of evenly spaced values that end at `until`. What is missing stays a gap. */
const points = (values, until, step) => {
  const first = until - (values.length - 1) * step;
  return values.map((value, index) => {
    const time = Math.round((first + index * step) * 1000) / 1000;
    return value == null ? { time } : { time, value };
  });
};

/** The library joins what lies on both sides of a gap; an invisible piece of line keeps them apart. */
const withGaps = (list) =>
  list.map((point, index) => {
    const afterGap = point.value !== undefined && index > 0 && list[index - 1].value === undefined;
    return afterGap ? { ...point, ...INVISIBLE } : point;
  });
const INVISIBLE = { color: "transparent", lineColor: "transparent", topColor: "transparent", bottomColor: "transparent" };

const zeroBased = (least, above = 0) => (original) => {
  const known = original();
  const highest = Math.max(least, known?.priceRange?.maxValue ?? 0);
  return { priceRange: { minValue: 0, maxValue: highest }, margins: { above, below: 0 } };
};
/** Pixels above the highest line, so that the marks of decisions are whole there, too. */
const MARKS = 16;

/**
 * A chart the size of a word.
 * @param {HTMLElement} element
 * @param {{ink: string, steps?: boolean, least: number}} look
 */
export const spark = (element, { ink, steps = false, least }) => {
  if (!library) return { show: () => {}, remove: () => {} };
  const chart = library.createChart(element, {
    autoSize: true,
    layout: { background: { color: "transparent" }, attributionLogo: false, panes: { separatorColor: "transparent" } },
    grid: { vertLines: { visible: false }, horzLines: { visible: false } },
    rightPriceScale: { visible: false, borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.06 } },
    timeScale: { visible: false, borderVisible: false, borderColor: "transparent", minBarSpacing: 0.1 },
    crosshair: { vertLine: { visible: false }, horzLine: { visible: false } },
    handleScroll: false,
    handleScale: false,
  });
  const series = chart.addSeries(library.AreaSeries, {
    lineWidth: 1.5,
    lineType: steps ? 1 : 0,
    priceLineVisible: false,
    lastValueVisible: false,
    crosshairMarkerVisible: false,
    autoscaleInfoProvider: zeroBased(least),
  });
  const paint = () => {
    const shade = colour(ink);
    series.applyOptions({ lineColor: shade, topColor: faint(shade, 0.28), bottomColor: faint(shade, 0.04) });
  };
  paint();
  repaint.add(paint);
  return {
    /** @param {(number | null)[]} values @param {number} until @param {number} step */
    show: (values, until, step) => {
      series.setData(withGaps(points(values, until, step)));
      chart.timeScale().fitContent();
    },
    remove: () => {
      repaint.delete(paint);
      chart.remove();
    },
  };
};

/** @param {(number | null)[]} values @param {(value: number | null) => string} format */
export const inWords = (values, format) => {
  const known = values.filter((value) => value != null);
  if (!known.length) return "nothing measured";
  const now = values[values.length - 1];
  return `now ${now == null ? "not measured" : format(now)}, lowest ${format(Math.min(...known))}, highest ${format(Math.max(...known))}`;
};

/**
 * A chart with axes, a legend that follows the pointer, and its numbers as text and as a table.
 * @param {HTMLElement} figure
 * @param {{title: string, format: (value: number | null) => string, least: number, whole?: boolean, marked?: boolean,
 *   lines: {key: string, label: string, ink: string, dashed?: boolean, steps?: boolean, area?: boolean}[]}} look
 */
export const panel = (figure, { title, format, least, whole = false, marked = false, lines }) => {
  const canvas = make("div", { class: "canvas", role: "img" });
  const summary = make("p", { class: "summary" });
  const legend = make("ul", { class: "legend" });
  const values = lines.map(({ label, ink, dashed }) => {
    const swatch = make("span", { class: "swatch", "data-dashed": dashed });
    swatch.style.setProperty("--ink", `var(--${ink})`);
    const value = make("b", {}, "–");
    legend.append(make("li", {}, swatch, `${label} `, value));
    return value;
  });
  const table = make("details", {}, make("summary", {}, "As a table"));
  figure.append(make("h3", {}, title), legend, canvas, summary, table);
  canvas.hidden = !library;

  /** @type {{columns: Record<string, (number | null)[]>, until: number, step: number} | null} */
  let shown = null;
  const chart = library?.createChart(canvas, {
    autoSize: true,
    layout: {
      background: { color: "transparent" },
      attributionLogo: false,
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 11,
    },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.04 }, minimumWidth: 52, entireTextOnly: true },
    timeScale: {
      borderVisible: false,
      timeVisible: true,
      secondsVisible: true,
      minBarSpacing: 0.05,
      fixLeftEdge: true,
      fixRightEdge: true,
      tickMarkFormatter: (time, kind) => (kind < 3 ? day(time) : clock(time, kind === 4)),
    },
    grid: { vertLines: { visible: false } },
    localization: { priceFormatter: format, timeFormatter: (time) => `${day(time)} ${clock(time, true)}` },
    crosshair: { horzLine: { visible: false, labelVisible: false } },
    handleScroll: false,
    handleScale: false,
  });
  const series = lines.map(({ steps, area, dashed }) =>
    chart?.addSeries(area ? library.AreaSeries : library.LineSeries, {
      lineWidth: 2,
      lineType: steps ? 1 : 0,
      lineStyle: dashed ? 2 : 0,
      priceLineVisible: false,
      lastValueVisible: false,
      priceFormat: { type: "custom", formatter: format, minMove: whole ? 1 : 0.0001 },
      autoscaleInfoProvider: zeroBased(least, marked ? MARKS : 0),
    }),
  );
  const markers = chart && library.createSeriesMarkers(series[0], []);
  const paint = () => {
    chart?.applyOptions({
      layout: { textColor: colour("quiet") },
      grid: { horzLines: { color: colour("line") } },
      crosshair: { vertLine: { color: colour("strong-line"), labelBackgroundColor: colour("quiet") } },
    });
    lines.forEach(({ ink, area }, index) => {
      const shade = colour(ink);
      series[index]?.applyOptions(
        area ? { lineColor: shade, topColor: faint(shade, 0.22), bottomColor: faint(shade, 0.02) } : { color: shade },
      );
    });
    showMarks();
  };

  const legendAt = (index) =>
    lines.forEach(({ key }, number) => setText(values[number], format(shown?.columns[key]?.at(index) ?? null)));
  chart?.subscribeCrosshairMove(({ logical, point }) => {
    const index = point && logical != null ? Math.round(logical) : -1;
    const most = shown?.columns[lines[0].key]?.length ?? 0;
    legendAt(index >= 0 && index < most ? index : -1);
  });

  let marks = [];
  const showMarks = () => {
    if (!markers || !shown) return;
    const { until, step, columns } = shown;
    const from = until - ((columns[lines[0].key]?.length ?? 0) - 1) * step;
    markers.setMarkers(
      marks
        .filter(({ at }) => at >= from && at <= until + step)
        .map(({ at, up }) => ({
          time: Math.min(until, Math.round((from + Math.round((at - from) / step) * step) * 1000) / 1000),
          position: "aboveBar",
          shape: up ? "arrowUp" : "arrowDown",
          color: colour(up ? "accent" : "sleep"),
          size: 0.8,
        }))
        .sort((one, other) => one.time - other.time),
    );
  };

  const fillTable = () => {
    table.querySelector(".table-wrap")?.remove();
    if (!table.open || !shown) return;
    const { columns, until, step } = shown;
    const length = columns[lines[0].key]?.length ?? 0;
    const every = Math.max(1, Math.ceil(length / 12));
    const body = make("tbody");
    for (let index = length - 1; index >= 0; index -= every) {
      const at = until - (length - 1 - index) * step;
      body.append(
        make("tr", {}, make("td", {}, clock(at, true)), ...lines.map(({ key }) => make("td", {}, format(columns[key][index])))),
      );
    }
    const head = make("tr", {}, ...["Time", ...lines.map(({ label }) => label)].map((text) => make("th", { scope: "col" }, text)));
    const wrap = make("div", { class: "table-wrap" }, make("table", {}, make("caption", { class: "hidden-text" }, title), make("thead", {}, head), body));
    table.append(wrap);
  };
  table.addEventListener("toggle", fillTable);

  repaint.add(paint);
  paint();
  return {
    /** @param {{columns: Record<string, (number | null)[]>, until: number, step: number}} history @param {string} span in words */
    show: (history, span) => {
      shown = history;
      lines.forEach(({ key }, index) =>
        series[index]?.setData(withGaps(points(history.columns[key] ?? [], history.until, history.step))),
      );
      chart?.timeScale().fitContent();
      showMarks();
      legendAt(-1);
      const words = lines.map(({ key, label }) => `${label}: ${inWords(history.columns[key] ?? [], format)}`).join("; ");
      setText(summary, `${inWords(history.columns[lines[0].key] ?? [], format)}, in ${span}`);
      canvas.setAttribute("aria-label", `${title} in ${span}. ${words}`);
      if (table.open) fillTable();
    },
    /** @param {{at: number, up: boolean}[]} list when replicas were added or taken away */
    mark: (list) => {
      marks = list;
      showMarks();
    },
  };
};
