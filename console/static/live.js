// Server-sent events, for as long as somebody looks at the page.

import { showLive } from "./shell.js";

const RETRY_MS = 3000;
/** The server says something every three seconds, if only that it is there. */
const SILENCE_MS = 10_000;

/**
 * Opens a stream while the page is visible, and again when it breaks.
 * @param {() => string} url asked anew at each opening, so that it can say what was seen already
 * @param {Record<string, (value: any) => void>} handlers by name of the event
 * @param {(state: "on" | "off" | "wait") => void} [onState]
 * @returns {{reopen: () => void}}
 */
export const follow = (url, handlers, onState = () => {}) => {
  /** @type {EventSource | null} */
  let source = null;
  let timer = 0;
  const show = (state) => {
    showLive(state);
    onState(state);
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const lost = () => {
    // A browser gives up on a refusal; we do not: the server may be back in a moment.
    show("off");
    close();
    timer = setTimeout(open, RETRY_MS);
  };
  const heard = () => {
    // A connection that leads nowhere any more breaks only after minutes.
    clearTimeout(timer);
    timer = setTimeout(lost, SILENCE_MS);
  };
  const open = () => {
    if (source || document.hidden) return;
    clearTimeout(timer);
    show("wait");
    source = new EventSource(url());
    heard();
    source.onopen = () => {
      show("on");
      heard();
    };
    source.onerror = lost;
    source.addEventListener("beat", heard);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        heard();
        handle(JSON.parse(event.data));
      });
    }
  };
  const visibility = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", visibility);
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
  return {
    reopen: () => {
      close();
      open();
    },
  };
};
