// The page: which panel is shown, and the link to the sandbox.

import { follow, get } from "./api.js";
import * as behaviour from "./behaviour.js";
import * as documents from "./documents.js";
import { $, counted } from "./dom.js";
import * as environment from "./environment.js";
import * as request from "./request.js";
import * as requests from "./requests.js";
import * as trying from "./trying.js";

const PANELS = ["requests", "documents", "try", "behaviour", "environment"];
let held = "";

function openRequest(number) {
  requests.choose(number);
  if (number) request.open(number);
  else request.close();
}

const OPEN = {
  requests: (part) => openRequest(Number(part) || null),
  documents: (part) => (part ? documents.open(part) : documents.close()),
};

function route() {
  const [, wanted, part = ""] = location.hash.split("/");
  const panel = PANELS.includes(wanted) ? wanted : PANELS[0];
  for (const name of PANELS) $(name).hidden = name !== panel;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${panel}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $(panel).classList.toggle("opened", Boolean(part));
  document.title = `${panel[0].toUpperCase()}${panel.slice(1)} · Sandbox`;
  OPEN[panel]?.(part);
}

function state(now) {
  $("holds").textContent = `${counted(now.documents, "document")}, ${counted(now.chunks, "chunk")}`;
  behaviour.update(now);
  const holds = JSON.stringify([now.documents, now.chunks, now.refused]);
  if (held && held !== holds) documents.reload().catch(lost);
  held = holds;
}

// The sandbox went away meanwhile; the events say when it is back.
const lost = () => link("reconnecting");

function link(how) {
  $("live").textContent = how;
  $("live").dataset.how = how;
  if (how === "live") requests.reload().catch(lost);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});

const status = await get("");
requests.start(status.services);
documents.start();
behaviour.start(status);
environment.start(status.environment);
state(status);
await Promise.all([documents.reload(), trying.start()]);
addEventListener("hashchange", route);
route();
follow({ record: requests.arrived, state, link });
