// Operations under way and just ended: phase, bytes, time, what is waited for, and how it went.

import { cancel, command, hindrance, problemNote, remedy } from "./actions.js";
import { go } from "./address.js";
import { fill, h, keyed, said, set, write } from "./element.js";
import { phase } from "./services.js";
import { changed, dismiss, state } from "./state.js";
import { span, t } from "./words.js";

const SHOWN = 5;
const WORDS = { failed: "failed_operation" };

/** Show them in their place on the page. */
export function updateOperations(section) {
  const all = [...state.operations.values()].filter((o) => !state.dismissed.has(o.id)).slice(-SHOWN).reverse();
  section.hidden = all.length === 0;
  keyed(section, all, (o) => o.id, () => h("article", { class: "operation" }), (element, operation) => {
    const key = JSON.stringify([operation, hindrance()]);
    if (element.shownAs === key) return;
    element.shownAs = key;
    draw(element, operation);
  });
}

/** Count on the time of those under way. */
export function tickOperations(section) {
  for (const clock of section.querySelectorAll("[data-since]")) write(clock, span(Date.now() - Date.parse(clock.dataset.since)));
}

function draw(element, operation) {
  const active = operation.state === "queued" || operation.state === "running";
  const what = [...operation.services, ...operation.phases].join(", ");
  set(element, "data-state", operation.state);
  set(element, "aria-label", t("of_service", { action: t(operation.action), service: what }));
  fill(element,
    h("h2", {}, `${t(operation.action)}: ${what} `, h("span", { class: `outcome ${operation.state}` }, t(WORDS[operation.state] ?? operation.state)), " ",
      active ? h("span", { class: "clock", "data-since": operation.created_at }) : h("span", { class: "clock" }, span(Date.parse(operation.finished_at) - Date.parse(operation.created_at)))),
    command(operation.command), active ? h("ul", { class: "progress" }, operation.progress.map(step)) : results(operation), active ? canceller(operation) : dismisser(operation));
  tickOperations(element);
}

function step(progress) {
  const known = progress.total_bytes > 0;
  const mega = (bytes) => (bytes / 1e6).toFixed(0);
  const words = known ? t("bytes", { done: mega(progress.done_bytes ?? 0), total: mega(progress.total_bytes) }) : "";
  const active = progress.phase !== "ready" && progress.phase !== "failed";
  return h("li", {}, h("strong", {}, progress.service), `: ${phase(progress.phase)} `, active && h("span", { class: "clock", "data-since": progress.since }), " ",
    known && progress.phase === "pulling" && [h("progress", { max: progress.total_bytes, value: progress.done_bytes ?? 0, "aria-label": words }), ` ${words}`],
    progress.message && said(` ${progress.message}`, "small"));
}

function results(operation) {
  const failed = operation.outcomes.filter((o) => o.result === "failed" || o.result === "refused");
  return h("div", {},
    operation.message && !failed.length && h("p", {}, said(operation.message), operation.fix && [" ", remedy(operation.fix)]),
    h(failed.length ? "div" : "details", {}, !failed.length && h("summary", {}, t("details")), h("ul", { class: "progress" }, operation.outcomes.map((outcome) => h("li", { class: outcome.result },
      h("strong", {}, outcome.service), `: ${t(`result_${outcome.result}`)} `, said(outcome.message, "small"),
      outcome.problems.map((problem) => problem.fix && h("div", {}, `${t("fix")}: `, remedy(problem.fix))),
      failed.includes(outcome) && h("button", { type: "button", class: "small why", onclick: () => go({ service: outcome.service, panel: "why" }) }, t("why"))))),
    once(operation.problems).map(problemNote)));
}

/** Services that share a file share its warnings, too. */
function once(problems) {
  return [...new Map(problems.map((problem) => [problem.summary, problem])).values()];
}

function canceller(operation) {
  if (operation.cancelling) return h("p", { class: "note" }, t("cancelling"));
  const why = hindrance();
  return h("button", { type: "button", "aria-disabled": why ? "true" : null, title: why, onclick: () => !why && cancel(operation) }, t("cancel"));
}

function dismisser(operation) {
  return h("button", { type: "button", class: "small", onclick: () => { dismiss(operation.id); changed(); } }, t("dismiss"));
}
