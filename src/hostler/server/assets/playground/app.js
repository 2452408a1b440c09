/** Starts the page: the header, the views, and what is said when the server is gone. */

import { ChatView } from "./chat.js";
import { CompareView } from "./compare.js";
import { button } from "./dom.js";
import { feed } from "./event-feed.js";
import { askForKey } from "./key-dialog.js";
import { currentRoute, go } from "./router.js";
import { server } from "./server-watch.js";
import { installShortcuts } from "./shortcuts.js";
import { StableView } from "./stable.js";

const TITLES = { stable: "Stable", chat: "Chat", compare: "Compare" };
const main = document.getElementById("main");
const lost = document.getElementById("lost");
const keyButton = document.getElementById("key-button");
/** Made when they are first shown, and kept, so that a chat is there when one comes back. */
const views = {};
const makers = { stable: () => new StableView(), chat: () => new ChatView(), compare: () => new CompareView() };
let hasAskedForKey = false;

function show() {
  const { view: name, query } = currentRoute();
  if (!(name in makers)) {
    go("stable");
    return;
  }
  views[name] ??= makers[name]();
  document.title = `${TITLES[name]} – Hostler playground`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (main.firstElementChild !== views[name].element) {
    main.replaceChildren(views[name].element);
    scrollTo(0, 0);
  }
  views[name].show(query);
}

function tellOfServer() {
  if (server.isReachable) {
    lost.replaceChildren();
  } else if (!lost.hasChildNodes()) {
    lost.append("The server does not answer. This page asks again every second and goes on when it is back. ");
    lost.append(button("Ask now", () => server.refresh()));
  }
  keyButton.textContent = server.needsKey ? "Key needed" : (server.keyName ?? "No key");
  keyButton.hidden = !server.isKnown;
  if (server.needsKey && !hasAskedForKey) askForKey();
  // It is asked for once, and again after it had worked.
  hasAskedForKey = server.needsKey;
}

document.getElementById("skip").addEventListener("click", (event) => {
  // The fragment names the view, so the link must not change it.
  event.preventDefault();
  main.focus();
});
keyButton.addEventListener("click", askForKey);
window.addEventListener("hashchange", show);
server.addEventListener("change", tellOfServer);
installShortcuts();
await server.start();
show();
feed.start();
