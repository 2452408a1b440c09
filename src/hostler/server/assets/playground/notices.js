/** Short messages at the edge of the page, spoken by screen readers. */

import { button, h } from "./dom.js";

const SHOWN_MS = 8000;

/** `kind`: `error` stays until it is dismissed. */
export function notify(text, kind = "done") {
  const notice = h("p", { class: `notice ${kind}` }, h("span", {}, text));
  notice.append(button("Dismiss", () => notice.remove(), { class: "quiet" }));
  document.getElementById("notices").append(notice);
  if (kind !== "error") setTimeout(() => notice.remove(), SHOWN_MS);
}
