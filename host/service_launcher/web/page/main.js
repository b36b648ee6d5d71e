// Puts the page together: the frame, the chosen view, the panel, and the keys.

import { go, here, onMove } from "./address.js";
import { command } from "./actions.js";
import { fill, h, set, write } from "./element.js";
import { explanationPanel } from "./explanation.js";
import { logsPanel } from "./logs.js";
import { tickOperations, updateOperations } from "./operations.js";
import { doctorView, pluginsView } from "./reports.js";
import { enter, hurry, keepUp, signedIn, signOut } from "./server.js";
import { servicesView } from "./services.js";
import { changed, listen, state } from "./state.js";
import { timelineView } from "./timeline.js";
import { choose, language, span, t } from "./words.js";

const VIEWS = { services: servicesView, timeline: timelineView, doctor: doctorView, plugins: pluginsView };
const LANGUAGES = { en: "English", pt: "Português" };
const at = (id) => document.getElementById(id);
let view = null;
let panel = null;
let wrong = null;

function frame() {
  write(at("skip"), t("skip"));
  set(at("views"), "aria-label", t("views"));
  fill(at("views"), Object.keys(VIEWS).map((name) => h("a", { href: `/?view=${name}`, "data-view": name, onclick: (event) => { event.preventDefault(); go({ view: name === "services" ? null : name, q: null, what: null }); } }, t(name))));
  drawSession();
  drawConnection();
}

function drawSession() {
  const known = `${state.role}`;
  if (at("session").dataset.role === known) return;
  at("session").dataset.role = known;
  const choice = h("select", { "aria-label": t("language"), onchange: () => choose(choice.value) }, Object.entries(LANGUAGES).map(([name, words]) => h("option", { value: name, lang: name, selected: name === language }, words)));
  fill(at("session"), state.role && h("span", { class: "role" }, t("signed_in", { role: t(state.role) })), state.role && h("button", { type: "button", onclick: signOut }, t("sign_out")), choice);
  drawSignIn();
}

function drawSignIn() {
  if (state.role || signedIn()) return fill(at("sign-in"));
  const token = h("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    wrong = await enter(token.value.trim());
    drawSignIn();
    changed();
    hurry();
  } }, h("label", { for: "token" }, `${t("token")}, ${t("sign_in_token")}`), " ", token, " ", h("button", { type: "submit" }, t("sign_in")));
  fill(at("sign-in"), h("section", { class: "sign-in", "aria-label": t("sign_in") }, wrong && h("p", { class: "wrong", role: "alert" }, wrong), h("p", {}, t("sign_in_why"), " ", command("launcher open")), form));
}

function drawConnection() {
  const lost = state.connection === "lost" || state.connection === "paused";
  set(at("connection"), "class", lost || !state.engine.answers ? "bad" : state.connection);
  const words = state.connection === "lost" ? t("lost", { age: span(Date.now() - state.heardAt) }) : state.connection === "live" && !state.engine.answers ? t("engine_lost") : t(state.connection);
  if (at("connection").dataset.words === words + state.engine.fix) return;
  at("connection").dataset.words = words + state.engine.fix;
  fill(at("connection"), h("span", { "aria-hidden": "true" }, lost || !state.engine.answers ? "✖ " : state.connection === "live" ? "● " : "◐ "), words,
    state.connection === "live" && !state.engine.answers && state.engine.fix && [" ", h("code", { lang: "en" }, state.engine.fix)]);
}

function move() {
  const place = here();
  const name = place.view in VIEWS ? place.view : "services";
  if (view?.name !== name) {
    view = { name, ...VIEWS[name]() };
    fill(at("view"), view.element);
  }
  for (const link of at("views").children) set(link, "aria-current", link.dataset.view === name ? "page" : null);
  movePanel(place);
  update();
}

function movePanel({ service, panel: kind }) {
  const key = service && kind ? `${kind} ${service}` : null;
  if ((panel?.key ?? null) === key) return;
  panel?.close?.();
  const from = panel?.from ?? document.activeElement;
  if (key === null) {
    panel = null;
    at("panel").hidden = true;
    fill(at("panel"));
    if (from?.isConnected) from.focus();
    return;
  }
  const made = kind === "logs" ? logsPanel(service) : explanationPanel(service);
  panel = { key, from, ...made };
  const title = h("h2", { tabindex: "-1" }, `${t(kind === "logs" ? "logs" : "why")} `, h("span", { translate: "no" }, service));
  const tabs = h("span", { class: "buttons" }, ["why", "logs"].filter((k) => k !== kind).map((k) => h("button", { type: "button", onclick: () => go({ panel: k }) }, t(k))),
    h("button", { type: "button", onclick: () => go({ service: null, panel: null }) }, t("close")));
  at("panel").hidden = false;
  set(at("panel"), "aria-label", `${t(kind === "logs" ? "logs" : "why")} ${service}`);
  fill(at("panel"), h("div", { class: "panel-head" }, title, tabs), made.element);
  title.focus();
}

function update() {
  drawSession();
  drawConnection();
  updateOperations(at("operations"));
  view?.update();
  panel?.update();
}

function help() {
  const keys = [["/", "help_filter"], ["Esc", "help_close"], ["?", "help_help"]];
  const dialog = h("dialog", { "aria-labelledby": "help", onclose: () => dialog.remove() }, h("h2", { id: "help" }, t("help")), h("dl", {}, keys.map(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(words))])),
    h("button", { type: "button", onclick: () => dialog.close() }, t("close")));
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "Escape" && panel && !event.target.closest("dialog")) go({ service: null, panel: null });
  else if (event.key === "/" && !typing) {
    event.preventDefault();
    at("filter")?.focus();
  } else if (event.key === "?" && !typing) help();
});
// A button that is not to be used now stays where the keyboard finds it, and does nothing.
document.addEventListener("click", (event) => {
  if (event.target.closest('[aria-disabled="true"]')) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);

sessionStorage.removeItem("launcher.reloads"); // all of it has arrived
frame();
listen(update);
onMove(move);
wrong = await enter();
drawSession();
drawSignIn();
move();
setInterval(() => {
  if (document.hidden) return;
  drawConnection();
  view?.tick?.();
  tickOperations(at("operations"));
}, 1000);
keepUp();
