// One request: what was asked, what was answered, and where in the documents that stands.

import { get } from "./api.js";
import { $, clock, counted, h, lasting, number, pretty, size } from "./dom.js";
import { kindOf, onRecord } from "./requests.js";
import { answerOf, reveal, textOf } from "./text.js";

let shown = null;
let asked = 0;

function facts(record) {
  const pairs = {
    Started: clock(record.at),
    "First byte": lasting(record.first_ms),
    Took: record.state === "open" ? "still open" : lasting(record.ms),
    Sent: `${size(record.sent)} in ${counted(record.frames, "piece")}`,
    Tokens: record.tokens ? number(record.tokens) : "",
    Fault: record.fault,
    "Retry-After": record.retry_after,
    Connection: record.connection ? `port ${record.connection}` : "",
  };
  return h("dl", { class: "facts" }, Object.entries(pairs).filter(([, value]) => value)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function heading(record) {
  const how = record.state === "complete" ? (record.streamed ? "streamed" : "whole") : record.state;
  return h("header", {},
    h("a", { href: "#/requests", class: "back" }, "All requests"),
    h("h2", { tabindex: "-1" }, h("span", { class: "no" }, `#${record.number}`), " ",
      h("span", { class: "code" }, `${record.method} ${record.path}`)),
    h("p", { class: "chips" },
      h("span", { class: `chip service ${record.service || "none"}` }, record.service || "none"),
      h("span", { class: `chip status ${kindOf(record)}` }, record.status ? String(record.status) : "cut"),
      h("span", { class: `chip ${record.state}` }, how),
      record.fault ? h("span", { class: "chip fault" }, `fault: ${record.fault}`) : null),
    facts(record));
}

function sourceItem(source, open) {
  const name = source.place?.path ?? source.title ?? source.url;
  const quotes = source.quotes.length ? source.quotes : [source.text.slice(0, 160)];
  return h("li", {}, h("button", { type: "button", class: "source", "data-source": source.number,
    onclick: () => open(source.number) },
  h("span", { class: "marker" }, `[${source.number}]`),
  h("span", { class: "source-name" }, name, source.place?.heading ? h("small", {}, ` ${source.place.heading}`) : null),
  quotes.map((quote) => h("span", { class: source.quotes.length ? "quote" : "quote unused" }, quote))));
}

async function openSource(box, viewer, source, look = true) {
  for (const one of box.querySelectorAll("[data-source]")) {
    one.setAttribute("aria-pressed", String(one.dataset.source === String(source.number)));
  }
  const turn = (viewer.turn = (viewer.turn ?? 0) + 1);
  const title = h("h3", {}, h("span", { class: "marker" }, `[${source.number}]`), " ", source.place?.path ?? source.title);
  if (!source.place) {
    const why = "It is no passage of a document that is read now; it came with the prompt, or the document has changed.";
    viewer.replaceChildren(title, h("p", { class: "hint" }, why), h("div", { class: "text" }, source.text));
    return;
  }
  const doc = await get(`/documents/${source.place.document}`);
  if (turn !== viewer.turn) return;
  const text = textOf(doc, source.place);
  viewer.replaceChildren(title, h("p", { class: "hint" }, h("a", { href: `#/documents/${doc.id}` }, doc.title),
    ` · ${source.url}`), text);
  if (look) reveal(text);
}

function answered(said, index, all, viewer) {
  const box = h("section", { class: "said" });
  const open = (wanted, look) => openSource(box, viewer, said.sources.find((one) => one.number === wanted), look);
  const title = all.length > 1 ? `Answer ${index + 1}` : "Answer";
  box.append(
    h("h3", {}, title),
    h("p", { class: "question" }, said.question),
    h("div", { class: "answer" }, answerOf(said.text, said.sources, open)),
    said.sources.length ? h("ol", { class: "sources", "aria-label": "Sources" },
      said.sources.map((source) => sourceItem(source, open))) : h("p", { class: "hint" }, "No sources."),
  );
  return { box, open, first: said.sources.find((one) => one.quotes.length) ?? said.sources[0] };
}

function sent(record) {
  const body = record.body === null ? "No JSON body." : pretty(record.body);
  return h("section", { class: "sent" },
    h("h3", {}, "Request body"),
    h("pre", { class: "wire", tabindex: "0", "aria-label": "Request body" }, body),
    h("details", {}, h("summary", {}, "Request headers"),
      h("pre", { class: "wire" }, Object.entries(record.headers).map((pair) => pair.join(": ")).join("\n"))));
}

export async function open(wanted, { focus = true } = {}) {
  const turn = ++asked;
  shown = wanted;
  const pane = $("request");
  let record;
  try {
    record = await get(`/requests/${wanted}`);
  } catch {
    if (turn === asked) pane.replaceChildren(h("p", { class: "empty" }, `There is no request ${wanted} in the journal.`));
    return;
  }
  if (turn !== asked) return;
  const viewer = h("section", { class: "viewer", "aria-label": "Source" });
  const answers = record.said.map((said, index, all) => answered(said, index, all, viewer));
  const none = h("p", { class: "hint" }, "No answer from the documents was noted for this request.");
  pane.replaceChildren(heading(record),
    h("div", { class: "body" }, h("div", { class: "main" },
      answers.length ? answers.map((answer) => answer.box) : none, sent(record)), viewer));
  pane.classList.toggle("with-source", Boolean(answers[0]?.first));
  if (focus) pane.querySelector("h2").focus({ preventScroll: true });
  // In one column, scrolling to the source would lead away from the answer.
  const beside = matchMedia("(min-width: 1180px)").matches;
  if (answers[0]?.first) await answers[0].open(answers[0].first.number, beside);
}

export function close() {
  shown = null;
  asked += 1;
  $("request").replaceChildren(h("p", { class: "empty" }, "Choose a request to see its answer and sources."));
}

onRecord((record) => {
  if (record.number === shown && record.state !== "open") {
    const state = $("request").querySelector(".chip.open");
    if (state) open(shown, { focus: false });
  }
});
