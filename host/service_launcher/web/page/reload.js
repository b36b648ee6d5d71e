// Loads again what did not arrive: the style sheet by itself, and for a part of the code the whole page, code in the
// address and all. A browser gives up whatever is on its way when an interface of the machine comes or goes, as with
// every container that Docker starts; and a page whose code lacks a part does nothing. main.js forgets the count.

const COUNT = "launcher.reloads";
const MOST = 5;
const PAUSE = 400; // milliseconds: interfaces seldom change alone

let leaving = false;

addEventListener("error", ({ target }) => {
  const times = Number(sessionStorage.getItem(COUNT) ?? 0);
  if (leaving || times >= MOST || !(target instanceof Element)) return;
  sessionStorage.setItem(COUNT, String(times + 1));
  const sheet = target.getAttribute("rel") === "stylesheet";
  leaving = !sheet;
  setTimeout(() => (sheet ? target.replaceWith(target.cloneNode()) : location.reload()), PAUSE);
}, true);
