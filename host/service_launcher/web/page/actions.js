// Buttons that change something: the same command line beside each, a question where others depend on it.

import { fill, h, said } from "./element.js";
import { ask } from "./server.js";
import { changed, state } from "./state.js";
import { t } from "./words.js";

/** A command line that can be copied. */
export function command(line) {
  const button = h("button", { type: "button", class: "copy", onclick: () => copy(button, line) }, t("copy"));
  button.setAttribute("aria-label", `${t("copy")}: ${line}`);
  return h("span", { class: "command" }, h("code", { lang: "en", translate: "no" }, line), button);
}

/** What to try: a command line to copy, or a sentence. */
export function remedy(fix) {
  return /^(?:launcher|docker|df|ls|rm|kill|chmod|chown|systemctl|scripts\/|tools\/)/.test(fix) ? command(fix) : said(fix, "em");
}

/** A problem with what to try. */
export function problemNote(problem) {
  return h("p", { class: `problem ${problem.severity}` }, h("strong", {}, t(`problem_${problem.severity}`)), ": ", said(problem.summary),
    problem.fix && [` ${t("fix")}: `, remedy(problem.fix)]);
}

/** Why nothing can be done now, or null. */
export function hindrance() {
  if (state.role === null) return t("need_sign_in");
  if (state.role !== "operator") return t("need_operator");
  if (state.connection !== "live") return t("no_connection");
  return null;
}

/** Begin something with a service; stop and restart ask where others depend on it. */
export async function act(action, service) {
  await guarded(async () => {
    if (action !== "start") {
      const plan = await ask("GET", `/api/plan?action=${action}&service=${service.id}`);
      const others = plan.steps.filter((step) => step.service !== service.id && step.do !== "keep" && step.do !== "skip");
      const question = t(action === "stop" ? "ask_stop" : "ask_restart", { service: service.title });
      if (others.length && !(await agreed(question, t("ask_why"), plan.steps, action, service.commands[action]))) return;
    }
    await begin(`/api/services/${service.id}/${action}`);
  });
}

/** Begin something with a whole stack; stopping one asks. */
export async function actOnStack(action, stack, services) {
  await guarded(async () => {
    const steps = services.map((service) => ({ service: service.id, do: "stop", reason: service.message }));
    const line = `launcher ${action} --phase ${stack}`;
    if (action === "stop" && !(await agreed(t("ask_stop", { service: stack }), t("ask_all"), steps.reverse(), action, line))) return;
    await begin(`/api/stacks/${stack}/${action}`);
  });
}

/** Ask an operation to end. */
export async function cancel(operation) {
  await guarded(() => ask("POST", `/api/operations/${operation.id}/cancel`, {}));
}

/** Show what went wrong at the top of the page until it is dismissed. */
export function complain(message, line = null) {
  const box = h("div", { class: "error" }, h("strong", {}, `${t("not_done")}: `), said(message));
  if (line) box.append(" ", command(line));
  box.append(h("button", { type: "button", onclick: () => box.remove() }, t("dismiss")));
  document.getElementById("errors").append(box);
}

async function begin(path) {
  // The key makes a second arrival of the same press the same operation.
  const operation = await ask("POST", path, {}, { "Idempotency-Key": crypto.randomUUID() });
  if (!state.operations.has(operation.id)) state.operations.set(operation.id, operation);
  changed();
}

async function guarded(work) {
  fill(document.getElementById("errors"));
  try {
    await work();
  } catch (failure) {
    complain(failure.message, failure.command);
  }
}

function agreed(question, why, steps, action, line) {
  const list = steps.map((step) => h("li", {}, h("strong", {}, t(`do_${step.do}`)), ` ${step.service} `, said(`(${step.reason})`, "small")));
  const yes = h("button", { type: "submit", value: "yes", class: action === "stop" ? "danger" : "primary" }, t(action));
  const no = h("button", { type: "button", onclick: () => dialog.close("") }, t("cancel"));
  const form = h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); dialog.close("yes"); } },
    h("h2", { id: "question" }, question), h("p", {}, why), h("ol", {}, list), h("p", {}, command(line)), h("div", { class: "buttons" }, no, yes));
  const dialog = h("dialog", { "aria-labelledby": "question" }, form);
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    }, { once: true });
  });
}

async function copy(button, line) {
  await navigator.clipboard.writeText(line).catch(() => {});
  button.textContent = t("copied");
  setTimeout(() => { button.textContent = t("copy"); }, 1500);
}
