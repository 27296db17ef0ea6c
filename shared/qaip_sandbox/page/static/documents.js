// The documents, and one of them with its chunks.

import { get } from "./api.js";
import { $, counted, h, number, show, walkable } from "./dom.js";
import { textOf } from "./text.js";

let items = [];
let asked = 0;
let chosen = null;

function row(doc) {
  const link = h("a", { href: `#/documents/${doc.id}`, class: "row doc" },
    h("span", { class: "path" }, doc.path),
    h("span", { class: "asked" }, doc.title),
    h("span", { class: "facts" }, h("span", { class: "chip plain" }, doc.file_type),
      h("span", {}, counted(doc.chunks, "chunk"))));
  return { doc, link, item: h("li", {}, link), text: `${doc.path} ${doc.title}`.toLowerCase() };
}

function sift() {
  const words = $("documents-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of items) show(one.item, words.every((word) => one.text.includes(word)));
  const visible = items.filter((one) => !one.item.hidden).length;
  $("documents-count").textContent = visible === items.length ? number(visible) : `${visible} of ${items.length}`;
}

export async function reload() {
  const [docs, refused] = await Promise.all([get("/documents"), get("/refused")]);
  items = docs.map(row);
  $("documents-list").replaceChildren(...items.map((one) => one.item));
  show($("documents-empty"), !items.length);
  sift();
  mark();
  show($("refused"), refused.length > 0);
  $("refused-count").textContent = number(refused.reduce((sum, one) => sum + one.count, 0));
  $("refused-list").replaceChildren(...refused.map((one) =>
    h("li", {}, h("span", { class: "code" }, one.path), h("small", {}, one.reason))));
}

function mark() {
  for (const one of items) {
    if (one.doc.id === chosen) one.link.setAttribute("aria-current", "true");
    else one.link.removeAttribute("aria-current");
  }
}

function outline(doc) {
  const parts = doc.parts.filter((part, at) => part.heading && part.heading !== doc.parts[at - 1]?.heading);
  if (parts.length < 2) return null;
  const jump = (part) => document.getElementById(`chunk-${part.id}`).scrollIntoView({ block: "start" });
  return h("details", { class: "outline", open: parts.length <= 12 }, h("summary", {}, "Headings"),
    h("ul", {}, parts.map((part) => h("li", {},
      h("button", { type: "button", class: "link", onclick: () => jump(part) }, part.heading)))));
}

export async function open(id) {
  const turn = ++asked;
  chosen = id;
  mark();
  const pane = $("document");
  let doc;
  try {
    doc = await get(`/documents/${id}`);
  } catch {
    if (turn === asked) pane.replaceChildren(h("p", { class: "empty" }, "There is no such document now."));
    return;
  }
  if (turn !== asked) return;
  const changed = new Date(doc.modified * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const what = [doc.file_type, `${number(doc.characters)} characters`, counted(doc.parts.length, "chunk"), `changed ${changed}`];
  pane.replaceChildren(
    h("header", {},
      h("a", { href: "#/documents", class: "back" }, "All documents"),
      h("h2", { tabindex: "-1" }, doc.title),
      h("p", { class: "hint" }, h("span", { class: "code" }, doc.path), ` · ${what.join(" · ")}`)),
    h("div", { class: "body" }, h("div", { class: "main" }, ...[outline(doc), textOf(doc)].filter(Boolean))));
  pane.querySelector("h2").focus({ preventScroll: true });
}

export function close() {
  chosen = null;
  asked += 1;
  mark();
  $("document").replaceChildren(h("p", { class: "empty" }, "Choose a document to see its text and its chunks."));
}

export function start() {
  walkable($("documents-list"));
  $("documents-filter").addEventListener("input", sift);
}
