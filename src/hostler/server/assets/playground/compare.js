/** Several models on one prompt, side by side. */

import { call } from "./api.js";
import { copyText } from "./clipboard.js";
import { CompareColumn } from "./compare-column.js";
import { button, field, h, setText } from "./dom.js";
import { ModelSelect } from "./model-select.js";
import { notify } from "./notices.js";
import { describe } from "./router.js";
import { Sampling } from "./sampling.js";
import { server } from "./server-watch.js";
import { readEvents } from "./stream.js";

const MIN_MODELS = 2;
const MAX_MODELS = 4;
const NAMES = ["temperature", "top_p", "top_k", "max_new_tokens", "seed"];
/** Where `/compare` is asked with messages, its parameters are those of a native chat. */
const ROUTE = "chat";

export class CompareView {
  constructor() {
    this.selects = [];
    this.running = null;
    this.chosen = h("div", { class: "chosen-models", role: "group", "aria-label": "Models" });
    this.more = button("Add a model", () => this.#addSelect());
    this.prompt = h("textarea", { rows: "3", required: true });
    this.system = h("textarea", { rows: "2" });
    this.sampling = new Sampling(ROUTE, NAMES);
    this.columns = h("div", { class: "columns" });
    this.go = h("button", { class: "main" }, "Compare");
    this.halt = button("Stop", () => this.running?.abort(), { title: "Esc", hidden: true });
    this.refusal = h("p", { class: "refusal", hidden: true });
    this.spoken = h("p", { class: "unseen", role: "status" });
    this.content = h("div", { class: "compare" }, h("h1", {}, "Compare"), this.#form(), this.spoken, this.columns);
    this.element = h("div", { onkeydown: (event) => this.#key(event) }, this.refusal, this.content);
    server.addEventListener("change", () => this.update());
  }

  #form() {
    return h(
      "form",
      { onsubmit: (event) => (event.preventDefault(), this.#run()) },
      h("div", { class: "bar" }, this.chosen, this.more),
      field("Prompt", this.prompt),
      h("details", {}, h("summary", {}, "Settings"), field("System prompt", this.system), this.sampling.element),
      h(
        "div",
        { class: "bar" },
        this.go,
        this.halt,
        button("Copy link", () => this.#copyLink()),
      ),
    );
  }

  show(query) {
    this.update();
    if (!query.has("models")) return;
    this.#chooseModels(query.get("models").split(","));
    this.prompt.value = query.get("prompt") ?? "";
    this.system.value = query.get("system") ?? "";
    this.sampling.fill(Object.fromEntries(query));
    this.sampling.schema.value = query.get("schema") ?? "";
  }

  update() {
    if (!this.element.isConnected) return;
    const mayAsk = server.has("inference");
    this.refusal.hidden = mayAsk || !server.isKnown;
    this.content.hidden = !mayAsk && server.isKnown;
    setText(
      this.refusal,
      server.needsKey
        ? "A key is needed to compare."
        : "This key may not ask models: it has not the scope “inference”.",
    );
    if (!mayAsk) return;
    if (this.selects.length === 0) this.#chooseModels([...server.models.keys()].slice(0, MIN_MODELS));
    while (this.selects.length < MIN_MODELS) this.#addSelect();
    for (const select of this.selects) select.update();
  }

  #chooseModels(modelIds) {
    this.selects = [];
    this.chosen.replaceChildren();
    for (const modelId of modelIds.slice(0, MAX_MODELS)) this.#addSelect(modelId);
    if (this.#models().length > 0 && server.has("read")) this.sampling.describe(this.#models()[0]).catch(() => {});
  }

  #addSelect(modelId = null) {
    const free = [...server.models.keys()].find((other) => !this.#models().includes(other)) ?? "";
    const select = new ModelSelect(`Model ${this.selects.length + 1}`, () => this.#describe());
    const remove = button("×", () => this.#removeSelect(select, place), {
      class: "quiet",
      "aria-label": "Remove this model",
    });
    const place = h("span", {}, select.element, remove);
    this.selects.push(select);
    this.chosen.append(place);
    select.update();
    select.choose(modelId ?? free);
    this.#bound();
  }

  #removeSelect(select, place) {
    this.selects.splice(this.selects.indexOf(select), 1);
    place.remove();
    this.#bound();
    this.more.focus();
  }

  #bound() {
    this.more.hidden = this.selects.length >= MAX_MODELS;
    for (const remove of this.chosen.querySelectorAll("button")) remove.hidden = this.selects.length <= MIN_MODELS;
  }

  #models() {
    return [...new Set(this.selects.map((select) => select.value))];
  }

  /** Writes what is asked into the address, which never has a key. */
  #describe() {
    const models = this.#models().join(",");
    const set = this.sampling.values() ?? {};
    describe("compare", {
      models,
      prompt: this.prompt.value,
      system: this.system.value,
      schema: this.sampling.schema.value,
      ...set,
    });
  }

  async #copyLink() {
    this.#describe();
    if (await copyText(location.href)) {
      notify("The link is copied. It has the models, the prompt and the settings, and no key.");
    }
  }

  async #run() {
    const values = this.sampling.values();
    const schema = this.sampling.schemaValue();
    if (this.running || values === null || schema === null) return;
    this.#describe();
    const models = this.#models();
    const system = this.system.value.trim() ? [{ role: "system", content: this.system.value }] : [];
    const body = {
      models,
      messages: [...system, { role: "user", content: this.prompt.value }],
      stream: true,
      ...values,
      ...(schema && { json_schema: schema }),
    };
    const columns = new Map(models.map((modelId) => [modelId, new CompareColumn(modelId)]));
    this.columns.replaceChildren(...[...columns.values()].map((column) => column.element));
    this.running = new AbortController();
    this.#showRunning(true);
    try {
      await this.#receive(body, columns);
    } finally {
      this.running = null;
      this.#showRunning(false);
      server.refresh();
    }
  }

