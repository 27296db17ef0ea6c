// Controls for the fields that the sandbox declares.

import { h, worded } from "./dom.js";

const NONE = "none";

function choices(field, value) {
  const options = field.kind === "boolean" ? [true, false] : field.choices;
  const all = field.optional ? [null, ...options] : options;
  const at = all.indexOf(value);
  const select = h("select", {}, all.map((one, index) =>
    h("option", { value: index, selected: index === at }, one === null ? (field.none ?? NONE) : String(one))));
  return { input: select, read: () => all[Number(select.value)] };
}

function tick(_, value) {
  const input = h("input", { type: "checkbox", checked: value === true });
  return { input, read: () => input.checked };
}

function digits(field, value) {
  const input = h("input", { type: "number", min: field.minimum ?? field.above, max: field.maximum ?? field.below,
    step: field.kind === "integer" ? "1" : "any", value, placeholder: field.optional ? NONE : null });
  return { input, read: () => (input.value === "" ? null : Number(input.value)) };
}

function line(field, value) {
  const input = h("input", { class: "code", value: value ?? "", placeholder: field.optional ? NONE : null,
    spellcheck: "false", autocomplete: "off" });
  return { input, read: () => (input.value === "" && field.optional ? null : input.value) };
}

// A number or words, such as a Retry-After.
function either(field, value) {
  const { input } = line(field, value);
  const read = () => (input.value.trim() === "" ? null : isNaN(Number(input.value)) ? input.value : Number(input.value));
  return { input, read };
}

function json(_, value) {
  const input = h("textarea", { class: "code", rows: "3", spellcheck: "false" }, JSON.stringify(value));
  return { input, read: () => JSON.parse(input.value || "null") };
}

const KINDS = { choice: choices, integer: digits, number: digits, text: line, any: either, json };

let made = 0;

// A labelled control of `field`; `read()` gives its value as JSON.
export function control(field, value, changed = () => {}) {
  const build = field.kind === "boolean" ? (field.optional ? choices : tick) : (KINDS[field.kind] ?? json);
  const { input, read } = build(field, value);
  const id = `field-${++made}`;
  input.setAttribute("name", field.name);
  if (field.help) input.setAttribute("aria-describedby", id);
  input.addEventListener("change", () => changed(read));
  const kept = JSON.stringify(value) === JSON.stringify(field.default);
  const box = h("div", { class: kept ? "field" : "field changed" },
    h("label", { class: field.kind === "boolean" && !field.optional ? "ticked" : "" },
      h("span", { class: "name" }, field.name.replaceAll("_", " "), kept ? null : h("small", {}, " changed")), input),
    field.help ? h("p", { class: "hint", id }, worded(field.help)) : null);
  return { box, read, input };
}
