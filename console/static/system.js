// Whether every part of the suite is up.

import { duration } from "./format.js";
import { follow } from "./live.js";
import { data, find, make, setText, timeOf } from "./shell.js";

const card = ({ name, does, up, detail, version, address }) => {
  const state = up == null ? "absent" : up ? "up" : "down";
  const text = { absent: "Not here", up: "Up", down: "Down" }[state];
  const facts = [version && `Version ${version}`, address].filter(Boolean).join(" · ");
  return make(
    "li",
    {},
    make(
      "article",
      { class: "card" },
      make("div", { class: "head" }, make("h3", {}, name), make("span", { class: "state", "data-state": state }, text)),
      make("p", {}, detail ? `${detail[0].toUpperCase()}${detail.slice(1)}.` : ""),
      make("p", { class: "quiet small" }, `It ${does}.`),
      make("p", { class: "quiet small mono" }, facts),
    ),
  );
};

const alertItem = ({ name, severity, state, summary, since }) =>
  make(
    "li",
    {},
    make("strong", {}, name),
    make("span", { class: "state", "data-state": state }, state),
    make("span", { class: "quiet small wide" }, [severity, summary].filter(Boolean).join(": "), " since ", Date.parse(since) ? timeOf(Date.parse(since) / 1000) : "a moment ago"),
  );

const ageItem = ({ name, age, problem }) =>
  make(
    "li",
    {},
    make("span", {}, name),
    make("span", { class: "state", "data-state": problem ? "down" : "up" }, age == null ? (problem ? "Missing" : "Connected") : `${duration(age)} old`),
    problem ? make("span", { class: "quiet small wide" }, problem) : null,
  );

const show = ({ parts, alerts, data: ages, connected, set_aside: kept }) => {
  find("#set-aside").hidden = !kept.length;
  find("#set-aside-list").replaceChildren(...kept.map((path) => make("li", { class: "mono small" }, path)));
  find("#parts").replaceChildren(...parts.map(card));
  find("#alerts").replaceChildren(...(alerts ?? []).map(alertItem));
  const none = find("#no-alerts");
  none.hidden = Boolean(alerts?.length);
  setText(none, alerts ? "No alert fires." : "Which alerts fire is not known without Prometheus.");
  const link = { name: "Changes from the provider to the gateway", age: null, problem: connected === false ? "the gateway does not hear from the provider" : connected == null ? "not known" : null };
  find("#data-list").replaceChildren(...[...ages, link].map(ageItem));
  const down = parts.filter(({ up }) => up === false);
  const overall = find("#overall");
  overall.dataset.state = down.length ? "down" : "up";
  setText(overall, down.length ? `${down.map(({ name }) => name).join(", ")} down` : "Every part is up");
};

show(data);
follow(() => "/ui/events?page=system", { health: show });