  async #receive(body, columns) {
    const answers = new Map();
    try {
      const response = await call("compare", { body, signal: this.running.signal });
      for await (const message of readEvents(response)) {
        if (message.comment !== undefined) tellWait(message.comment, columns);
        else if (message.data !== "[DONE]") takeEvent(JSON.parse(message.data), columns, answers);
      }
      praiseBest(columns, answers);
      setText(this.spoken, "The comparison is complete.");
    } catch (error) {
      const text = error.name === "AbortError" ? "stopped" : error.message;
      for (const [modelId, column] of columns) if (!answers.has(modelId)) column.fail(text);
    }
  }

  #showRunning(isRunning) {
    this.go.hidden = isRunning;
    this.halt.hidden = !isRunning;
  }

  #key(event) {
    if (event.key === "Escape") this.running?.abort();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target === this.prompt) this.#run();
  }
}

/** A comment names its model: `gpt2-small: loading 43%`. */
function tellWait(comment, columns) {
  const [modelId, ...rest] = comment.split(": ");
  columns.get(modelId)?.showWait(rest.join(": "));
}

function takeEvent(event, columns, answers) {
  const column = columns.get(event.model_id);
  if (event.text !== undefined) {
    column.add(event.text);
  } else {
    answers.set(event.model_id, event);
    column.finish(event);
  }
}

function praiseBest(columns, answers) {
  const told = [...answers.values()].filter((answer) => !answer.error);
  if (told.length < MIN_MODELS) return;
  const first = told.filter((answer) => answer.ttft_s !== null).sort((one, other) => one.ttft_s - other.ttft_s)[0];
  const fastest = told
    .filter((answer) => answer.tokens_per_second !== null)
    .sort((one, other) => other.tokens_per_second - one.tokens_per_second)[0];
  if (first) columns.get(first.model_id).praise("First token");
  if (fastest) columns.get(fastest.model_id).praise("Tokens/s");
}
