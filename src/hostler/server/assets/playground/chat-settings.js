/** What goes with every message of a chat: system prompt, sampling, schema, stop texts. */

import { field, h } from "./dom.js";
import { Sampling } from "./sampling.js";

const ROUTE = "/v1/chat/completions";
const NAMES = [
  ...["temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "presence_penalty"],
  ...["frequency_penalty", "max_tokens", "min_tokens", "num_beams", "seed"],
];
const NUM_RIVALS = 5;

export class ChatSettings {
  /** `onsystem`: called when the system prompt was changed. */
  constructor(onsystem) {
    this.systemPrompt = h("textarea", { rows: "3", onchange: onsystem });
    this.stop = h("textarea", { rows: "2", spellcheck: "false" });
    this.logprobs = h("input", { type: "checkbox" });
    this.sampling = new Sampling(ROUTE, NAMES);
    this.element = h(
      "details",
      { class: "settings", open: matchMedia("(min-width: 56rem)").matches },
      h("summary", {}, "Settings"),
      field("System prompt", this.systemPrompt),
      this.sampling.element,
      field("Stop at, one a line", this.stop),
      h("label", { class: "check" }, this.logprobs, "Token probabilities"),
    );
  }

  get system() {
    return this.systemPrompt.value;
  }

  set system(text) {
    this.systemPrompt.value = text;
  }

  /** Takes over a model's limits. */
  describe(modelId) {
    return this.sampling.describe(modelId);
  }

  /** Messages that come before what was said. */
  systemMessages() {
    return this.system.trim() ? [{ role: "system", content: this.system }] : [];
  }

  /** The fields of a request besides model and messages; null where a setting cannot be, which is then shown. */
  requestFields() {
    const values = this.sampling.values();
    const schema = this.sampling.schemaValue();
    if (values === null || schema === null) return null;
    const stop = this.stop.value.split("\n").filter(Boolean);
    return {
      ...values,
      ...(stop.length > 0 && { stop }),
      ...(schema && { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } }),
      ...(this.logprobs.checked && { logprobs: true, top_logprobs: NUM_RIVALS }),
    };
  }
}
