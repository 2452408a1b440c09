/** Keys that work everywhere. All of them have a modifier, so that none is typed by mistake. */

import { go } from "./router.js";

const VIEWS = { Digit1: "stable", Digit2: "chat", Digit3: "compare" };

export function installShortcuts() {
  document.addEventListener("keydown", (event) => {
    if (event.altKey && !event.ctrlKey && !event.metaKey && VIEWS[event.code]) {
      event.preventDefault();
      go(VIEWS[event.code]);
    }
    if ((event.ctrlKey || event.metaKey) && event.code === "KeyK") {
      const search = document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  });
}
