/** Chat with one model. */

import { UnreachableError } from "./api.js";
import { complete } from "./completion.js";
import { button, field, h, setText } from "./dom.js";
import { openExport } from "./export-dialog.js";
import { MessageView } from "./message-view.js";
import { ModelSelect } from "./model-select.js";
import { Pace } from "./pace.js";
import { describe } from "./router.js";
import { Sampling } from "./sampling.js";
import { server } from "./server-watch.js";

const ROUTE = "/v1/chat/completions";
const NAMES = [
  ...["temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "presence_penalty"],
  ...["frequency_penalty", "max_tokens", "min_tokens", "num_beams", "seed"],
];
const NUM_RIVALS = 5;
/** Within so many pixels of its end, the log follows what is written. */
const FOLLOWS_WITHIN = 80;

export class ChatView {
  constructor() {
    /** Each with `role` and `content`, and of answers what became of them. */
    this.messages = [];
    this.views = [];
    this.running = null;
    this.described = null;
    this.models = new ModelSelect("Model", () => this.#describeModel());
    this.system = h("textarea", { rows: "3" });
    this.stop = h("textarea", { rows: "2", spellcheck: "false" });
    this.logprobs = h("input", { type: "checkbox" });
    this.sampling = new Sampling(ROUTE, NAMES);
    this.log = h("div", { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "off", tabindex: "0" });
    this.spoken = h("p", { class: "unseen", role: "status" });
    this.input = h("textarea", {
      rows: "2",
      "aria-label": "Message",
      placeholder: "Message, Enter sends, Shift+Enter breaks the line",
    });
    this.send = h("button", { class: "main" }, "Send");
    this.halt = button("Stop", () => this.#halt(), { title: "Esc", hidden: true });
    this.refusal = h("p", { class: "refusal", hidden: true });
    this.content = h("div", { class: "chat" }, this.#settings(), this.#conversation());
    this.element = h("div", { onkeydown: (event) => this.#key(event) }, this.refusal, this.content);
    server.addEventListener("change", () => this.update());
  }

  #settings() {
    const panel = h(
      "details",
      { class: "settings", open: matchMedia("(min-width: 56rem)").matches },
      h("summary", {}, "Settings"),
      field("System prompt", this.system),
      this.sampling.element,
      field("Stop at, one a line", this.stop),
      h("label", { class: "check" }, this.logprobs, "Token probabilities"),
    );
    return h("aside", { "aria-label": "Settings" }, field("Model", this.models.element), panel);
  }

  #conversation() {
    const composer = h(
      "form",
      { class: "composer", onsubmit: (event) => (event.preventDefault(), this.#ask()) },
      this.input,
      this.send,
      this.halt,
    );
    const bar = h(
      "div",
      { class: "bar" },
      button("New chat", () => this.#clear()),
      button("Export", () => this.#export()),
    );
    return h(
      "section",
      { "aria-label": "Chat" },
      h("h1", { class: "unseen" }, "Chat"),
      bar,
      this.log,
      this.spoken,
      composer,
    );
  }

  show(query) {
    this.update();
    if (query.has("model")) this.models.choose(query.get("model"));
    this.#describeModel();
    if (matchMedia("(pointer: fine)").matches) this.input.focus();
  }

  update() {
    if (!this.element.isConnected) return;
    const mayAsk = server.has("inference");
    this.refusal.hidden = mayAsk || !server.isKnown;
    this.content.hidden = !mayAsk && server.isKnown;
    setText(
      this.refusal,
      server.needsKey ? "A key is needed to chat." : "This key may not ask models: it has not the scope “inference”.",
    );
    this.models.update();
    this.#describeModel();
  }

  /** The limits of the model that is chosen, anew once a load has told more of it. */
  async #describeModel() {
    const modelId = this.models.value;
    const state = `${modelId} ${server.models.get(modelId)?.state === "ready"}`;
    if (!modelId || this.described === state || !server.has("read")) return;
    this.described = state;
    describe("chat", { model: modelId });
    await this.sampling.describe(modelId).catch(() => (this.described = null));
  }

  /** The request for what was said so far; null where a setting cannot be. */
  #request() {
    const values = this.sampling.values();
    const schema = this.sampling.schemaValue();
    if (values === null || schema === null) return null;
    const said = this.messages.map(({ role, content }) => ({ role, content }));
    const system = this.system.value.trim() ? [{ role: "system", content: this.system.value }] : [];
    const stop = this.stop.value.split("\n").filter(Boolean);
    return {
      model: this.models.value,
      messages: [...system, ...said],
      ...values,
      ...(stop.length > 0 && { stop }),
      ...(schema && { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } }),
      ...(this.logprobs.checked && { logprobs: true, top_logprobs: NUM_RIVALS }),
    };
  }

  #ask() {
    const text = this.input.value;
    if (!text.trim() || this.running) return;
    this.#add({ role: "user", content: text });
    if (this.#answer()) this.input.value = "";
    else this.#cut(this.messages.length - 1);
  }

  /** Begins an answer to what was said; whether it could. */
  #answer() {
    const request = this.#request();
    if (request === null) return false;
    const message = { role: "assistant", content: "", reasoning: "", model: request.model };
    const view = this.#add(message);
    this.running = new AbortController();
    this.#showRunning(true);
    this.#receive(request, message, view, this.running.signal).finally(() => {
      this.running = null;
      this.#showRunning(false);
      view.offerActions();
      server.refresh();
    });
    return true;
  }

  async #receive(request, message, view, signal) {
    const pace = new Pace();
    view.showWait("asking");
    try {
      for await (const piece of complete(request, signal)) this.#take(piece, message, view, pace);
      setText(this.spoken, `The answer is complete: ${pace.describe()}.`);
    } catch (error) {
      message.finish = error.name === "AbortError" ? "stopped" : "error";
      const gone =
        error instanceof UnreachableError
          ? " The answer may be incomplete; regenerate it once the server is back."
          : "";
      if (message.finish === "error") view.showProblem(error.message + gone);
      setText(this.spoken, message.finish === "stopped" ? "The answer was stopped." : "");
    }
    view.showWait(null);
    view.draw();
    const ends = { length: "cut at the limit", stopped: "stopped" };
    message.stats = [pace.describe(), ends[message.finish]].filter(Boolean).join(" · ");
    view.showStats(message.stats);
  }

  #take(piece, message, view, pace) {
    if (piece.wait !== undefined) {
      if (pace.count === 0) view.showWait(piece.wait);
    } else if (piece.usage) {
      message.usage = piece.usage;
      pace.count = piece.usage.completion_tokens;
    } else if (piece.finish) {
      message.finish = piece.finish;
    } else {
      view.showWait(null);
      message.content += piece.text;
      message.reasoning += piece.reasoning;
      pace.note(piece.tokens.length || 1);
      if (piece.tokens.length > 0) view.addTokens(piece.tokens);
      view.drawSoon();
    }
    view.showStats(pace.describe());
    this.#follow();
  }

  #add(message) {
    const index = this.messages.length;
    const view = new MessageView(message, {
      edit: message.role === "user" && ((text) => this.#resend(index, text)),
      regenerate: message.role === "assistant" && (() => this.#resend(index - 1, this.messages[index - 1].content)),
    });
    this.messages.push(message);
    this.views.push(view);
    this.log.append(view.element);
    if (message.role === "user") view.offerActions();
    this.log.scrollTop = this.log.scrollHeight;
    return view;
  }

  /** Says a message again, perhaps in other words; what followed it is dropped. */
  #resend(index, text) {
    if (!text.trim() || this.running) return;
    this.#cut(index);
    this.#add({ role: "user", content: text });
    this.#answer();
    this.input.focus();
  }

  #cut(length) {
    this.messages.length = length;
    for (const view of this.views.splice(length)) view.element.remove();
  }

  #clear() {
    this.#halt();
    this.#cut(0);
    this.input.focus();
  }

  #halt() {
    this.running?.abort();
  }

  #export() {
    const request = this.#request();
    if (request === null) return;
    const isAnswered = request.messages.at(-1)?.role === "assistant";
    const asked = { ...request, messages: isAnswered ? request.messages.slice(0, -1) : request.messages };
    openExport(asked, {
      ...request,
      messages: [...request.messages.slice(0, -this.messages.length || undefined), ...this.messages],
    });
  }

  #follow() {
    const { log } = this;
    if (log.scrollHeight - log.scrollTop - log.clientHeight < FOLLOWS_WITHIN) {
      requestAnimationFrame(() => (log.scrollTop = log.scrollHeight));
    }
  }

  #showRunning(isRunning) {
    this.send.hidden = isRunning;
    this.halt.hidden = !isRunning;
    this.log.setAttribute("aria-busy", String(isRunning));
  }

  #key(event) {
    if (event.key === "Escape" && this.running) this.#halt();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === this.input) {
      event.preventDefault();
      this.#ask();
    }
  }
}
