// The table of all services, grouped by stack, with counts that are filters; both stand in the address.

import { act, actOnStack, hindrance, problemNote } from "./actions.js";
import { fill, h, keyed, outward, said, set, write } from "./element.js";
import { go, here } from "./address.js";
import { shown, state, working } from "./state.js";
import { moment, span, t } from "./words.js";

const SHAPES = { ready: "●", starting: "◐", stopping: "◐", degraded: "▲", failed: "✖", unknown: "?", stopped: "○", skipped: "–", unmanaged: "·" };
const WORST_FIRST = ["failed", "unknown", "degraded", "starting", "stopping", "stopped", "skipped", "unmanaged", "ready"];
const COLUMNS = ["service", "state", "since", "health", "use", "ports", "actions"];
const LAYERS = { container: "container", health: "health_layer", application: "application" };

/** The view, once; `update` it after each change. */
export function servicesView() {
  const counts = h("div", { class: "counts", role: "group", "aria-label": t("filter") });
  const search = h("input", { type: "search", id: "filter", placeholder: t("filter_hint"), "aria-label": t("filter"), oninput: () => go({ q: search.value || null }, true) });
  search.value = here().q ?? "";
  const problems = h("div", { class: "problems" });
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, COLUMNS.map((name) => h("th", { scope: "col", role: "columnheader" }, t(name)))));
  const table = h("table", { role: "table", class: "services", "aria-label": t("services") }, head);
  const groups = h("div", { class: "tables" }, table);
  const none = h("p", { class: "note", hidden: true });
  const element = h("section", { "aria-label": t("services") }, h("div", { class: "strip" }, counts, search), problems, groups, none);
  return { element, update: () => update({ counts, search, problems, table, head, none }), tick: () => tick(table) };
}

/** State in shape and word, never colour alone. */
export function badge(word) {
  return h("span", { class: `state ${word}` }, h("span", { class: "shape", "aria-hidden": "true" }, SHAPES[word]), " ", t(word));
}

function update({ counts, problems, table, head, none }) {
  const all = [...state.services.values()];
  const { q, state: wanted } = here();
  const chosen = all.filter((service) => matches(service, q) && (!wanted || shown(service).state === wanted));
  showCounts(counts, all, wanted);
  fill(problems, state.problems.map((problem) => problemNote(problem)));
  const stacks = new Map();
  for (const service of chosen) stacks.set(service.stack ?? "", [...(stacks.get(service.stack ?? "") ?? []), service]);
  keyed(table, [["head"], ...stacks].map(([stack, services]) => ({ stack, services })), ({ stack, services }) => (services ? `stack-${stack}` : "head"),
    ({ services }) => (services ? h("tbody", { role: "rowgroup" }) : head),
    (element, { stack, services }) => services && updateStack(element, stack, services));
  none.hidden = chosen.length > 0;
  write(none, all.length ? t("none_match") : state.heardAt ? t("nothing") : t("connecting"));
}

function showCounts(counts, all, wanted) {
  const numbers = new Map();
  for (const service of all) numbers.set(shown(service).state, (numbers.get(shown(service).state) ?? 0) + 1);
  const items = [[null, all.length], ...WORST_FIRST.filter((word) => numbers.has(word) || word === wanted).map((word) => [word, numbers.get(word) ?? 0])];
  keyed(counts, items, ([word]) => word ?? "all",
    ([word]) => h("button", { type: "button", onclick: () => go({ state: word === here().state ? null : word }) }),
    (button, [word, number]) => {
      set(button, "aria-pressed", String((word ?? null) === (wanted ?? null)));
      set(button, "class", `count ${word ?? "all"}`);
      const text = `${word ? `${SHAPES[word]} ${t(word)}` : t("all")} ${number}`;
      write(button, text);
    });
}

