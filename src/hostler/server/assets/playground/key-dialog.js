/** Asks for a key, and shows what the present one may do. */

import { button, field, h, openDialog } from "./dom.js";
import { server } from "./server-watch.js";
import { currentKey, forgetKey, rememberKey } from "./session-key.js";

let shown = null;

export function askForKey() {
  if (shown) return;
  const hasKey = currentKey() !== null;
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const problem = h("p", { class: "problem", role: "alert" });
  const save = h("button", { class: "main" }, "Use this key");
  const form = h(
    "form",
    { onsubmit: (event) => tryKey(event, input.value.trim(), problem) },
    h("p", {}, stateOfKey(hasKey)),
    field("API key", input, "Kept in this tab until it is closed; sent to this server and nowhere else."),
    problem,
    h(
      "div",
      { class: "buttons" },
      save,
      hasKey && button("Forget the key", leave),
      button("Cancel", closeDialog, { class: "quiet" }),
    ),
  );
  const dialog = openDialog("Key", form);
  shown = dialog;
  dialog.addEventListener("close", () => {
    if (shown === dialog) shown = null;
  });
  input.focus();
}

function stateOfKey(hasKey) {
  if (server.needsKey)
    return hasKey ? "The server does not accept the key of this tab." : "This server asks for a key.";
  const scopes = [...server.scopes].join(", ") || "nothing";
  return server.keyName === null
    ? "This server asks for no key."
    : `The key “${server.keyName}” is in use. It allows: ${scopes}.`;
}

async function tryKey(event, key, problem) {
  event.preventDefault();
  const before = currentKey();
  rememberKey(key);
  await server.refreshAfresh();
  if (server.needsKey) {
    if (before === null) forgetKey();
    else rememberKey(before);
    problem.textContent = "The server does not accept this key.";
  } else if (server.isReachable) {
    closeDialog();
  } else {
    problem.textContent = "The server does not answer.";
  }
}

async function leave() {
  forgetKey();
  closeDialog();
  await server.refreshAfresh();
}

/** The browser tells of a closed dialog later, perhaps after the answer that asks for the next one. */
function closeDialog() {
  const dialog = shown;
  shown = null;
  dialog?.close();
}
