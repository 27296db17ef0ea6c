// What an answer says, read from its bytes as they arrive, whatever the service.

const list = (value) => (Array.isArray(value) ? value : []);
const text = (value) => (typeof value === "string" ? value : "");

// Each rule reads one JSON value: text to add, text that replaces it all, or nothing.
const SAYS = [
  (it) => it.event === "message_replace" && { all: text(it.answer) },
  (it) => typeof it.answer === "string" && { add: it.answer },
  (it) => it.type === "TEXT_MESSAGE_CONTENT" && { add: text(it.delta) },
  (it) => it.type === "response.output_text.delta" && { add: text(it.delta) },
  (it) => it.output && { all: list(it.output).flatMap((one) => list(one.content)).map((one) => text(one.text)).join("") },
  (it) => it.choices && said(list(it.choices)[0] ?? {}, it.object),
];

function said(choice, object) {
  const part = text(object).endsWith(".chunk") ? choice.delta : (choice.message ?? choice.delta);
  const tools = list(part?.tool_calls).map(({ function: f }) => `${f?.name ?? ""}${f?.arguments ?? ""}`);
  return { add: text(choice.text) + text(part?.content) + tools.join(" "), may: true };
}

const SOURCES = [
  (it) => it.search_results,
  (it) => list(it.choices)[0]?.citations,
  (it) => it.citations,
  (it) => it.name === "citations" && it.value,
  (it) => it.metadata?.retriever_resources,
  (it) => it.index_context_info,
  (it) => list(it.output).find((one) => one.results)?.results,
  (it) => it.records,
  (it) => it.chunks,
  (it) => it.hits,
  (it) => it.data,
  (it) => it.results,
  (it) => it.references,
];

function source(it) {
  if (typeof it === "string") return { title: it, text: "" };
  const { segment = {} } = it;
  const title = it.title ?? it.document_name ?? it.metadata?.origin_name ?? it.origin_name ?? segment.document?.name ?? it.url ?? it.id ?? "";
  return { title: String(title), text: text(it.text ?? it.content ?? it.snippet ?? segment.content) };
}

const WRONG = [
  (it) => it.type === "RUN_ERROR" && it.message,
  (it) => it.event === "error" && (it.message ?? it.code),
  (it) => it.response?.error?.message,
  (it) => it.error && (text(it.error) || text(it.error.message)),
  (it) => it.detail && (text(it.detail) || list(it.detail).map((one) => one.msg).join("; ")),
];

const first = (rules, it) => rules.reduce((found, rule) => found || rule(it), null);

export class Decoder {
  constructor(contentType) {
    this.text = "";
    this.sources = [];
    this.error = "";
    this._rest = "";
    this._lines = !/json|html/.test(contentType);
    this._events = contentType.includes("event-stream");
  }

  push(part) {
    this._rest += part;
    if (!this._lines) return;
    const lines = this._rest.split(/\r\n|\n|\r(?!$)/);
    this._rest = lines.pop();
    lines.forEach((line) => this._line(line));
  }

  end() {
    if (this._rest) this._lines ? this._line(this._rest) : this._json(this._rest);
    this._rest = "";
  }

  _line(line) {
    if (!this._events) this._json(line) || (this.text += line && !line.startsWith(":") ? line : "");
    else if (line.startsWith("data:")) this._json(line.slice(5));
  }

  _json(raw) {
    let it;
    try {
      it = JSON.parse(raw.replace(/^\ufeff/, ""));
    } catch {
      return false;
    }
    if (it && typeof it === "object") this._take(it);
    return true;
  }

  _take(it) {
    const says = first(SAYS, it);
    // Some streams repeat everything so far in each piece.
    const whole = says?.may && this.text && says.add.length > this.text.length && says.add.startsWith(this.text);
    if (says) this.text = whole ? says.add : (says.all ?? this.text + says.add);
    const sources = list(first(SOURCES, it));
    if (sources.length) this.sources = sources.map(source);
    this.error = first(WRONG, it) || this.error;
  }
}
