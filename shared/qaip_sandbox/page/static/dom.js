// Building blocks of the page. Text reaches the document as text nodes only.

export const $ = (id) => document.getElementById(id);

// An element: `props` are attributes, `on...` listeners, and booleans for attributes without value.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Words with `names` between backticks, as the help texts have them.
export function worded(text) {
  return text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? h("code", {}, part) : part));
}

export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

export const number = (value) => value.toLocaleString("en-GB");

export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function lasting(ms) {
  if (ms === null) return "";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export const pretty = (value) => JSON.stringify(value, null, 2);

export async function copy(text, button) {
  const before = button.textContent;
  let done = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = "Not allowed here";
  }
  button.textContent = done;
  setTimeout(() => (button.textContent = before), 1500);
}

// Arrow keys, Home and End move between the links of a list; Tab leaves it.
export function walkable(list) {
  list.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("li:not([hidden]) > a")];
    const at = links.indexOf(document.activeElement);
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 };
    const wanted = links[places[event.key]];
    if (at < 0 || !wanted) return;
    event.preventDefault();
    wanted.focus();
  });
}
