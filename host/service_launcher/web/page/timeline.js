// What happened: events and operations with who did it and why, newest first.

import { go, here } from "./address.js";
import { complain } from "./actions.js";
import { fill, h, keyed, said } from "./element.js";
import { ask } from "./server.js";
import { changed, remember, state } from "./state.js";
import { moment, t } from "./words.js";

const KINDS = ["operation.started", "operation.finished", "state.changed", "container.died", "container.oom", "health.changed", "plugin.failed", "preflight.refused"];

/** The view, once. */
export function timelineView() {
  const kind = h("select", { "aria-label": t("what"), onchange: () => go({ what: kind.value || null }) }, h("option", { value: "" }, t("what_all")), KINDS.map((name) => h("option", { value: name }, t(name))));
  const search = h("input", { type: "search", id: "filter", "aria-label": t("filter"), placeholder: t("filter_hint"), oninput: () => go({ q: search.value || null }, true) });
  kind.value = here().what ?? "";
  search.value = here().q ?? "";
  const body = h("tbody");
  const none = h("p", { class: "note" }, t("nothing"));
  const head = h("thead", {}, h("tr", {}, ["when", "what", "service", "who", "reason"].map((name) => h("th", { scope: "col" }, t(name)))));
  const element = h("section", { "aria-label": t("timeline") }, h("div", { class: "strip" }, kind, search), h("div", { class: "tables", tabindex: "0", role: "region", "aria-label": t("timeline") }, h("table", { class: "plain" }, head, body)), none);
  if (state.role) ask("GET", "/api/timeline?limit=500").then((events) => { events.forEach(remember); changed(); }, (failure) => complain(failure.message));
  return {
    element,
    update() {
      const { q, what } = here();
      const chosen = state.events.filter((event) => (!what || event.what === what) && (!q || JSON.stringify(event).toLowerCase().includes(q.toLowerCase()))).slice(-300).reverse();
      none.hidden = chosen.length > 0;
      keyed(body, chosen, (e) => `${e.time} ${e.what} ${e.service} ${e.operation}`, row, () => {});
    },
  };
}

function row(event) {
  return h("tr", { class: event.what.replace(".", "-") }, h("td", {}, h("time", { datetime: event.time }, moment(event.time))), h("td", {}, t(event.what)),
    h("td", {}, event.service ?? (event.detail.services && !event.detail.exit_code && Array.isArray(event.detail.services) ? event.detail.services.join(", ") : "")), h("td", {}, said(event.actor)), h("td", { class: "detail" }, said(reason(event))));
}

function reason(event) {
  const { message, places, services, ...rest } = event.detail;
  const told = Object.entries(rest).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`);
  if (services && !Array.isArray(services)) told.push(...Object.entries(services).map(([name, how]) => `${name}: ${how}`));
  return [message, told.join("; ")].filter(Boolean).join(" · ");
}
