/** The event log as a list, the newest first. */

import { h } from "./dom.js";
import { feed } from "./event-feed.js";

const KINDS = { load_failed: "load failed", short: "low memory" };

export class EventLog {
  constructor() {
    this.list = h("ol", { class: "events", tabindex: "0", "aria-label": "Events, the newest first" });
    this.only = h("input", { type: "checkbox", onchange: () => this.#fill() });
    this.matches = () => true;
    this.element = h(
      "section",
      { class: "event-log", "aria-label": "Event log" },
      h(
        "div",
        { class: "bar" },
        h("h2", {}, "What happened, and why"),
        h("label", { class: "check" }, this.only, "only models in the list"),
      ),
      this.list,
    );
    feed.addEventListener("restart", () => this.#fill());
    feed.addEventListener("event", ({ detail }) => this.#add(detail));
    this.#fill();
  }

  /** `matches`: whether the list of models shows a model of that id. */
  filter(matches) {
    this.matches = matches;
    if (this.only.checked) this.#fill();
  }

  focus() {
    this.list.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  #fill() {
    this.list.replaceChildren();
    feed.events.forEach((event) => this.#add(event));
    if (this.list.hasChildNodes()) return;
    const text = feed.isRefused ? "This key is for some models; the log is of all." : "Nothing yet.";
    this.list.append(h("li", { class: "empty" }, text));
  }

  #add(event) {
    if (event.kind === "progress" || (this.only.checked && !this.matches(event.model_id))) return;
    this.list.querySelector(".empty")?.remove();
    const time = new Date(event.time * 1000);
    this.list.prepend(
      h(
        "li",
        {},
        h("time", { datetime: time.toISOString(), title: time.toLocaleString() }, time.toLocaleTimeString()),
        h("span", { class: `kind ${event.kind}` }, KINDS[event.kind] ?? event.kind),
        h("span", {}, event.text),
      ),
    );
  }
}
