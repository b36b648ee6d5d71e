// The way to the server: the token in a header and nowhere else, and the stream with its reconnects.

import { changed, state, take } from "./state.js";
import { t } from "./words.js";

const TOKEN = "launcher.token"; // in sessionStorage: of this tab, and of this origin with its port
const SILENCE = 5000; // milliseconds without a word: the server says at least something every two seconds
const POLL = 5000;
const AGAIN = [0, 250, 500, 1000, 2000, 3000];
const ASK_AGAIN = [100, 400, 1000];

let lastSeen = null;
let ending = new AbortController();

/** Whether there is a token. */
export function signedIn() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** Forget the token. */
export function signOut() {
  sessionStorage.removeItem(TOKEN);
  location.reload();
}

/** Ask the server; the decoded answer. What is asked may arrive more than once, and must bear it. Throws Failure. */
export async function ask(method, path, body, more = {}) {
  const { response, text } = await answered(path, { method, headers: { ...headers(body), ...more }, body: body && JSON.stringify(body), cache: "no-store" });
  let found = null;
  try {
    found = JSON.parse(text);
  } catch {
    /* told below */
  }
  if (!response.ok || found === null) throw new Failure({ status: response.status, ...found });
  return found;
}

// A browser gives up whatever is on its way when an interface of the machine comes or goes, as with every container that
// Docker starts, so one failure says nothing about the server.
async function answered(path, options) {
  for (let tries = 0; ; tries++) {
    try {
      const response = await fetch(path, options);
      return { response, text: await response.text() };
    } catch {
      if (tries === ASK_AGAIN.length) throw new Failure({ message: t("no_connection") });
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN[tries]));
    }
  }
}

/** What the server refused: a sentence, and the command that does the same. */
export class Failure extends Error {
  constructor(answer) {
    super(answer.message ?? t("unexpected"));
    this.status = answer.status ?? 0;
    this.command = answer.fallbackCommand ?? null;
  }
}

/** Take the code out of the address, trade it for a token, and learn the role; the sentence of what went wrong, if any. */
export async function enter(given = null) {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) history.replaceState(history.state, "", location.pathname + location.search);
  let wrong = null;
  if (given) sessionStorage.setItem(TOKEN, given);
  else if (code) {
    try {
      sessionStorage.setItem(TOKEN, (await ask("POST", "/api/sessions", { code })).token);
    } catch (failure) {
      wrong = failure.status === 401 ? t("code_used") : failure.message;
    }
  }
  return (signedIn() ? await learnRole() : null) ?? wrong;
}

/** Learn what the token allows; a token that is none is forgotten, and the sentence of it returned. */
async function learnRole() {
  try {
    state.role = (await ask("GET", "/api/sessions")).role;
  } catch (failure) {
    if (failure.status !== 401 && failure.status !== 403) return null; // not reached: asked again before the stream
    sessionStorage.removeItem(TOKEN);
    return failure.status === 401 ? t("wrong_token") : failure.message;
  }
  return null;
}

/** Keep what is known fresh, for as long as the page is there; only while somebody looks. */
export async function keepUp() {
  document.addEventListener("visibilitychange", () => document.hidden && ending.abort());
  addEventListener("online", () => wake());
  let failures = 0;
  for (;;) {
    if (document.hidden) {
      connection("paused");
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      continue;
    }
    if (signedIn() && state.role === null) await learnRole();
    const heard = await (signedIn() ? streamed() : polled());
    if (!document.hidden) connection("lost");
    failures = heard ? 0 : Math.min(failures + 1, AGAIN.length - 1);
    if (!document.hidden) await pause(AGAIN[failures]);
  }
}

/** Read lines of JSON as they come; `onLines` gets arrays of them. Ends with the stream. Throws Failure. */
export async function readLines(path, signal, onLines) {
  const response = await fetch(path, { headers: headers(), cache: "no-store", signal });
  if (!response.ok) throw new Failure({ status: response.status, ...(await response.json().catch(() => ({}))) });
  let rest = "";
  for await (const text of pieces(response)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    const found = lines.filter((line) => line).map((line) => JSON.parse(line));
    if (found.length) onLines(found);
  }
}

async function streamed() {
  ending = new AbortController();
  let heard = false;
  let silence = 0;
  const listening = () => {
    clearTimeout(silence);
    silence = setTimeout(() => ending.abort(), SILENCE);
  };
  listening();
  try {
    const response = await fetch("/api/events", {
      headers: { ...headers(), ...(lastSeen && { "Last-Event-ID": lastSeen }) }, cache: "no-store", signal: ending.signal,
    });
    if (response.status === 401 || response.status === 403) {
      sessionStorage.removeItem(TOKEN);
      state.role = null;
      changed();
      return false;
    }
    if (!response.ok) return false;
    let rest = "";
    let begun = lastSeen !== null;
    for await (const text of pieces(response)) {
      heard = true;
      listening();
      const messages = (rest + text).split("\n\n");
      rest = messages.pop();
      for (const message of messages) {
        const name = received(message);
        // After a reconnect nothing counts before the server has said what was missed, or that nothing was.
        begun ||= name === "snapshot";
      }
      if (begun) connection("live");
    }
  } catch {
    /* the connection is gone, or nobody looks any more */
  } finally {
    clearTimeout(silence);
  }
  return heard;
}

function received(message) {
  let name = null;
  let data = "";
  let id = null;
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
    else if (line.startsWith("id: ")) id = line.slice(4);
  }
  state.heardAt = Date.now();
  if (name === null) return null;
  take(name, JSON.parse(data));
  if (id) lastSeen = id;
  return name;
}

async function polled() {
  try {
    const signal = (ending = new AbortController()).signal;
    const response = await fetch("/api/services", { cache: "no-store", signal: AbortSignal.any([signal, AbortSignal.timeout(SILENCE + 3000)]) });
    if (!response.ok) return false;
    const services = await response.json();
    if (signedIn()) return true;
    state.heardAt = Date.now();
    take("snapshot", { services, operations: [], events: [] });
    connection("polling");
    await pause(POLL);
    return !document.hidden && !signedIn() ? polled() : true;
  } catch {
    return false;
  }
}

function connection(word) {
  if (state.connection === word) return;
  state.connection = word;
  changed();
}

let wake = () => {};

function pause(milliseconds) {
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

/** Stop waiting: there is a token now. */
export function hurry() {
  wake();
}

async function* pieces(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function headers(body) {
  const token = sessionStorage.getItem(TOKEN);
  return { ...(token && { Authorization: `Bearer ${token}` }), ...(body !== undefined && { "Content-Type": "application/json" }) };
}
