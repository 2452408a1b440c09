/** Chooses one of the models, those in memory first; asks for a name where the key may not list them. */

import { h } from "./dom.js";
import { server } from "./server-watch.js";

export class ModelSelect {
  constructor(label, onchange) {
    const tell = () => onchange(this.value);
    this.select = h("select", { "aria-label": label, onchange: tell });
    this.input = h("input", { "aria-label": label, placeholder: "model id", spellcheck: "false", onchange: tell });
    /** Holds one of the two. */
    this.element = h("span", { class: "model-select" }, this.select);
    /** Chosen, though perhaps not listed yet. */
    this.wanted = "";
    this.shown = "";
  }

  get value() {
    if (this.element.firstChild === this.input) return this.input.value.trim();
    return this.select.value || this.wanted;
  }

  /** Chooses a model; while none are known, as soon as they are. */
  choose(modelId) {
    this.wanted = modelId;
    this.input.value = modelId;
    if (server.models.has(modelId)) this.select.value = modelId;
  }

  update() {
    const mayList = server.has("read") || !server.isKnown || server.needsKey;
    const control = mayList ? this.select : this.input;
    if (this.element.firstChild !== control) this.element.replaceChildren(control);
    const held = [];
    const others = [];
    for (const [modelId, row] of server.models) (row.state === "ready" ? held : others).push(modelId);
    const state = JSON.stringify([held, others]);
    if (state === this.shown) return;
    this.shown = state;
    const chosen = this.value;
    const groups = [
      ["In memory", held],
      ["Loaded when asked", others],
    ].filter(([, models]) => models.length > 0);
    this.select.replaceChildren(
      ...groups.map(([label, models]) =>
        h("optgroup", { label }, ...models.map((modelId) => h("option", {}, modelId))),
      ),
    );
    this.choose(chosen);
  }
}
