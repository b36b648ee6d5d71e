// Makes elements. Text is only ever a text node, and an address is only ever a web address.

/** An element: `on…` properties are listeners, `false` and `null` leave an attribute away, children are nodes or text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set or take away an attribute, and leave alone what is so already. */
export function set(element, name, value) {
  if (value === false || value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Replace an element's text where it differs. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Replace an element's children. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** A link to another site in a tab of its own, which learns nothing of this one; plain text for any other scheme. */
export function outward(address, text) {
  let scheme = "";
  try {
    scheme = new URL(address).protocol;
  } catch {
    /* not an address */
  }
  if (scheme !== "http:" && scheme !== "https:") return h("span", {}, `${text}: ${address}`);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text, h("span", { "aria-hidden": "true" }, " ↗"));
}

/** What the launcher itself says; its sentences are English in every language of the page. */
export function said(text, tag = "span", properties = {}) {
  return h(tag, { lang: "en", ...properties }, text);
}

/** Children by key: keeps the elements of what stays, so that the focus and a selection stay, too. */
export function keyed(parent, items, key, make, update) {
  const present = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = present.get(name);
    if (child) present.delete(name);
    else {
      child = make(item);
      child.dataset.key = name;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const gone of present.values()) gone.remove();
}
