/** Copies text, also where the page came over plain HTTP from another machine. */

import { button, h } from "./dom.js";
import { notify } from "./notices.js";

const SAID_MS = 2000;

/** Whether the text is on the clipboard now; where it is not, a notice says so. */
export async function copyText(text) {
  const isCopied = navigator.clipboard
    ? await navigator.clipboard.writeText(text).then(
        () => true,
        () => false,
      )
    : copySelected(text);
  if (!isCopied) notify("The browser did not let the page copy.", "error");
  return isCopied;
}

/** A button that copies what `read` gives, and then says so. */
export function copyButton(read, properties = {}) {
  const copy = button(
    "Copy",
    async () => {
      if (!(await copyText(read()))) return;
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), SAID_MS);
    },
    properties,
  );
  return copy;
}

/** Browsers give `navigator.clipboard` to pages of HTTPS and of their own machine alone. */
function copySelected(text) {
  const focused = document.activeElement;
  const area = h("textarea", { class: "unseen", value: text });
  // Outside a modal dialog nothing can be selected.
  (focused.closest("dialog") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused.focus();
  return isCopied;
}
