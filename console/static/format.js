// Numbers and times as people read them. What is not known is a dash, never a zero.

const DASH = "–";
const RELATIVE = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [Infinity, 86400, "d"],
];

/** @param {number | null | undefined} value @param {number} digits */
const digits = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });

/** @param {number | null | undefined} value */
export const count = (value) => (value == null ? DASH : digits(value, 0));

/** @param {number | null | undefined} value calls a second */
export const rate = (value) => (value == null ? DASH : `${digits(value, value >= 100 ? 0 : 1)} /s`);

/** @param {number | null | undefined} value a fraction */
export const percent = (value) => (value == null ? DASH : `${digits(value * 100, value > 0 && value < 0.1 ? 1 : 0)} %`);

/** @param {number | null | undefined} seconds */
export const duration = (seconds) => {
  if (seconds == null) return DASH;
  if (seconds < 0.001) return `${digits(seconds * 1e3, 2)} ms`;
  if (seconds < 0.01) return `${digits(seconds * 1e3, 1)} ms`;
  if (seconds < 1) return `${digits(seconds * 1e3, 0)} ms`;
  if (seconds < 10) return `${digits(seconds, 2)} s`;
  return `${digits(seconds, 1)} s`;
};

/** A length of time that may be long. @param {number} seconds */
export const span = (seconds) => {
  if (seconds < 120) return `${digits(seconds, 0)} s`;
  const [, unit, name] = RELATIVE.find(([below]) => seconds < below);
  return `${digits(seconds / unit, unit > 60 ? 1 : 0)} ${name}`;
};

/** @param {number | null | undefined} value */
export const bytes = (value) => {
  if (value == null) return DASH;
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${digits(value / 1e3, 1)} kB` : `${digits(value / 1e6, 1)} MB`;
};

/** @param {number | null} ready @param {number | null} desired */
export const replicas = (ready, desired) =>
  desired == null ? DASH : ready === desired ? count(desired) : `${count(ready)} of ${count(desired)}`;

/** @param {number} at seconds since the epoch */
export const ago = (at) => {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  if (seconds < 1.5) return "now";
  for (const [below, unit, name] of RELATIVE) {
    if (seconds < below) return `${Math.floor(seconds / unit)} ${name} ago`;
  }
  return "";
};

/** @param {number} at seconds since the epoch */
export const exact = (at) => new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} at seconds since the epoch */
export const clock = (at, seconds = false) =>
  new Date(at * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) });

/** The clock that all times are told by. */
export const zone = () => {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const offset = new Date().toLocaleTimeString("en", { timeZoneName: "shortOffset" }).split(" ").at(-1);
  return timeZone === offset || timeZone === "UTC" ? "UTC" : `${timeZone} (${offset})`;
};

/** @param {number} at seconds since the epoch */
export const day = (at) => new Date(at * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
