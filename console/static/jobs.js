// Asynchronous calls in a person's words, for the pages that show them.

import { count } from "./format.js";
import { make } from "./shell.js";

export const STATES = {
  queued: "Waits for its turn",
  delayed: "Put off",
  running: "Runs",
  retrying: "Is to be tried again",
  done: "Done",
  failed: "Given up",
  cancelled: "Cancelled",
};
const LOOKS = { queued: "pending", delayed: "asleep", running: "scaling", retrying: "pending", done: "ready", failed: "problem", cancelled: "absent" };

export const ENDED = new Set(["done", "failed", "cancelled"]);

/** @param {HTMLElement} badge @param {string} state */
export const showState = (badge, state) => {
  badge.dataset.state = LOOKS[state] ?? "absent";
  badge.textContent = STATES[state] ?? state;
};

/** @param {string} state */
export const stateBadge = (state) => {
  const badge = make("span", { class: "state" });
  showState(badge, state);
  return badge;
};

const times = (number) => (number === 1 ? "once" : `${count(number)} times`);
const lastOf = ({ state, status, reason }) => {
  if (state !== "retrying" && reason) return reason;
  return status ? `the last answer was ${status}` : `no answer came the last time${reason ? ` (${reason})` : ""}`;
};

/** How telling a caller goes, in a sentence; null: there is nobody to tell. */
export const deliveryText = (delivery) => {
  if (!delivery) return null;
  const { state, attempts, next_attempt_at: next, dead_letter: letter } = delivery;
  if (!attempts) return "The answer is to be sent.";
  if (state === "done") return `It was told, having been tried ${times(attempts)}: ${lastOf(delivery)}.`;
  if (state === "retrying") return `Tried ${times(attempts)}: ${lastOf(delivery)}${next ? `; again at ${new Date(next).toLocaleTimeString()}` : ""}.`;
  return `Given up, having been tried ${times(attempts)}: ${lastOf(delivery)}${letter ? "" : "; its dead letter was thrown away"}.`;
};

/** The same for a list, where it is not as it should be. */
export const deliveryMark = (delivery) => {
  if (!delivery || delivery.state === "done") return null;
  if (delivery.state === "retrying") return `callback tried ${times(delivery.attempts)}`;
  return delivery.attempts ? "callback given up" : "callback to be sent";
};

/** Seconds since the epoch. @param {string | null} text RFC 3339 */
export const instant = (text) => (text ? Date.parse(text) / 1000 : null);

/** @param {string} id */
export const jobUrl = (id) => `/ui/api/jobs/${encodeURIComponent(id)}`;
/** @param {string} id */
export const letterUrl = (id, rest = "") => `/ui/api/dead-letters/${encodeURIComponent(id)}${rest}`;
/** @param {string} id */
export const jobPage = (id) => `/ui/jobs/${encodeURIComponent(id)}`;
