// What every page has: its first data, the theme button, times that grow older, the banner, the one-line messages.

import { ago, exact, zone } from "./format.js";

/** @type {any} the data the page came with */
export const data = JSON.parse(document.getElementById("data")?.textContent ?? "{}");

/** @template {Element} T @param {string} selector @param {ParentNode} [within] @returns {T} */
export const find = (selector, within = document) => {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`no ${selector} on this page`);
  return /** @type {T} */ (found);
};

/** Makes an element. Text is always text, never HTML. */
export const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child != null));
  return element;
};

/** A term of a `dl` and what it is; nothing where that is not known. */
export const pair = (name, value) => (value == null ? [] : [make("dt", {}, name), make("dd", {}, value)]);

/** @param {string} id */
export const copyOf = (id) => find(`#${id}`).content.firstElementChild.cloneNode(true);

export const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** A time that says how long ago it was, and exactly when on hover. @param {number} at seconds since the epoch */
export const timeOf = (at) =>
  make("time", { datetime: new Date(at * 1000).toISOString(), title: exact(at), "data-at": at }, ago(at));

/** What became of something. @param {Record<string, [string, string]>} outcomes words and look of each */
export const outcomeBadge = (outcomes, outcome) => {
  const [text, look] = outcomes[outcome] ?? [outcome, "absent"];
  return make("span", { class: "state", "data-state": look }, text);
};

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-at]")) setText(element, ago(Number(element.dataset.at)));
}, 1000);

/** @param {string | null} text a warning that stays until it is taken back */
export const warn = (text) => {
  const banner = find("#banner");
  banner.hidden = !text;
  setText(banner, text ?? "");
};

/**
 * Marks the field that a problem names at its beginning, and says the problem beside it.
 * @param {HTMLFormElement} form @param {string} problem @param {Record<string, string>} [fields] other names of fields
 * @returns {HTMLElement | null} the field
 */
export const markField = (form, problem, fields = {}) => {
  const name = problem.match(/^[\w.-]+/)?.[0] ?? "";
  const input = form.elements?.namedItem(fields[name] ?? name);
  if (!(input instanceof HTMLElement) || !input.name) return null;
  const id = `${input.id}-problem`;
  const beside = document.getElementById(id) ?? make("span", { class: "wrong", id });
  beside.append(make("span", {}, problem));
  if (!beside.isConnected) {
    input.closest(".field, .check").append(beside);
    input.setAttribute("aria-describedby", [input.getAttribute("aria-describedby"), id].filter(Boolean).join(" "));
  }
  input.setAttribute("aria-invalid", "true");
  return input;
};

/** @param {HTMLFormElement} form takes back what `markField` did */
export const unmark = (form) => {
  for (const beside of form.querySelectorAll(".wrong")) beside.replaceChildren();
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
};

let toastTimer = 0;
/** @param {string} text said once, to eyes and ears */
export const say = (text) => {
  const toast = find("#toast");
  toast.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.textContent = ""), 6000);
};

/** @param {"on" | "off" | "wait"} state */
export const showLive = (state) => {
  const live = document.getElementById("live");
  if (!live) return;
  live.dataset.state = state;
  const text = { on: "Live", off: "Not connected", wait: "Connecting" }[state];
  setText(find("span", live), text);
  live.title = text;
};

/**
 * What is clicked before its script is there does nothing, or lets the browser send a form by itself, and what was
 * typed is lost. So buttons come disabled, and the script that serves them enables them when it has been read.
 * @param {ParentNode} part
 */
export const ready = (part = document) => {
  for (const button of part.querySelectorAll("[data-waits]")) button.disabled = false;
};

setText(find("#zone"), `Times: ${zone()}`);

const button = find("#theme");
const showTheme = () => {
  const dark = document.documentElement.dataset.theme === "dark";
  button.setAttribute("aria-pressed", String(dark));
};
button.addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("springtide-theme", next);
  } catch {
    document.documentElement.dataset.theme = next;
  }
  dispatchEvent(new Event("themechosen"));
});
addEventListener("themechange", showTheme);
showTheme();
ready(find("header.top"));
