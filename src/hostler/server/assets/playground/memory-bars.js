/** Memory against its budget: one bar for each kind of memory, one part for each model that holds some of it. */

import { h } from "./dom.js";
import { bytes } from "./format.js";
import { server } from "./server-watch.js";

const NUM_COLOURS = 8;

export class MemoryBars {
  constructor() {
    this.element = h("section", { class: "memory", "aria-label": "Memory" });
    /** A model keeps its colour while the page is open. */
    this.colours = new Map();
    this.shown = "";
  }

  update() {
    const bars = Object.entries(server.memory?.budget ?? {}).map(([resource, budget]) => this.#state(resource, budget));
    const state = JSON.stringify(bars);
    if (state === this.shown) return;
    this.shown = state;
    this.element.replaceChildren(...bars.map((bar) => this.#draw(bar)));
  }

  #state(resource, budget) {
    const parts = [...server.models]
      .map(([modelId, row]) => [modelId, row.reserved?.[resource] ?? 0])
      .filter(([, held]) => held > 0);
    return { resource, budget, free: server.memory.free[resource] ?? 0, parts };
  }

  #draw({ resource, budget, free, parts }) {
    const used = parts.map(([modelId, held]) => `${modelId} ${bytes(held)}`);
    const words = [`${resource}: ${bytes(budget)} in all, ${bytes(free)} free`, used.join(", ")].filter(Boolean);
    const bar = h("div", { class: "meter", role: "img", "aria-label": words.join("; ") });
    for (const [modelId, held] of parts) {
      const part = h("span", { class: this.#colour(modelId), title: `${modelId}: ${bytes(held)}` });
      part.style.width = `${(100 * held) / budget}%`;
      bar.append(part);
    }
    const legend = parts.map(([modelId, held]) =>
      h("li", {}, h("span", { class: `swatch ${this.#colour(modelId)}` }), `${modelId} ${bytes(held)}`),
    );
    const head = h(
      "p",
      {},
      h("strong", {}, resource === "host" ? "Host memory" : resource),
      ` ${bytes(free)} of ${bytes(budget)} free`,
    );
    return h("div", {}, head, bar, legend.length > 0 && h("ul", { class: "legend" }, ...legend));
  }

  #colour(modelId) {
    if (!this.colours.has(modelId)) this.colours.set(modelId, `colour${this.colours.size % NUM_COLOURS}`);
    return this.colours.get(modelId);
  }
}
