// The list of the requests, live.

import { get, remove } from "./api.js";
import { $, clock, counted, h, lasting, number, show, walkable } from "./dom.js";

const MOST = 2000;
const rows = new Map(); // number -> {record, item}
const waiting = new Map();
const listeners = new Set();
let loading = false;
let announced = 0;
let flushed = 0;
let chosen = null;
let bases = {};

export const onRecord = (listener) => listeners.add(listener);
export const recordOf = (wanted) => rows.get(wanted)?.record;

export function kindOf(record) {
  if (!record.status) return "bad";
  if (record.status >= 400) return record.status < 500 ? "warn" : "bad";
  return record.state === "aborted" ? "bad" : "good";
}

// Within a service's row only the end of the path tells anything, and of an id its beginning.
function short({ service, path }) {
  const base = bases[service];
  const rest = base && path.startsWith(base) ? path.slice(base.length) : path;
  return rest.replace(/([0-9a-f]{6})[0-9a-f]{2}-[0-9a-f-]{27}/g, "$1…");
}

const STATES = { open: "open", complete: "", aborted: "aborted" };

function cells(record) {
  const tokens = record.tokens ? counted(record.tokens, "token") : "";
  return [
    h("span", { class: "no" }, String(record.number)),
    h("span", { class: `chip service ${record.service || "none"}` }, record.service || "none"),
    h("span", { class: "path", title: record.path }, h("b", {}, record.method), " ", short(record)),
    h("span", { class: `chip status ${kindOf(record)}` }, record.status ? String(record.status) : "cut"),
    h("span", { class: "second" }, h("span", { class: "asked" }, record.question), h("span", { class: "facts" },
      record.fault ? h("span", { class: "chip fault" }, record.fault) : null,
      STATES[record.state] ? h("span", { class: `chip ${record.state}` }, STATES[record.state]) : null,
      record.streamed ? h("span", { class: "chip plain" }, "stream") : null,
      tokens ? h("span", {}, tokens) : null,
      h("span", { class: "ms" }, lasting(record.ms)),
      h("time", {}, clock(record.at)))),
  ];
}

function fits(record) {
  const service = $("requests-service").value;
  if (service && record.service !== service) return false;
  const words = $("requests-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [record.number, record.service, record.method, record.path, record.status,
    record.state, record.fault, record.question].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function put(record) {
  const known = rows.get(record.number);
  // The list that was fetched may be older than what came meanwhile.
  if (known && known.record.state !== "open" && record.state === "open") return;
  const item = known?.item ?? h("li", {}, h("a", { href: `#/requests/${record.number}`, class: "row" }));
  item.firstChild.replaceChildren(...cells(record));
  item.firstChild.dataset.kind = kindOf(record);
  show(item, fits(record));
  rows.set(record.number, { record, item });
  if (!known) place(item, record.number);
  for (const listener of listeners) listener(record);
}

function place(item, wanted) {
  const list = $("requests-list");
  let next = list.firstChild;
  while (next && next.number > wanted) next = next.nextSibling;
  item.number = wanted;
  list.insertBefore(item, next);
  if (list.children.length <= MOST) return;
  rows.delete(list.lastChild.number);
  list.lastChild.remove();
}

function flush() {
  if (loading) return;
  const coming = [...waiting.values()];
  waiting.clear();
  const fresh = coming.filter((record) => !rows.has(record.number));
  coming.forEach(put);
  // A crowd needs no greeting: each one keeps the browser painting for a while.
  if (fresh.length < 10 && Date.now() - flushed > 300) fresh.forEach(greet);
  flushed = Date.now();
  count();
  mark();
  announce(fresh);
}

function greet({ number: wanted }) {
  const item = rows.get(wanted)?.item;
  item?.classList.add("fresh");
  item?.addEventListener("animationend", () => item.classList.remove("fresh"), { once: true });
}

function announce(fresh) {
  if (!fresh.length || $("requests").hidden || Date.now() - announced < 2000) return;
  announced = Date.now();
  const { service, path, status } = fresh.at(-1);
  $("news").textContent = fresh.length > 1
    ? counted(fresh.length, "new request") : `New request: ${service} ${path}, ${status}`;
}

function count() {
  const visible = [...rows.values()].filter((row) => !row.item.hidden).length;
  $("requests-count").textContent = visible === rows.size ? number(rows.size) : `${visible} of ${rows.size}`;
  show($("requests-empty"), !rows.size);
  $("requests-forget").disabled = !rows.size;
}

export function arrived(record) {
  if (!waiting.size) setTimeout(flush, 60);
  waiting.set(record.number, record);
}

export async function reload() {
  loading = true;
  try {
    const records = await get(`/requests?limit=${MOST}`);
    rows.clear();
    $("requests-list").replaceChildren();
    records.forEach(put);
  } finally {
    loading = false;
    flush();
  }
}

export function choose(wanted) {
  chosen = wanted;
  mark();
}

function mark() {
  for (const link of $("requests-list").querySelectorAll("[aria-current]")) link.removeAttribute("aria-current");
  rows.get(chosen)?.item.firstChild.setAttribute("aria-current", "true");
}

export function start(services) {
  bases = Object.fromEntries(Object.entries(services).map(([name, service]) => [name, service.base_path]));
  $("requests-service").append(...Object.keys(services).map((name) => h("option", { value: name }, name)));
  walkable($("requests-list"));
  const sift = () => {
    for (const { record, item } of rows.values()) show(item, fits(record));
    count();
  };
  $("requests-filter").addEventListener("input", sift);
  $("requests-service").addEventListener("change", sift);
  $("requests-forget").addEventListener("click", async () => {
    await remove("/requests");
    location.hash = "#/requests";
    await reload();
  });
}
