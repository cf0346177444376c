// What a function runs and what it can go back to, on its page.

import { Refused, act, functionUrl, get } from "./api.js";
import { instant } from "./jobs.js";
import { find, make, say, setText, timeOf } from "./shell.js";

const LOOK_MS = 30_000;

/** @param {string} key */
export const versionCard = (key) => {
  const problem = find("#versions-problem");
  const tell = (text) => {
    problem.hidden = !text;
    setText(problem, text);
  };
  let busy = false;
  const back = (version) => async () => {
    if (busy) return;
    busy = true;
    say(`Going back to version ${version} …`);
    try {
      await act("POST", functionUrl(key, "/rollback"), { to: version });
      say(`Version ${version} runs again; what was deployed is shown when this page is loaded anew.`);
      tell("");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      tell(error.message);
    }
    busy = false;
    await look();
  };
  const item = ({ version, current, deployedAt, image }) => {
    const again = make("button", { type: "button", class: "small", "aria-label": `Go back to version ${version}` }, "Go back to it");
    again.addEventListener("click", back(version));
    return make(
      "li", {},
      make("span", {}, make("strong", { class: "mono" }, version), " ", deployedAt ? timeOf(instant(deployedAt)) : null),
      current ? make("span", { class: "state", "data-state": "ready" }, "Runs") : again,
      make("span", { class: "quiet small wide mono" }, image ?? ""),
    );
  };
  let shown = "";
  const look = async () => {
    const found = await get(functionUrl(key, "/versions")).catch(() => null);
    if (!found) return; // not known now: the banner tells what is away
    const text = JSON.stringify(found);
    if (text !== shown) find("#versions").replaceChildren(...found.map(item));
    shown = text;
    find("#versions-card").hidden = !found.length; // a provider of somebody else's keeps none
  };
  setInterval(() => document.hidden || busy || look(), LOOK_MS);
  look();
};
