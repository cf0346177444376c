// The form that deploys a function, or changes one.

import { Refused, act } from "./api.js";
import { data, find, make, markField, ready, unmark } from "./shell.js";

const form = find("#deploy");
const problems = find("#problems");

/** Problems that the provider finds begin with a label, or with its own word for a field. */
const named = () => {
  const written = form.elements.labels.value.match(/^[\w./-]+/gm) ?? [];
  const fields = Object.entries(data.fields).filter(([, field]) => form.elements[field].value);
  return { service: "name", ...Object.fromEntries(written.map((label) => [label, "labels"])), ...Object.fromEntries(fields) };
};

const show = (list) => {
  const fields = named();
  const item = (problem) => {
    const input = markField(form, problem, fields);
    return make("li", {}, input ? make("a", { href: `#${input.id}` }, problem) : problem);
  };
  problems.replaceChildren(
    make("strong", {}, data.update ? "It was not changed:" : "It was not deployed:"),
    make("ul", {}, ...list.map(item)),
  );
  problems.hidden = false;
  problems.focus();
};

problems.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  find(link.hash).focus();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = Object.fromEntries(new FormData(form));
  const button = find("[type=submit]", form);
  const kept = data.update ? { requests: data.form.requests, constraints: data.form.constraints } : {};
  problems.hidden = true;
  unmark(form);
  // What a browser cannot read as a number it hands out as nothing, which would mean the default.
  const unread = [...form.elements].filter((input) => input.validity?.badInput);
  if (unread.length) {
    show(unread.map((input) => `${input.name}: write a whole number`));
    return;
  }
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

ready();
