// The sandbox's own paths.

const BASE = "/_sandbox";

export class Refused extends Error {}

async function call(method, path, body) {
  const response = await fetch(BASE + path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const value = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Refused(value?.error ?? `The sandbox answered ${response.status}.`);
  return value;
}

export const get = (path) => call("GET", path);
export const patch = (path, body) => call("PATCH", path, body);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

// Calls `on.record`, `on.state` and `on.link` for what happens, and reconnects by itself.
export function follow(on) {
  const source = new EventSource(`${BASE}/events`);
  source.onopen = () => on.link("live");
  source.onmessage = (event) => on.record(JSON.parse(event.data));
  source.addEventListener("state", (event) => on.state(JSON.parse(event.data)));
  source.onerror = () => {
    on.link("reconnecting");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(on), 2000);
  };
}
