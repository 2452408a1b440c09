/** One model's part of a comparison. */

import { h, setText } from "./dom.js";
import { seconds } from "./format.js";
import { markdown } from "./markdown.js";
import { Pace } from "./pace.js";

export class CompareColumn {
  constructor(modelId) {
    this.modelId = modelId;
    this.text = "";
    this.pace = new Pace();
    this.body = h("div", { class: "body" });
    this.wait = h("p", { class: "wait" }, "asking");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.stats = h("p", { class: "stats" });
    this.facts = h("dl", { hidden: true });
    this.element = h(
      "section",
      { class: "column", "aria-label": modelId, "data-model": modelId },
      h("h2", {}, modelId),
      this.wait,
      this.body,
      this.problem,
      this.stats,
      this.facts,
    );
  }

  showWait(text) {
    if (this.pace.count === 0) setText(this.wait, text);
  }

  add(text) {
    if (!text) return;
    this.wait.hidden = true;
    this.text += text;
    this.pace.note();
    setText(this.stats, this.pace.describe());
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.body.replaceChildren(...markdown(this.text));
    });
  }

  /** `answer`: this model's entry as the server gives it at its end. */
  finish(answer) {
    this.wait.hidden = true;
    if (answer.error) {
      this.fail(answer.error.detail);
      return;
    }
    this.stats.hidden = true;
    this.facts.hidden = false;
    const rows = {
      "First token": answer.ttft_s === null ? "–" : seconds(answer.ttft_s),
      "Tokens/s": answer.tokens_per_second === null ? "–" : answer.tokens_per_second.toFixed(1),
      Tokens: `${answer.completion_tokens}${answer.finish_reason === "length" ? ", cut at the limit" : ""}`,
      "Wait for the model": seconds(answer.load_s),
      "In all": seconds(answer.total_s),
    };
    this.facts.replaceChildren(
      ...Object.entries(rows).flatMap(([name, value]) => [h("dt", {}, name), h("dd", { "data-fact": name }, value)]),
    );
  }

  fail(text) {
    this.wait.hidden = true;
    setText(this.problem, text);
  }

  /** Marks a number as the best of all columns. */
  praise(name) {
    this.facts.querySelector(`[data-fact="${name}"]`)?.classList.add("best");
  }
}
