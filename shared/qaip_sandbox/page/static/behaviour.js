// How the sandbox behaves: the faults that wait, the pace, and the switches of each service.

import { patch, post, remove } from "./api.js";
import { $, counted, h, pretty, show, worded } from "./dom.js";
import { control } from "./form.js";

const TITLES = { pais: "PAIS" };

let shape = null;
let drawn = {}; // what each card shows, so that a card is drawn anew only for news
const queue = h("ol", { class: "queue", "aria-label": "Faults that wait" });
const queued = h("p", { class: "hint", role: "status" });

function card(title, ...children) {
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const tell = (words) => {
    error.textContent = words;
    show(error, Boolean(words));
  };
  const box = h("section", { class: "card", "aria-label": title, tabindex: "-1" }, h("h2", {}, title), ...children, error);
  return { box, tell };
}

// Runs a change; what the sandbox says against it is shown in the card.
async function attempt(tell, change) {
  tell("");
  try {
    return await change();
  } catch (error) {
    tell(error.message);
    return null;
  }
}

function settings(title, help, fields, before, save) {
  const body = h("div", { class: "fields" });
  const { box, tell } = card(title, help ? h("p", { class: "hint" }, worded(help)) : "", body);
  const draw = (values) => body.replaceChildren(...fields.map((field) =>
    control(field, values[field.name], (read) => attempt(tell, () => save({ [field.name]: read() }))).box));
  draw(before);
  if (fields.length) {
    const defaults = Object.fromEntries(fields.map((field) => [field.name, field.default]));
    box.append(h("p", { class: "actions" },
      h("button", { type: "button", onclick: () => attempt(tell, () => save(defaults)) }, "Defaults")));
  } else {
    body.append(h("p", { class: "hint" }, "Nothing to switch."));
  }
  return { box, draw };
}

function faultCard(kinds, services) {
  const names = Object.keys(kinds);
  const pick = h("select", { "aria-label": "Kind of fault" }, names.map((name) => h("option", { value: name }, name)));
  const help = h("p", { class: "hint" });
  const body = h("div", { class: "fields" });
  let controls = [];
  const draw = () => {
    const kind = kinds[pick.value];
    help.replaceChildren(...worded(kind.help));
    controls = kind.fields.map((field) => [field.name, control(
      field.name === "service" ? { ...field, kind: "choice", choices: services, none: "any" } : field, field.default)]);
    body.replaceChildren(...controls.map(([, one]) => one.box));
  };
  const add = h("button", { type: "submit", class: "main" }, "Queue this fault");
  const clear = h("button", { type: "button" }, "Clear the queue");
  const form = h("form", {}, h("label", { class: "lead" }, h("span", { class: "name" }, "kind"), pick), help, body,
    h("p", { class: "actions" }, add, clear));
  const { box, tell } = card("Faults", queued, queue, form);
  pick.addEventListener("change", draw);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fault = () => ({ kind: pick.value, ...Object.fromEntries(controls.map(([name, one]) => [name, one.read()])) });
    attempt(tell, () => post("/faults", fault()));
  });
  clear.addEventListener("click", () => attempt(tell, () => remove("/faults")));
  draw();
  return box;
}

// Only the events draw the queue: an answer to a change may be older than what has hit since.
function waiting(faults) {
  const hits = faults.reduce((sum, fault) => sum + (fault.times ?? Infinity), 0);
  queued.textContent = !hits ? "No fault waits. Each one hits the next request that it fits."
    : hits === Infinity ? "Requests will be hit until the queue is cleared." : `${counted(hits, "request")} will be hit.`;
  queue.replaceChildren(...faults.map((fault) => {
    const { kind, service, path, chance, times, ...rest } = fault;
    const often = times === null ? "without end" : times > 1 ? `${times} times` : "";
    const share = chance < 1 ? `${Number((100 * chance).toPrecision(3))} %` : "";
    const where = [service ?? "any service", path ? `…${path}` : "", share, often].filter(Boolean).join(" · ");
    return h("li", {}, h("span", { class: "chip fault" }, kind), " ", where,
      h("small", { class: "code" }, pretty(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null))).replace(/\s+/g, " ")));
  }));
}

function jumps(cards) {
  const buttons = cards.map((one) => h("button", { type: "button", class: "link",
    onclick: () => {
      one.scrollIntoView({ block: "start" });
      one.focus({ preventScroll: true });
    } }, one.getAttribute("aria-label")));
  return h("div", { class: "jumps", role: "group", "aria-label": "Jump to" }, buttons);
}

export function update(state) {
  if (!shape) return;
  const news = (name, value) => {
    const now = JSON.stringify(value);
    const changed = drawn[name] !== undefined && drawn[name] !== now;
    drawn[name] = now;
    return changed;
  };
  waiting(state.faults);
  if (news("physics", state.physics)) shape.physics.draw(state.physics);
  for (const [name, values] of Object.entries(state.switches)) {
    if (news(name, values) && shape[name]) shape[name].draw(values);
  }
}

export function start(status) {
  const services = Object.keys(status.services);
  shape = { physics: settings("Pace", "How fast answers are.", status.physics_fields, status.physics,
    (values) => patch("/physics", values)) };
  for (const [name, service] of Object.entries(status.services)) {
    shape[name] = settings(TITLES[name] ?? name, service.help, service.fields, service.switches,
      (values) => patch("/switches", { [name]: values }));
  }
  const cards = [faultCard(status.fault_kinds, services), ...Object.values(shape).map((one) => one.box)];
  $("behaviour").replaceChildren(jumps(cards), ...cards);
  drawn = {};
  update(status);
}
