// Requests to the console's own server. What goes wrong is a sentence.

const token = document.querySelector("meta[name=console-token]")?.getAttribute("content") ?? "";

/** What the server said was wrong, one problem each. */
export class Refused extends Error {
  /** @param {string} text */
  constructor(text) {
    super(text);
    this.problems = text.split("\n").filter(Boolean);
  }
}

const ask = async (url, options) => {
  let response;
  try {
    response = await fetch(url, { cache: "no-store", ...options });
  } catch {
    throw new Refused("The console does not answer. Check that the suite runs, then try again.");
  }
  if (response.ok) return response;
  const text = (await response.text()).trim().slice(0, 4000);
  throw new Refused(text || `The server answered ${response.status}.`);
};

/** @param {string} url @returns {Promise<any>} */
export const get = async (url) => (await ask(url)).json();

/** An act: it carries the page's token. @param {string} method @param {string} url @param {unknown} [body] @returns {Promise<any>} */
export const act = async (method, url, body) => {
  const response = await ask(url, {
    method,
    headers: { "content-type": "application/json", "x-console-token": token },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
};

/** @param {string} key */
export const functionUrl = (key, rest = "") => `/ui/api/functions/${encodeURIComponent(key)}${rest}`;
