/** The stable: all models, the memory they share, and what happens to them. */

import { button, h, setText } from "./dom.js";
import { feed } from "./event-feed.js";
import { EventLog } from "./event-log.js";
import { plural } from "./format.js";
import { MemoryBars } from "./memory-bars.js";
import { ModelRow } from "./model-row.js";
import { server } from "./server-watch.js";
import { speeds } from "./speeds.js";

const COLUMNS = ["Model", "Type", "State", "Memory", "In flight", "Tokens/s", "Last used", ""];
const STATES = { "": "any state", memory: "in memory or loading", unloaded: "not in memory", failed: "failed" };
const SPEEDS_EVERY_MS = 5000;

export class StableView {
  constructor() {
    this.rows = new Map();
    this.speedsReadAt = -Infinity;
    this.bars = new MemoryBars();
    this.log = new EventLog();
    const refilter = () => this.#filter();
    this.search = h("input", {
      type: "search",
      "aria-label": "Search models",
      title: "Ctrl+K",
      placeholder: "Search models",
      oninput: refilter,
    });
    this.type = h("select", { "aria-label": "Type", onchange: refilter }, h("option", { value: "" }, "any type"));
    this.state = h("select", { "aria-label": "State", onchange: refilter }, ...options(STATES));
    this.count = h("span", { class: "count", role: "status" });
    this.body = h("tbody", { onkeydown: (event) => this.#move(event) });
    const heads = COLUMNS.map((name) => (name ? h("th", { scope: "col" }, name) : h("td")));
    const table = h("table", { class: "models" }, h("thead", {}, h("tr", {}, ...heads)), this.body);
    const toEvents = button("Events", () => this.log.focus(), { class: "quiet to-events" });
    this.nothing = h("p", { class: "nothing", hidden: true }, "No model is like that.");
    this.speedNote = h("p", { class: "note" });
    this.refusal = h("p", { class: "refusal", hidden: true });
    this.content = h(
      "div",
      { class: "stable" },
      h("h1", {}, "The stable"),
      this.bars.element,
      h("div", { class: "bar" }, this.search, this.type, this.state, this.count, toEvents),
      h("div", { class: "all-models", tabindex: "0", role: "region", "aria-label": "Models" }, table, this.nothing),
      this.speedNote,
      this.log.element,
    );
    this.element = h("div", {}, this.refusal, this.content);
    server.addEventListener("change", () => this.update());
    feed.addEventListener("event", ({ detail }) => {
      if (detail.kind === "progress" && this.rows.has(detail.model_id)) this.rows.get(detail.model_id).showProgress();
    });
  }

  show() {
    this.update();
  }

  update() {
    if (!this.element.isConnected) return;
    const maySee = server.has("read");
    this.refusal.hidden = maySee || !server.isKnown;
    this.content.hidden = !maySee;
    setText(
      this.refusal,
      server.needsKey
        ? "A key is needed to see the stable."
        : "This key may not look at the stable: it has not the scope “read”.",
    );
    if (!maySee) return;
    this.bars.update();
    this.#updateRows();
    this.#updateSpeeds();
    this.#filter();
  }

  #updateRows() {
    for (const [modelId, row] of this.rows) {
      if (server.models.has(modelId)) continue;
      row.element.remove();
      this.rows.delete(modelId);
    }
    for (const [modelId, facts] of server.models) {
      if (!this.rows.has(modelId)) {
        this.rows.set(modelId, new ModelRow(modelId));
        this.body.append(this.rows.get(modelId).element);
      }
      this.rows.get(modelId).update(facts, speeds.byModel.get(modelId));
    }
    const types = new Set([...server.models.values()].map((row) => row.type));
    const known = new Set([...this.type.options].map((option) => option.value));
    for (const type of types) if (!known.has(type)) this.type.append(h("option", { value: type }, type));
  }

  async #updateSpeeds() {
    if (performance.now() - this.speedsReadAt < SPEEDS_EVERY_MS) return;
    this.speedsReadAt = performance.now();
    // What breaks off is asked for again soon.
    await speeds.read().catch(() => null);
    setText(this.speedNote, speeds.problem ?? "");
  }

  #filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isShown = (modelId, row) => {
      const text = `${modelId} ${row.name} ${row.description} ${row.size}`.toLowerCase();
      return words.every((word) => text.includes(word)) && this.#hasType(row) && this.#hasState(row);
    };
    let numShown = 0;
    for (const [modelId, row] of this.rows) {
      row.element.hidden = !isShown(modelId, row.row);
      numShown += row.element.hidden ? 0 : 1;
    }
    const all = this.rows.size;
    this.nothing.hidden = numShown > 0;
    setText(this.count, numShown === all ? plural(all, "model") : `${numShown} of ${plural(all, "model")}`);
    this.log.filter((modelId) => this.rows.get(modelId)?.element.hidden === false);
  }

  #hasType(row) {
    return this.type.value === "" || row.type === this.type.value;
  }

  #hasState(row) {
    const isHeld = ["loading", "ready", "unloading"].includes(row.state);
    if (this.state.value === "memory") return isHeld;
    if (this.state.value === "unloaded") return !isHeld;
    return this.state.value === "" || row.state === this.state.value;
  }

  /** Up and down go to the same place in the next row. */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const cell = event.target.closest("tr");
    if (!step || !cell) return;
    const rows = [...this.body.children].filter((row) => !row.hidden);
    const next = rows[rows.indexOf(cell) + step];
    if (!next) return;
    event.preventDefault();
    const place = visibleActions(cell).indexOf(event.target);
    const actions = visibleActions(next);
    actions[Math.min(place, actions.length - 1)]?.focus();
  }
}

function visibleActions(row) {
  return [...row.querySelectorAll(".actions > :not([hidden])")];
}

function options(names) {
  return Object.entries(names).map(([value, name]) => h("option", { value }, name));
}
