// Why a service is not ready: cause, evidence, probe history, exit code, last lines, the next step.

import { act, hindrance, remedy } from "./actions.js";
import { fill, h, said } from "./element.js";
import { ask } from "./server.js";
import { badge } from "./services.js";
import { shown, state } from "./state.js";
import { moment, t } from "./words.js";

const LAYERS = { container: "container", health: "health_layer", application: "application" };

/** The panel of one service; asks again whenever its state changes. */
export function explanationPanel(id) {
  const body = h("div", { "aria-busy": "true" }, t("reading"));
  const again = h("button", { type: "button", onclick: () => read() }, t("explain_again"));
  const element = h("div", { class: "explanation" }, body, again);
  let known = null;
  async function read() {
    body.setAttribute("aria-busy", "true");
    try {
      fill(body, screen(await ask("GET", `/api/services/${id}/explanation`)));
    } catch (failure) {
      fill(body, h("p", {}, said(failure.message)));
    }
    body.removeAttribute("aria-busy");
  }
  function update() {
    const service = state.services.get(id);
    const now = service && JSON.stringify([shown(service).state, service.message]);
    if (now === known || state.role === null) return;
    known = now;
    read();
  }
  return { element, update };
}

function screen(told) {
  const service = state.services.get(told.service);
  const starts = told.state !== "ready" && told.state !== "starting" && service && !hindrance();
  return [
    h("p", {}, badge(told.state)),
    h("h3", {}, t("cause")), said(told.cause, "p", { class: "cause" }),
    told.status.message !== told.cause && [h("h3", {}, t("status")), said(told.status.message, "p")],
    told.exit_code !== null && h("p", {}, `${t("exit_code")}: ${told.exit_code}${told.oom_killed ? `, ${t("oom")}` : ""}; ${t("restarts", { count: told.restart_count })}`),
    h("h3", {}, t("next")), h("p", {}, remedy(told.next_command)),
    starts && h("p", {}, h("button", { type: "button", class: "primary", onclick: () => act(told.state === "stopped" || told.state === "skipped" ? "start" : "restart", service) }, t(told.state === "stopped" || told.state === "skipped" ? "start" : "restart"))),
    told.problems.length > 0 && [h("h3", {}, t("also")), h("ul", {}, told.problems.map((p) => h("li", {}, said(p.summary), p.fix && [` ${t("fix")}: `, remedy(p.fix)])))],
    h("h3", {}, t("evidence")), h("ul", {}, told.status.evidence.map((e) => h("li", { class: `verdict ${e.verdict}` }, `${t(LAYERS[e.layer])}: ${t(e.verdict)}, `, said(e.detail)))),
    told.probes.length > 0 && [h("h3", {}, t("probes")), h("ol", { class: "probes" }, told.probes.map((p) => h("li", {}, `${p.ended_at ? moment(p.ended_at) : ""} ${t("exit_code")} ${p.exit_code} `, said(p.output, "pre"))))],
    told.log_lines.length > 0 && [h("h3", {}, t("last_lines")), said(told.log_lines.join("\n"), "pre", { class: "lines", tabindex: "0", "aria-label": t("last_lines") })],
    told.dependants.length > 0 && h("p", {}, `${t("needed_by")}: ${told.dependants.join(", ")}`),
  ].flat();
}
