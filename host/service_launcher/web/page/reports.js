// The doctor's findings, and the plugins.

import { problemNote, remedy } from "./actions.js";
import { fill, h, said } from "./element.js";
import { ask } from "./server.js";
import { state } from "./state.js";
import { t } from "./words.js";

const MARKS = { pass: "✓", warn: "▲", fail: "✖" };
const ORDER = ["fail", "warn", "pass"];
const STATES = { failed: "plugin_failed_state" };

/** What hurts now or later, with fixes. */
export function doctorView() {
  return report("doctor", "/api/doctor", ({ findings }) => {
    const number = (verdict) => findings.filter((f) => f.verdict === verdict).length;
    const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
    return [h("p", {}, t("findings", { fail: number("fail"), warn: number("warn"), pass: number("pass") })),
      h("ul", { class: "findings" }, sorted.map((f) => h("li", { class: f.verdict }, h("strong", { class: "verdict-word" }, `${MARKS[f.verdict]} ${t(f.verdict)}`), " ", said(`${f.check}: ${f.summary}`),
        f.fix && f.verdict !== "pass" && h("div", {}, `${t("fix")}: `, remedy(f.fix)))))];
  });
}

/** Each plugin: where it comes from, and whether it works. */
export function pluginsView() {
  return report("plugins", "/api/plugins", ({ plugins, problems }) => [
    h("div", { class: "tables", tabindex: "0", role: "region", "aria-label": t("plugins") }, h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["name", "state", "source", "services", "hooks", "failure"].map((name) => h("th", { scope: "col" }, t(name))))),
      h("tbody", {}, plugins.map((p) => h("tr", { class: `plugin ${p.state}` }, h("th", { scope: "row" }, p.name),
        h("td", {}, h("span", { class: `state ${p.state === "active" ? "ready" : p.state === "disabled" ? "stopped" : "failed"}` }, `${p.state === "active" ? "●" : p.state === "disabled" ? "○" : "✖"} ${t(STATES[p.state] ?? p.state)}`)),
        h("td", {}, said(`${p.distribution} ${p.version}`), h("br"), said(p.target, "small")), h("td", {}, p.services.join(", ")), h("td", {}, said(p.hooks.map((hook) => hook.replace("launcher_", "")).join(", "), "small")), h("td", {}, said(p.reason))))))),
    problems.map(problemNote)]);
}

function report(title, path, words) {
  const body = h("div", {}, t("reading"));
  const again = h("button", { type: "button", onclick: () => read() }, t("check_again"));
  async function read() {
    if (state.role === null) return fill(body, h("p", { class: "note" }, t("need_sign_in")));
    body.setAttribute("aria-busy", "true");
    try {
      fill(body, words(await ask("GET", path)));
    } catch (failure) {
      fill(body, h("p", {}, said(failure.message)));
    }
    body.removeAttribute("aria-busy");
  }
  read();
  return { element: h("section", { "aria-label": t(title) }, h("div", { class: "strip" }, h("h2", {}, t(title)), again), body), update() {} };
}
