/** One model in the table of the stable. */

import { button, h, setAttribute, setText } from "./dom.js";
import { feed } from "./event-feed.js";
import { ago, bytes, seconds } from "./format.js";
import { loadOrAsk, pin, plan, unload } from "./model-actions.js";
import { routeOf } from "./router.js";
import { server } from "./server-watch.js";

const STATES = {
  unloaded: "not in memory",
  loading: "loading",
  ready: "in memory",
  unloading: "leaving",
  failed: "failed",
};

export class ModelRow {
  constructor(modelId) {
    this.modelId = modelId;
    this.name = h("small");
    this.type = h("td", { "data-label": "Type" });
    this.state = h("span");
    this.progress = h("progress", { max: "100", "aria-label": `Load of ${modelId}`, hidden: true });
    this.detail = h("small");
    this.memory = h("td", { "data-label": "Memory", class: "number" });
    this.requests = h("td", { "data-label": "In flight", class: "number" });
    this.speed = h("td", { "data-label": "Tokens/s", class: "number" });
    this.used = h("td", { "data-label": "Last used", class: "number" });
    this.chat = h(
      "a",
      { class: "button", href: routeOf("chat", { model: modelId }), "aria-label": `Chat with ${modelId}` },
      "Chat",
    );
    this.load = button("Load", () => loadOrAsk(modelId), { "aria-label": `Load ${modelId}` });
    this.unload = button("Unload", () => unload(modelId), { "aria-label": `Unload ${modelId}` });
    this.force = button("Unload now", () => unload(modelId, { force: true }), {
      "aria-label": `Unload ${modelId} now`,
    });
    this.pin = button("Pin", () => pin(modelId, !this.row.pinned), { "aria-label": `Pin ${modelId}` });
    this.plan = button("Plan", () => plan(modelId), { class: "quiet", "aria-label": `Plan ${modelId}` });
    this.element = h(
      "tr",
      { "data-model": modelId },
      h("th", { scope: "row" }, modelId, this.name),
      this.type,
      h("td", { "data-label": "State", class: "state" }, this.state, this.progress, this.detail),
      this.memory,
      this.requests,
      this.speed,
      this.used,
      h("td", { class: "actions" }, this.chat, this.load, this.unload, this.force, this.pin, this.plan),
    );
  }

  /** `row`: as `/models` has it. `speed`: tokens per second, or undefined. */
  update(row, speed) {
    this.row = row;
    setText(this.name, row.name);
    setText(this.type, row.type);
    setText(this.state, STATES[row.state] ?? "not known");
    this.state.className = `pill ${row.state}`;
    fill(this.memory, row.memory_bytes ? bytes(row.memory_bytes) : null);
    fill(this.requests, this.#requests(row));
    fill(this.speed, speed?.toFixed(1) ?? null);
    fill(this.used, row.last_used ? ago(row.last_used) : null);
    this.showProgress();
    this.#offer(row);
  }

  /** How far the load under way has come. */
  showProgress() {
    const { row } = this;
    const facts = row.state === "loading" ? (feed.loads.get(this.modelId) ?? {}) : {};
    this.progress.hidden = row.state !== "loading";
    // Without a value the bar says that something is going on.
    setAttribute(this.progress, "value", facts.percent ?? null);
    const words = [];
    if (row.state === "loading") {
      if (facts.stage) words.push(facts.stage);
      if (facts.percent != null) words.push(`${facts.percent}%`);
      if (facts.eta_s != null) words.push(`${seconds(facts.eta_s)} left`);
    } else if (row.last_error) {
      words.push(row.last_error);
    } else if (row.state === "ready" && row.device) {
      words.push(row.device);
      if (row.pinned) words.push("pinned");
    }
    setText(this.detail, words.join(" · "));
  }

  #requests(row) {
    if (!row.num_leases && !row.num_waiting) return null;
    return row.num_waiting ? `${row.num_leases} + ${row.num_waiting} waiting` : String(row.num_leases);
  }

  #offer(row) {
    const isAdmin = server.has("admin");
    const hadFocus = [this.load, this.unload, this.force].includes(document.activeElement);
    this.chat.hidden = !server.has("inference");
    this.load.hidden = !isAdmin || ["loading", "ready", "unloading"].includes(row.state);
    this.unload.hidden = !isAdmin || row.state !== "ready";
    this.force.hidden = !isAdmin || row.state !== "unloading" || !row.num_leases;
    this.pin.hidden = !isAdmin || row.state !== "ready";
    setAttribute(this.pin, "aria-pressed", row.pinned ? "true" : "false");
    this.plan.hidden = row.state === "ready" || row.state === "loading";
    // A button that goes away under the finger leaves the focus on its row.
    if (hadFocus && document.activeElement?.hidden !== false) {
      this.element.querySelector(".actions > :not([hidden])")?.focus();
    }
  }
}

/** A cell without a value is a dash in the table, and nothing where each model is a card. */
function fill(cell, text) {
  setText(cell, text ?? "–");
  cell.classList.toggle("none", text === null);
}
