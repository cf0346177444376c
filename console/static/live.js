// Server-sent events, for as long as somebody looks at the page.

import { showLive } from "./shell.js";

const RETRY_MS = 3000;

/**
 * Opens a stream while the page is visible, and again when it breaks.
 * @param {() => string} url asked anew at each opening, so that it can say what was seen already
 * @param {Record<string, (value: any) => void>} handlers by name of the event
 * @param {{indicator?: boolean, onState?: (state: string) => void}} [options]
 * @returns {{stop: () => void}}
 */
export const follow = (url, handlers, { indicator = true, onState = () => {} } = {}) => {
  /** @type {EventSource | null} */
  let source = null;
  let timer = 0;
  let stopped = false;
  const show = (state) => {
    if (indicator) showLive(state);
    onState(state);
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    if (stopped || source || document.hidden) return;
    show("wait");
    source = new EventSource(url());
    source.onopen = () => show("on");
    source.onerror = () => {
      // A browser gives up on a refusal; we do not: the server may be back in a moment.
      show("off");
      close();
      timer = setTimeout(open, RETRY_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
  };
  const visibility = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", visibility);
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
  return {
    stop: () => {
      stopped = true;
      close();
      document.removeEventListener("visibilitychange", visibility);
    },
  };
};
