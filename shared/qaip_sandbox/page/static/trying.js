// The panel that asks the services: a form, the raw answer as it arrives, and what it says.

import { get } from "./api.js";
import { $, copy, counted, h, lasting, pretty, show, size } from "./dom.js";
import { Decoder } from "./decode.js";
import { onRecord } from "./requests.js";
import { answerOf } from "./text.js";

const QUESTION = "{question}";
let calls = [];
let running = null;
let label = "";

const mine = () => calls.filter((call) => call.service === $("try-service").value);
const chosen = () => mine()[Number($("try-call").value)] ?? mine()[0];
const mode = () => new FormData($("try-form")).get("mode");

function filled(value) {
  if (typeof value === "string") return value.replaceAll(QUESTION, $("try-question").value);
  if (Array.isArray(value)) return value.map(filled);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one)]));
}

function pickService() {
  $("try-call").replaceChildren(...mine().map((call, at) => h("option", { value: at }, call.name)));
  pickCall();
}

function pickCall() {
  const call = chosen();
  const [whole, streamed] = $("try-form").elements.mode;
  whole.disabled = call.only_streamed;
  streamed.disabled = !call.streamed;
  if (!call.streamed) whole.checked = true;
  if (call.only_streamed) streamed.checked = true;
  $("try-path").value = call.path;
  $("try-headers").value = Object.entries(call.headers).map((pair) => pair.join(": ")).join("\n");
  show($("try-body-label"), call.body !== null);
  write();
}

function write() {
  const call = chosen();
  const body = call.body && mode() === "streamed" ? { ...call.body, ...call.streamed } : call.body;
  $("try-body").value = body === null ? "" : pretty(filled(body));
}

function headers() {
  const lines = $("try-headers").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const given = Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(`A header needs a name, a colon and a value: ${line}`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
  if (chosen().body !== null) given["Content-Type"] = "application/json";
  if ($("try-fault").value.trim()) given["x-sandbox-fault"] = $("try-fault").value.trim();
  if ($("try-switches").value.trim()) given["x-sandbox-switches"] = $("try-switches").value.trim();
  return given;
}

function request() {
  const body = chosen().body === null ? undefined : $("try-body").value;
  if (body !== undefined) JSON.parse(body);
  return { method: chosen().method, headers: headers(), body };
}

const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;

function curl() {
  const { method, headers: given, body } = request();
  const lines = [`curl -N -X ${method} ${quoted(location.origin + $("try-path").value)}`];
  lines.push(...Object.entries(given).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`));
  if (body !== undefined) lines.push(`-d ${quoted(JSON.stringify(JSON.parse(body)))}`);
  return lines.join(" \\\n  ");
}

function refuse(error) {
  const told = error instanceof SyntaxError ? `The body is not valid JSON: ${error.message}` : error.message;
  $("try-error").textContent = told;
  show($("try-error"), true);
}

// A stream may arrive in thousands of pieces: what it says is drawn a few times a second.
function artist(decoder) {
  let timer = null;
  const now = () => {
    clearTimeout(timer);
    timer = null;
    draw(decoder);
  };
  return { soon: () => (timer ??= setTimeout(now, 40)), now };
}

function draw(decoder) {
  const sources = decoder.sources.map((source, at) => ({ ...source, number: at + 1 }));
  const go = (number) => $(`try-source-${number}`)?.focus();
  $("try-answer").replaceChildren(...(decoder.error ? [h("p", { class: "error" }, decoder.error)] : []),
    ...answerOf(decoder.text, sources, go));
  $("try-sources").replaceChildren(...sources.map((source) =>
    h("li", { id: `try-source-${source.number}`, class: "source", tabindex: "-1" },
      h("span", { class: "marker" }, `[${source.number}]`),
      h("span", { class: "source-name" }, source.title), h("span", { class: "quote unused" }, source.text))));
}

// Writes into the wire pane in steps, and keeps its end in sight unless the reader has scrolled up.
function wire() {
  const pane = $("try-wire");
  const node = document.createTextNode("");
  pane.replaceChildren(node);
  return (part) => {
    const following = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 30;
    node.appendData(part);
    if (following) pane.scrollTop = pane.scrollHeight;
  };
}

async function read(response, write, tell) {
  const type = response.headers.get("content-type") ?? "";
  const decoder = new Decoder(type);
  const drawn = artist(decoder);
  write(`HTTP ${response.status} ${response.statusText}\n${[...response.headers].map((pair) => pair.join(": ")).join("\n")}\n\n`);
  const reader = response.body.getReader();
  const utf8 = new TextDecoder();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      const part = utf8.decode(step.value, { stream: true });
      write(part);
      decoder.push(part);
      drawn.soon();
      tell(response, step.value.length);
    }
    decoder.end();
  } finally {
    drawn.now();
  }
  if (!decoder.text && !decoder.error && !decoder.sources.length) {
    $("try-answer").replaceChildren(h("p", { class: "hint" }, "This answer has no text: see the wire."));
  }
}

async function send(event) {
  event?.preventDefault();
  show($("try-error"), false);
  let wanted;
  try {
    wanted = request();
  } catch (error) {
    return refuse(error);
  }
  running?.abort();
  const mine = (running = new AbortController());
  label = `page-${Math.random().toString(36).slice(2)}`;
  wanted.headers["x-sandbox-label"] = label;
  const begun = performance.now();
  let [bytes, reads] = [0, 0];
  const tell = (response, more) => {
    bytes += more;
    reads += 1;
    $("try-state").textContent = `${response.status} · ${size(bytes)} in ${counted(reads, "read")} · ${lasting(performance.now() - begun)}`;
  };
  $("try-stop").disabled = false;
  show($("try-record"), false);
  $("try-answer").replaceChildren();
  $("try-sources").replaceChildren();
  $("try-state").textContent = "asking";
  const write = wire();
  try {
    const response = await fetch($("try-path").value, { ...wanted, signal: mine.signal });
    $("try-state").textContent = String(response.status);
    await read(response, write, tell);
  } catch (error) {
    const stopped = mine.signal.aborted;
    if (!stopped || running === mine) $("try-answer").append(h("p", { class: "error" },
      stopped ? "Stopped." : `The connection broke before the end (${error.message}).`));
  }
  if (running !== mine) return;
  running = null;
  $("try-stop").disabled = true;
  $("news").textContent = `Answer ended: ${$("try-state").textContent}`;
}

export async function start() {
  const given = await get("/examples");
  calls = given.calls;
  $("try-question").value = given.question;
  $("try-service").append(...[...new Set(calls.map((call) => call.service))].map((name) => h("option", { value: name }, name)));
  $("try-service").addEventListener("change", pickService);
  $("try-call").addEventListener("change", pickCall);
  $("try-question").addEventListener("input", write);
  for (const radio of $("try-form").elements.mode) radio.addEventListener("change", write);
  $("try-form").addEventListener("submit", send);
  $("try-form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(event);
  });
  $("try-stop").addEventListener("click", () => running?.abort());
  $("try-curl").addEventListener("click", () => {
    try {
      copy(curl(), $("try-curl"));
    } catch (error) {
      refuse(error);
    }
  });
  pickService();
}

onRecord((record) => {
  if (!label || record.label !== label) return;
  $("try-record").setAttribute("href", `#/requests/${record.number}`);
  show($("try-record"), true);
});
