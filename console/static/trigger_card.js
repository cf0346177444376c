// What calls a function by itself, on its page: its schedules, and the last events of the topics it wants.

import { Refused, functionUrl, get } from "./api.js";
import { eventItem } from "./events.js";
import { scheduleItem, showRows } from "./schedules.js";
import { find, setText } from "./shell.js";

const LOOK_MS = 5000;
const MOST_EVENTS = 10;

/** @param {string} selector @param {string} text nothing: it is hidden */
const tell = (selector, text) => {
  find(selector).hidden = !text;
  setText(find(selector), text);
};

/** @param {string} key @param {boolean} scheduled by its annotations @param {boolean} wants whether it has a topic */
export const triggerCard = (key, { scheduled, wants }) => {
  const attempt = async (work) => {
    try {
      await work();
      tell("#trigger-problem", "");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      tell("#trigger-problem", error.message);
    }
  };
  const item = (row) => scheduleItem(row, { link: false, attempt, changed: look });
  const show = ({ schedules, events }) => {
    const away = schedules.off ? `Nobody calls it by its schedules: ${schedules.off}.` : schedules.problem ? `What its schedules do is not known now: ${schedules.problem}.` : "";
    tell("#schedules-away", scheduled ? away : "");
    if (schedules.schedules) showRows(find("#schedules"), schedules.schedules, item);
    find("#schedules").hidden = !schedules.schedules?.length;
    const silent = (events.connectors ?? []).some(({ problem }) => problem);
    const nobody = events.connectors && !events.connectors.length;
    const unknown = events.off ?? events.problem ?? (silent ? "a connector does not answer" : nobody ? "no connector runs" : null);
    const list = (events.events ?? []).slice(0, MOST_EVENTS);
    const none = unknown ? `Which events called it last is not known: ${unknown}.` : list.length ? "" : "No event has called it since the connectors were started.";
    tell("#events-away", wants ? none : "");
    find("#events").hidden = !list.length;
    find("#events").replaceChildren(...list.map(eventItem));
  };
  const look = async () => {
    try {
      show(await get(functionUrl(key, "/triggers")));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // the banner tells what is away
    }
  };
  setInterval(() => document.hidden || look(), LOOK_MS);
  look();
};
