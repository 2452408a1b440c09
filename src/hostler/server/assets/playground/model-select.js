/** Chooses one of the models, those in memory first. */

import { h } from "./dom.js";
import { server } from "./server-watch.js";

export class ModelSelect {
  constructor(label, onchange) {
    this.element = h("select", { "aria-label": label, onchange: () => onchange(this.value) });
    this.shown = "";
  }

  get value() {
    return this.element.value;
  }

  /** Chooses a model; one that is not there is passed over. */
  choose(modelId) {
    if (server.models.has(modelId)) this.element.value = modelId;
  }

  update() {
    const held = [];
    const others = [];
    for (const [modelId, row] of server.models) (row.state === "ready" ? held : others).push(modelId);
    const state = JSON.stringify([held, others]);
    if (state === this.shown) return;
    this.shown = state;
    const chosen = this.value;
    const groups = [["In memory", held], ["Loaded when asked", others]].filter(([, models]) => models.length > 0);
    this.element.replaceChildren(
      ...groups.map(([label, models]) => h("optgroup", { label }, ...models.map((modelId) => h("option", {}, modelId)))),
    );
    this.choose(chosen);
  }
}
