// The lines that point an application at the sandbox.

import { $, copy, h } from "./dom.js";

const quoted = (value) => (/^[\w./:@+-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`);
const FORMATS = {
  "sh, bash, zsh": (name, value) => `export ${name}=${quoted(value)}`,
  PowerShell: (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`,
  ".env": (name, value) => `${name}=${value}`,
};

export function start(lines) {
  const pick = $("environment-format");
  pick.replaceChildren(...Object.keys(FORMATS).map((name) => h("option", {}, name)));
  const draw = () => {
    const format = FORMATS[pick.value];
    $("environment-lines").textContent = Object.entries(lines).map(([name, value]) => format(name, value)).join("\n");
  };
  pick.addEventListener("change", draw);
  $("environment-copy").addEventListener("click", () => copy($("environment-lines").textContent, $("environment-copy")));
  draw();
}
