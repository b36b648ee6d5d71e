// What is shown stands in the address, so that a view can be shared: view, filter, state, and the open panel.

const NAMES = ["view", "q", "state", "service", "panel", "what"];
const listeners = new Set();

/** What the address says. */
export function here() {
  const found = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, found.get(name)]));
}

/** Change parts of it; null takes a part away. A typed filter replaces, everything else can be gone back from. */
export function go(parts, replace = false) {
  const all = { ...here(), ...parts };
  const query = new URLSearchParams(Object.entries(all).filter(([, value]) => value !== null && value !== ""));
  const address = query.size ? `/?${query}` : "/";
  if (address !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", address);
  for (const listener of listeners) listener();
}

/** Call a function whenever the address changes. */
export function onMove(listener) {
  listeners.add(listener);
  addEventListener("popstate", listener);
}
