/** Chat with one model. */

import { UnreachableError } from "./api.js";
import { ChatSettings } from "./chat-settings.js";
import { complete } from "./completion.js";
import { button, field, h, setText } from "./dom.js";
import { openExport } from "./export-dialog.js";
import { keepChat, readChat } from "./kept-chat.js";
import { MessageView } from "./message-view.js";
import { ModelSelect } from "./model-select.js";
import { Pace } from "./pace.js";
import { describe } from "./router.js";
import { server } from "./server-watch.js";

/** Within so many pixels of its end, the log follows what is written. */
const FOLLOWS_WITHIN = 80;
/** What is said of an answer that did not end by itself. */
const ENDS = { length: "cut at the limit", stopped: "stopped" };

export class ChatView {
  constructor() {
    /** Each with `role` and `content`, and of answers what became of them. */
    this.messages = [];
    this.views = [];
    this.running = null;
    this.isLeaving = false;
    this.described = null;
    this.models = new ModelSelect("Model", () => this.#describeModel());
    this.settings = new ChatSettings(() => this.#keep());
    this.empty = h("p", { class: "empty" });
    this.log = h(
      "div",
      { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "off", tabindex: "0" },
      this.empty,
    );
    this.spoken = h("p", { class: "unseen", role: "status" });
    this.input = h("textarea", {
      rows: "2",
      "aria-label": "Message",
      placeholder: "Message, Enter sends, Shift+Enter breaks the line",
    });
    this.send = h("button", { class: "main" }, "Send");
    this.halt = button("Stop", () => this.#halt(), { title: "Esc", hidden: true });
    this.refusal = h("p", { class: "refusal", hidden: true });
    this.content = h("div", { class: "chat" }, this.#aside(), this.#conversation());
    this.element = h("div", { onkeydown: (event) => this.#key(event) }, this.refusal, this.content);
    server.addEventListener("change", () => this.update());
    // A reload in the middle of an answer keeps what there is of it. It cuts the connection before it hides the page.
    addEventListener("beforeunload", () => (this.isLeaving = true));
    addEventListener("pagehide", () => this.#keep());
    this.#restore();
  }

  #aside() {
    return h("aside", { "aria-label": "Settings" }, field("Model", this.models.element), this.settings.element);
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
      button("New chat", () => this.#clear(), { title: "Forgets this conversation" }),
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
    this.#showEmpty();
  }

  /** The limits of the model that is chosen, anew once a load has told more of it. */
  async #describeModel() {
    const modelId = this.models.value;
    const state = `${modelId} ${server.models.get(modelId)?.state === "ready"}`;
    if (!modelId || this.described === state || !server.has("read")) return;
    this.described = state;
    describe("chat", { model: modelId });
    await this.settings.describe(modelId).catch(() => (this.described = null));
  }

  /** The request for what was said so far; null where a setting cannot be. */
  #request() {
    const fields = this.settings.requestFields();
    if (fields === null) return null;
    const said = this.messages.map(({ role, content }) => ({ role, content }));
    return { model: this.models.value, messages: [...this.settings.systemMessages(), ...said], ...fields };
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
    this.isLeaving = false;
    this.#showRunning(true);
    this.#receive(request, message, view, this.running.signal).finally(() => {
      this.running = null;
      this.#showRunning(false);
      view.offerActions();
      this.#keep();
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
      message.finish = error.name === "AbortError" || this.isLeaving ? "stopped" : "error";
      const gone =
        error instanceof UnreachableError
          ? " The answer may be incomplete; regenerate it once the server is back."
          : "";
      if (message.finish === "error") message.problem = error.message + gone;
      setText(this.spoken, message.finish === "stopped" ? "The answer was stopped." : "");
    }
    view.showWait(null);
    message.stats = [pace.describe(), ENDS[message.finish]].filter(Boolean).join(" · ");
    view.draw();
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
    this.#showEmpty();
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
    this.#showEmpty();
  }

  #clear() {
    this.#halt();
    this.#cut(0);
    this.#keep();
    this.input.focus();
  }

  #keep() {
    keepChat({ system: this.settings.system, messages: this.messages });
  }

  #restore() {
    const { system, messages } = readChat();
    this.settings.system = system;
    for (const message of messages) {
      const isCut = message.role === "assistant" && !message.finish;
      this.#add(isCut ? { ...message, finish: "stopped", stats: ENDS.stopped } : message).offerActions();
    }
  }

  #showEmpty() {
    this.empty.hidden = this.messages.length > 0;
    const model = this.models.value || "a model";
    setText(this.empty, `Ask ${model} something. What is said stays in this tab until “New chat”, or until it closes.`);
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
