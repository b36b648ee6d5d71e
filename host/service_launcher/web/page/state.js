// What the page knows, and who wants to hear when that changes. Nothing here touches the document.

const HISTORY = 60; // samples of use per service: ten minutes
const EVENTS = 500;

export const state = {
  connection: "connecting", // connecting, live, polling, lost, paused
  heardAt: 0, // when the server was last heard, on this machine's clock
  role: null,
  services: new Map(),
  engine: { answers: true, error: null, fix: null },
  problems: [],
  operations: new Map(),
  dismissed: new Set(JSON.parse(sessionStorage.getItem("launcher.dismissed") ?? "[]")),
  events: [],
  use: new Map(),
};

const listeners = new Set();
let due = false;

/** Call a function once per frame in which something changed. */
export function listen(listener) {
  listeners.add(listener);
}

/** Say that something changed. */
export function changed() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    for (const listener of listeners) listener();
  });
}

/** Do not show an operation again in this tab. */
export function dismiss(operation) {
  state.dismissed.add(operation);
  sessionStorage.setItem("launcher.dismissed", JSON.stringify([...state.dismissed].slice(-200)));
}

/** Take a snapshot or a change from the server. */
export function take(name, data) {
  if (name === "snapshot") {
    state.services = new Map(data.services.map((service) => [service.id, service]));
    state.operations = new Map(data.operations.map((operation) => [operation.id, operation]));
    state.events = [];
    data.events.forEach(remember);
  }
  if (name === "event") remember(data);
  for (const service of name === "change" ? (data.services ?? []) : []) state.services.set(service.id, service);
  for (const id of data.gone ?? []) state.services.delete(id);
  for (const operation of name === "change" ? (data.operations ?? []) : []) state.operations.set(operation.id, operation);
  for (const [id, times] of Object.entries(data.observed ?? {})) {
    state.services.get(id)?.current.evidence.forEach((evidence, number) => {
      evidence.observed_at = times[number] ?? evidence.observed_at;
    });
  }
  if (data.engine) state.engine = data.engine;
  if (data.problems) state.problems = data.problems;
  if (data.usage) measure(data.usage);
  changed();
}

/** Whether what is known can be relied on now. */
export function fresh() {
  return (state.connection === "live" || state.connection === "polling") && state.engine.answers;
}

/** A service's state as it may be shown: what nobody can confirm now is unknown. */
export function shown(service) {
  const heard = state.connection === "live" || state.connection === "polling";
  if (heard || service.state === "unknown") {
    const last = service.current.last_known;
    return { state: service.state, last: last && { state: last.state, at: Date.parse(last.at) } };
  }
  return { state: "unknown", last: { state: service.state, at: state.heardAt } };
}

/** The operation that is at work on a service, if any. */
export function working(service) {
  for (const operation of state.operations.values()) {
    if (operation.state !== "queued" && operation.state !== "running") continue;
    if (operation.services.includes(service.id) || operation.phases.includes(service.stack)) return operation;
    if (operation.progress.some((progress) => progress.service === service.id)) return operation;
  }
  return null;
}

/** Add an event that is not there yet: after a reconnect some are told twice. */
export function remember(event) {
  const same = (other) => other.time === event.time && other.what === event.what && other.service === event.service && other.operation === event.operation;
  if (state.events.some(same)) return;
  state.events.push(event);
  state.events.sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
  if (state.events.length > EVENTS) state.events.splice(0, state.events.length - EVENTS);
}

function measure(usages) {
  const seen = new Set();
  for (const usage of usages) {
    seen.add(usage.service);
    const history = state.use.get(usage.service) ?? [];
    history.push(usage);
    if (history.length > HISTORY) history.shift();
    state.use.set(usage.service, history);
  }
  for (const id of state.use.keys()) if (!seen.has(id)) state.use.delete(id);
}
