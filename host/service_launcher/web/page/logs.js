// A service's log: follow, pause, search, levels, wrap, download. Only the lines in sight are in the document.

import { fill, h, said, set, write } from "./element.js";
import { Failure, readLines } from "./server.js";
import { t } from "./words.js";

const MOST = 100000;
const ROW = 18; // pixels of an unwrapped line, as in the style sheet
const AGAIN = 1000; // milliseconds until a lost connection is tried again
const SPARE = 20; // lines drawn above and below what is in sight
const LEVELS = [["error", /\b(?:ERROR|FATAL|SEVERE|CRITICAL|PANIC|Exception|Traceback)\b/i], ["warn", /\bWARN(?:ING)?\b/i]];

/** The panel of one service. */
export function logsPanel(id) {
  const all = [];
  let chosen = [];
  let waiting = [];
  let paused = false;
  let following = true;
  let expression = null;
  let ending = null;
  let due = false;

  const search = h("input", { type: "search", "aria-label": t("search"), placeholder: t("search"), oninput: () => look() });
  const level = h("select", { "aria-label": t("level"), onchange: () => select() }, ["all", "warn", "error"].map((name) => h("option", { value: name }, t(`level_${name}`))));
  const wrap = h("input", { type: "checkbox", onchange: () => { set(box, "class", wrap.checked ? "log wrapped" : "log"); draw(); } });
  const amount = h("select", { "aria-label": t("lines"), onchange: () => read() }, [1000, 10000, MOST].map((n) => h("option", { value: n }, String(n))));
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => hold(!paused) }, t("pause"));
  const download = h("button", { type: "button", onclick: () => save() }, t("download"));
  const note = h("span", { class: "note", role: "status" });
  const space = h("div", { class: "log-space" });
  const window_ = h("div", { class: "log-window" });
  const box = h("div", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": t("log_view", { service: id }), onscroll: () => { following = atEnd(); plan(); } }, space, window_);
  const element = h("div", { class: "logs" }, h("div", { class: "tools" }, search, level, amount, h("label", {}, wrap, ` ${t("wrap")}`), pause, download), note, box);

  async function read() {
    ending?.abort();
    const own = (ending = new AbortController());
    all.length = 0;
    waiting = [];
    select();
    let seen = ""; // the last line's time
    let last = ""; // that of the connection before
    const take = (lines) => {
      if (own.signal.aborted) return;
      const failed = lines.find((line) => line.error);
      if (failed) return fill(note, said(failed.error));
      const told = lines.filter((line) => line.time > last).map((line) => ({ ...line, level: LEVELS.find(([, pattern]) => pattern.test(line.text))?.[0] ?? "info" }));
      if (paused) {
        waiting = [...waiting, ...told].slice(-MOST);
        write(pause, t("resume", { count: waiting.length }));
      } else add(told);
      seen = told.at(-1)?.time ?? seen;
    };
    for (;;) {
      const place = seen ? `tail=${MOST}&since=${encodeURIComponent(seen)}` : `tail=${amount.value}`;
      try {
        await readLines(`/api/services/${id}/logs?follow=true&${place}`, own.signal, take);
        return write(note, t("log_ended"));
      } catch (failure) {
        if (own.signal.aborted) return;
        if (failure instanceof Failure) return fill(note, said(failure.message));
      }
      // The connection was lost: it goes on after the last line that came.
      last = seen;
      write(note, t("no_connection"));
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
      if (own.signal.aborted) return;
    }
  }

  function add(lines) {
    all.push(...lines);
    const fitting = lines.filter(fits);
    for (const line of fitting) chosen.push(line);
    if (all.length > MOST * 1.1) {
      all.splice(0, all.length - MOST);
      chosen = all.filter(fits);
    }
    plan();
  }

  function fits(line) {
    if (level.value === "error" && line.level !== "error") return false;
    if (level.value === "warn" && line.level === "info") return false;
    return !expression || expression.test(line.text);
  }

  function look() {
    try {
      expression = search.value ? new RegExp(search.value, "i") : null;
      search.setCustomValidity("");
      set(search, "aria-invalid", null);
    } catch {
      search.setCustomValidity(t("bad_expression"));
      set(search, "aria-invalid", "true");
      write(note, t("bad_expression"));
      return;
    }
    select();
  }

  function select() {
    chosen = all.filter(fits);
    plan();
  }

  function hold(on) {
    paused = on;
    set(pause, "aria-pressed", String(on));
    write(pause, on ? t("resume", { count: 0 }) : t("pause"));
    if (!on) {
      const lines = waiting;
      waiting = [];
      following = true;
      add(lines);
    }
  }

  function atEnd() {
    return box.scrollTop + box.clientHeight >= box.scrollHeight - ROW;
  }

  function plan() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; draw(); });
  }

  function draw() {
    write(note, t("shown_lines", { shown: chosen.length, total: all.length }));
    space.style.height = `${chosen.length * ROW}px`;
    const room = Math.ceil(box.clientHeight / ROW) + SPARE;
    // At the end the last line has to be in sight, however high wrapped lines before it are.
    const last = following ? chosen.length : Math.min(chosen.length, Math.floor(box.scrollTop / ROW) + room);
    const first = Math.max(0, following ? last - room : Math.floor(box.scrollTop / ROW) - SPARE);
    fill(window_, chosen.slice(first, last).map((line) => h("div", { class: `line ${line.level}` }, h("time", { datetime: line.time }, line.time.slice(11, 23)), " ", said(line.text))));
    const top = following ? Math.max(0, chosen.length * ROW - window_.offsetHeight) : first * ROW;
    window_.style.transform = `translateY(${top}px)`;
    if (following) box.scrollTop = box.scrollHeight;
  }

  function save() {
    const text = chosen.map((line) => `${line.time} ${line.text}\n`);
    const address = URL.createObjectURL(new Blob(text, { type: "text/plain" }));
    const link = h("a", { href: address, download: `${id}.log` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  read();
  return { element, update: () => {}, close: () => ending?.abort() };
}
