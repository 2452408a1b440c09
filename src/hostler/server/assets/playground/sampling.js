/** Controls of sampling, with the limits and defaults that the model itself states. */

import { field, h } from "./dom.js";
import { readCapabilities } from "./model-actions.js";

const LABELS = {
  temperature: "Temperature",
  top_p: "Top p",
  top_k: "Top k",
  min_p: "Min p",
  typical_p: "Typical p",
  repetition_penalty: "Repetition penalty",
  presence_penalty: "Presence penalty",
  frequency_penalty: "Frequency penalty",
  max_tokens: "Most new tokens",
  max_new_tokens: "Most new tokens",
  min_tokens: "Fewest new tokens",
  seed: "Seed",
  num_beams: "Beams",
};
const OF_LENGTH = new Set(["max_tokens", "max_new_tokens", "min_tokens"]);
/** A bound beyond it is that of a data type and tells a reader nothing. */
const MAX_TOLD = 1e6;

export class Sampling {
  /** `route`: whose parameters, as the capabilities name it. */
  constructor(route, names) {
    this.route = route;
    this.inputs = new Map(names.map((name) => [name, h("input", { type: "number", inputmode: "decimal" })]));
    this.hints = new Map(names.map((name) => [name, h("small")]));
    this.schema = h("textarea", { rows: "4", spellcheck: "false", placeholder: '{"type": "object", …}' });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.element = h(
      "div",
      { class: "sampling" },
      h("div", { class: "grid" }, ...names.map((name) => this.#field(name))),
      field("JSON schema of the answer", this.schema),
      this.problem,
    );
  }

  #field(name) {
    return h("label", { class: "field" }, h("span", {}, LABELS[name]), this.inputs.get(name), this.hints.get(name));
  }

  /** Takes over a model's limits; what was typed stays. */
  async describe(modelId) {
    const capabilities = await readCapabilities(modelId);
    const parameters = capabilities.parameters[this.route] ?? {};
    for (const [name, input] of this.inputs) {
      const known = parameters[name];
      input.closest("label").hidden = known === undefined;
      if (known !== undefined) this.#limit(name, input, known, capabilities.max_model_len);
    }
  }

  #limit(name, input, known, maxModelLen) {
    const isInteger = known.type === "integer";
    const lowest = bound(known.minimum ?? known.exclusiveMinimum);
    let highest = bound(known.maximum);
    if (OF_LENGTH.has(name)) highest = maxModelLen ?? null;
    for (const [attribute, value] of [
      ["min", lowest],
      ["max", highest],
    ]) {
      if (value === null) input.removeAttribute(attribute);
      else input.setAttribute(attribute, value);
    }
    // The steps of other numbers count from 0, so 0.33 is as good as 0.3.
    input.step = isInteger ? "1" : "any";
    input.placeholder = known.default ?? (name === "seed" ? "random" : "its own");
    this.hints.get(name).textContent = range(lowest, highest);
  }

  /** What was set, by name; null where something of it cannot be, which is then said and shown. */
  values() {
    this.problem.textContent = "";
    for (const input of this.inputs.values()) {
      if (!input.closest("label").hidden && !input.reportValidity()) return null;
    }
    const set = [...this.inputs].filter(([, input]) => input.value !== "" && !input.closest("label").hidden);
    return Object.fromEntries(set.map(([name, input]) => [name, Number(input.value)]));
  }

  /** The schema as an object, undefined where there is none, null where it is none. */
  schemaValue() {
    if (!this.schema.value.trim()) return undefined;
    try {
      const schema = JSON.parse(this.schema.value);
      if (typeof schema === "object" && schema !== null) return schema;
      this.problem.textContent = "A schema is an object.";
    } catch (error) {
      this.problem.textContent = `The schema is not JSON: ${error.message}`;
    }
    this.schema.focus();
    return null;
  }

  fill(values) {
    for (const [name, input] of this.inputs) input.value = values[name] ?? "";
  }
}

function range(lowest, highest) {
  if (lowest === null) return highest === null ? "" : `up to ${highest}`;
  return highest === null ? `from ${lowest}` : `${lowest} to ${highest}`;
}

function bound(value) {
  return value === undefined || Math.abs(value) > MAX_TOLD ? null : value;
}
