/** A chat as JSON, and the request that would answer it as curl and as Python. None of them has the key. */

import { address } from "./api.js";
import { copyButton } from "./clipboard.js";
import { button, h, openDialog } from "./dom.js";

/** What OpenAI's Python client takes by name; the rest goes into `extra_body`. */
const OPENAI_NAMES = new Set([
  ...["model", "messages", "temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty"],
  ...["stop", "logprobs", "top_logprobs", "response_format"],
]);

/** `request`: the body without `stream`. `conversation`: what JSON is to hold. */
export function openExport(request, conversation) {
  const forms = { JSON: JSON.stringify(conversation, null, 2), curl: asCurl(request), Python: asPython(request) };
  const code = h("pre", { tabindex: "0", role: "region", "aria-label": "Export" });
  const choose = (name) => {
    code.textContent = forms[name];
    for (const choice of choices) choice.setAttribute("aria-pressed", String(choice.textContent === name));
  };
  const choices = Object.keys(forms).map((name) => button(name, () => choose(name)));
  const dialog = openDialog(
    "Export",
    h("div", { class: "bar" }, ...choices),
    code,
    h(
      "div",
      { class: "buttons" },
      copyButton(() => code.textContent),
      button("Save JSON", () => save(forms.JSON)),
      button("Close", () => dialog.close()),
    ),
  );
  dialog.classList.add("wide-dialog");
  choose("JSON");
}

export function asCurl(request) {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${address("v1/chat/completions")} \\`,
    `  -H "Authorization: Bearer $HOSTLER_API_KEY" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${body}'`,
  ].join("\n");
}

export function asPython(request) {
  const named = Object.entries(request).filter(([name]) => OPENAI_NAMES.has(name));
  const extra = Object.fromEntries(Object.entries(request).filter(([name]) => !OPENAI_NAMES.has(name)));
  const lines = named.map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  if (Object.keys(extra).length > 0) lines.push(`    extra_body=${literal(extra, 1)},`);
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${JSON.stringify(address("v1"))}, api_key=os.environ.get("HOSTLER_API_KEY", "none"))`,
    "answer = client.chat.completions.create(",
    ...lines,
    ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
}

/** A JSON value as Python writes it. */
function literal(value, depth) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const entries = Array.isArray(value)
    ? value.map((entry) => literal(entry, depth + 1))
    : Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${literal(entry, depth + 1)}`);
  const oneLine = `${open}${entries.join(", ")}${close}`;
  if (oneLine.length < 80) return oneLine;
  const indent = "    ".repeat(depth + 1);
  return `${open}\n${entries.map((entry) => `${indent}${entry},\n`).join("")}${"    ".repeat(depth)}${close}`;
}

function save(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: "chat.json" }).click();
  URL.revokeObjectURL(url);
}
