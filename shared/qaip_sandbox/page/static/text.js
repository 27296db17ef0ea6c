// A document's text with its chunks, and the quoted sentences in it marked.

import { h } from "./dom.js";

// The server counts characters; JavaScript counts the halves of those beyond 16 bits.
function cutter(text) {
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return (start, end) => text.slice(start, end);
  const points = Array.from(text);
  return (start, end) => points.slice(start, end).join("");
}

function marked(cut, start, end, marks) {
  const pieces = [];
  let at = start;
  for (const [from, to] of marks) {
    if (to <= at || from >= end) continue;
    if (from > at) pieces.push(cut(at, from));
    pieces.push(h("mark", {}, cut(Math.max(from, at), Math.min(to, end))));
    at = Math.min(to, end);
  }
  if (at < end) pieces.push(cut(at, end));
  return pieces;
}

function between(text) {
  const words = text.replace(/^\s*\n|\s+$/g, "");
  return words ? [h("div", { class: "gap" }, words)] : [];
}

// `place` is a source's: {start, end, marks}, or null for the bare text.
export function textOf(doc, place = null) {
  const cut = cutter(doc.text);
  const box = h("div", { class: "text", tabindex: "0", role: "group", "aria-label": `Text of ${doc.path}` });
  let at = 0;
  doc.parts.forEach((part, index) => {
    const start = Math.max(part.start, at);
    box.append(...between(cut(at, start)));
    const here = place && place.start < part.end && place.end > part.start;
    const page = part.page_number ? `, page ${part.page_number}` : "";
    const name = `Chunk ${index + 1}${page}${part.heading ? `: ${part.heading}` : ""}`;
    box.append(
      h("div", { class: here ? "chunk cited" : "chunk", id: `chunk-${part.id}` },
        h("span", { class: "chunk-name" }, name),
        h("span", { class: "chunk-text" }, marked(cut, start, part.end, here ? place.marks : []))),
    );
    at = Math.max(at, part.end);
  });
  box.append(...between(cut(at, doc.characters)));
  return box;
}

// Brings what is quoted into the middle of the box, without moving the page around it.
export function reveal(box) {
  const found = box.querySelector("mark") ?? box.querySelector(".cited");
  found?.scrollIntoView({ block: "center", inline: "nearest" });
}

// An answer's text, each marker [n] of a source as a button.
export function answerOf(text, sources, open) {
  return text.split(/(\[\d+\])/).map((piece) => {
    const found = /^\[(\d+)\]$/.exec(piece);
    if (!found || !sources.some((source) => source.number === Number(found[1]))) return piece;
    const number = Number(found[1]);
    return h("button", { type: "button", class: "marker", "data-source": number,
      "aria-label": `Source ${number}`, onclick: () => open(number) }, piece);
  });
}
