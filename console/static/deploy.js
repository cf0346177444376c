// The form that deploys a function, or changes one.

import { Refused, act } from "./api.js";
import { data, find, make } from "./shell.js";

const form = find("#deploy");
const problems = find("#problems");

const show = (list) => {
  problems.replaceChildren(
    make("strong", {}, data.update ? "It was not changed:" : "It was not deployed:"),
    make("ul", {}, ...list.map((problem) => make("li", {}, problem))),
  );
  problems.hidden = false;
  problems.focus();
  for (const input of form.elements) {
    // A problem begins with the name of its field.
    const wrong = input.name && list.some((problem) => new RegExp(`^(${input.name}|${input.name === "name" ? "service" : "-"})\\b`).test(problem));
    if (wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute?.("aria-invalid");
  }
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = Object.fromEntries(new FormData(form));
  const button = find("[type=submit]", form);
  const kept = data.update ? { requests: data.form.requests, constraints: data.form.constraints } : {};
  problems.hidden = true;
  button.disabled = true;
  try {
    const { key } = await act(data.update ? "PUT" : "POST", "/ui/api/functions", {
      ...value,
      ...kept,
      zero: form.elements.zero.checked,
      readOnly: form.elements.readOnly.checked,
    });
    location.assign(`/ui/functions/${encodeURIComponent(key)}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    show(error.problems);
  } finally {
    button.disabled = false;
  }
});
