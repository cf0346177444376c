// Asynchronous calls in a person's words, for the pages that show them.

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

/** Seconds since the epoch. @param {string | null} text RFC 3339 */
export const instant = (text) => (text ? Date.parse(text) / 1000 : null);

/** @param {string} id */
export const jobUrl = (id) => `/ui/api/jobs/${encodeURIComponent(id)}`;
/** @param {string} id */
export const letterUrl = (id, rest = "") => `/ui/api/dead-letters/${encodeURIComponent(id)}${rest}`;
/** @param {string} id */
export const jobPage = (id) => `/ui/jobs/${encodeURIComponent(id)}`;