function matches(service, q) {
  if (!q) return true;
  const text = [service.id, service.title, service.stack, ...service.aliases, shown(service).state, t(shown(service).state)].join(" ").toLowerCase();
  return q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function updateStack(body, stack, services) {
  const rows = [{ stack, services, heading: true }, ...services.map((service) => ({ service }))];
  keyed(body, rows, (row) => (row.heading ? "heading" : row.service.id), (row) => (row.heading ? heading(row) : new Row().element),
    (element, row) => (row.heading ? updateHeading(element, row) : rowOf.get(element).update(row.service)));
}

function heading({ stack }) {
  const title = h("span", { class: "stack-name" }, stack || t("no_stack"));
  const count = h("span", { class: "stack-count" });
  const cell = h("th", { scope: "rowgroup", role: "rowheader", colspan: COLUMNS.length }, title, " ", count);
  const row = h("tr", { class: "stack", role: "row" }, cell);
  if (stack) {
    for (const action of ["start", "stop"]) {
      const button = h("button", { type: "button", class: "small", "aria-label": t("of_service", { action: t(`${action}_stack`), service: stack }),
        onclick: () => actOnStack(action, stack, [...state.services.values()].filter((s) => s.stack === stack)) }, t(`${action}_stack`));
      cell.append(" ", h("span", { class: "act" }, button, h("code", { lang: "en", translate: "no" }, `launcher ${action} --phase ${stack}`)));
    }
  }
  return row;
}

function updateHeading(row, { services }) {
  const ready = services.filter((service) => shown(service).state === "ready").length;
  write(row.querySelector(".stack-count"), t("counts", { ready, total: services.length }));
  const why = hindrance() ?? (services.some(working) ? t("under_way") : null);
  for (const button of row.querySelectorAll("button")) disable(button, why);
}

const rowOf = new WeakMap();

/** A service's row; keeps its elements and writes only what differs. */
class Row {
  constructor() {
    this.title = h("strong");
    this.id = h("span", { class: "id", translate: "no" });
    this.marks = h("span", { class: "marks" });
    this.message = said("", "p", { class: "message" });
    this.stateCell = h("div", { class: "state-cell" });
    this.since = h("time");
    this.healthCell = h("ul", { class: "layers" });
    this.checked = h("span", { class: "checked" });
    this.useCell = h("div", { class: "use" });
    this.ports = h("ul", { class: "ports" });
    this.buttons = h("div", { class: "buttons" });
    const cell = (name, ...children) => h("td", { role: "cell", class: `of-${name}`, "data-name": t(name) }, ...children);
    this.element = h("tr", { role: "row", class: "service" },
      h("th", { scope: "row", role: "rowheader", class: "name" }, this.title, " ", this.id, this.marks, this.message),
      cell("state", this.stateCell), cell("since", this.since), cell("health", this.healthCell, this.checked), cell("use", this.useCell), cell("ports", this.ports), cell("actions", this.buttons));
    this.drawn = {};
    rowOf.set(this.element, this);
  }

  update(service) {
    this.service = service;
    const current = service.current;
    const now = shown(service);
    const operation = working(service);
    const progress = operation?.progress.find((p) => p.service === service.id);
    write(this.title, service.title);
    write(this.id, service.id);
    set(this.element, "data-service", service.id);
    set(this.element, "data-state", now.state);
    set(this.element, "data-container", current.container ?? "none");
    this.draw("marks", [current.rehearsal, current.mode, current.version, service.plugin_failed], () => fill(this.marks,
      current.rehearsal && h("span", { class: "mark rehearsal" }, t("rehearsal")),
      service.plugin_failed && h("span", { class: "mark broken" }, t("plugin_failed")),
      current.mode === "manual" && h("span", { class: "mark" }, t("by_hand")),
      current.version && h("span", { class: "mark plain" }, t("version", { version: current.version }))));
    write(this.message, current.message);
    this.draw("state", [now.state, now.last, current.container, progress?.phase, operation?.state, operation?.cancelling], () => fill(this.stateCell,
      badge(now.state), current.container && state.connection !== "lost" && said(current.container, "span", { class: "container" }),
      progress && operation && h("span", { class: "phase" }, phase(progress.phase)), now.last && h("span", { class: "last" })));
    this.draw("health", [current.evidence.map((e) => [e.layer, e.verdict, e.detail]), now.state], () => fill(this.healthCell, current.evidence.map((e) =>
      h("li", { class: `verdict ${now.state === "unknown" ? "unknown" : e.verdict}` }, `${t(LAYERS[e.layer])}: ${t(e.verdict)}`))));
    this.draw("ports", [current.ports, current.links, now.state], () => fill(this.ports,
      current.links.map((link) => h("li", {}, outward(link.url, link.title))),
      current.ports.map((port) => h("li", { class: "port" }, `${port.address}:${port.port} → ${port.container_port}`))));
    this.drawUse();
    this.drawButtons(now.state, operation);
    this.tick();
  }

  /** Draw a cell again only where what it shows differs. */
  draw(name, shows, paint) {
    const key = JSON.stringify(shows);
    if (this.drawn[name] === key) return;
    this.drawn[name] = key;
    paint();
  }

  drawUse() {
    const history = state.use.get(this.service.id) ?? [];
    const last = history.at(-1);
    this.draw("use", [history.length, last, state.connection], () => {
      if (!last || state.connection !== "live") return fill(this.useCell);
      const memory = `${(last.memory_bytes / 1e6).toFixed(0)} MB`;
      const most = Math.max(100, ...history.map((u) => u.cpu_percent));
      fill(this.useCell, line(history.map((u) => u.cpu_percent / most), "cpu"), h("span", {}, `${last.cpu_percent.toFixed(1)} %`),
        line(history.map((u) => u.memory_bytes / (last.memory_limit_bytes || 1)), "memory"), h("span", {}, memory));
    });
  }

  drawButtons(word, operation) {
    const service = this.service;
    const can = service.managed_here ? (word === "ready" || word === "degraded" || word === "starting" ? ["restart", "stop"] : word === "failed" ? ["start", "restart", "stop"] : word === "unknown" ? ["start", "stop"] : ["start"]) : [];
    const asks = word !== "ready";
    this.draw("buttons", [can, asks, service.commands], () => fill(this.buttons,
      asks && h("button", { type: "button", class: "why", "aria-label": t("of_service", { action: t("why"), service: service.title }), onclick: () => go({ service: service.id, panel: "why" }) }, t("why")),
      h("button", { type: "button", "aria-label": t("of_service", { action: t("logs"), service: service.title }), onclick: () => go({ service: service.id, panel: "logs" }) }, t("logs")),
      can.map((action) => h("span", { class: "act" },
        h("button", { type: "button", class: action === "start" ? "primary does" : "does", "data-action": action, "aria-label": t("of_service", { action: t(action), service: service.title }), onclick: () => act(action, this.service) }, t(action)),
        h("code", { lang: "en", translate: "no" }, service.commands[action])))));
    const why = hindrance() ?? (operation ? t("under_way") : null);
    for (const button of this.buttons.querySelectorAll(".does")) disable(button, why);
    for (const button of this.buttons.querySelectorAll("button:not(.does)")) disable(button, state.role === null ? t("need_sign_in") : null);
  }

  /** What gets older by itself. */
  tick() {
    const { current } = this.service;
    const now = shown(this.service);
    if (current.since) {
      write(this.since, span(Date.now() - Date.parse(current.since)));
      set(this.since, "datetime", current.since);
      set(this.since, "title", moment(current.since));
    } else write(this.since, "");
    const oldest = Math.min(...current.evidence.map((e) => Date.parse(e.observed_at)));
    write(this.checked, Number.isFinite(oldest) ? t("checked", { age: span(Date.now() - oldest) }) : t("never"));
    const last = this.stateCell.querySelector(".last");
    if (last && now.last) write(last, t("last_known", { state: t(now.last.state), age: span(Date.now() - now.last.at) }));
  }
}

function tick(table) {
  for (const element of table.querySelectorAll("tr.service")) rowOf.get(element)?.tick();
}

/** What a phase of an operation means, in words. */
export function phase(word) {
  return t({ starting: "starting_phase", health: "health_phase", stopping: "stopping_phase", ready: "ready_phase", failed: "failed_phase" }[word] ?? word);
}

function disable(button, why) {
  // Not the attribute `disabled`: a button that says why it does nothing has to be reachable by keyboard.
  set(button, "aria-disabled", why ? "true" : null);
  set(button, "title", why);
}

const SVG = "http://www.w3.org/2000/svg";

function line(values, kind) {
  const svg = document.createElementNS(SVG, "svg");
  set(svg, "viewBox", "0 0 60 16");
  set(svg, "class", `spark ${kind}`);
  set(svg, "aria-hidden", "true");
  const path = document.createElementNS(SVG, "polyline");
  const step = 60 / Math.max(1, values.length - 1);
  set(path, "points", values.map((value, number) => `${(number * step).toFixed(1)},${(15 - Math.min(1, Math.max(0, value)) * 14).toFixed(1)}`).join(" "));
  svg.append(path);
  return svg;
}
