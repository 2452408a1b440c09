/** One message of a chat as it is shown. */

import { copyButton } from "./clipboard.js";
import { button, h, setText } from "./dom.js";
import { markdown } from "./markdown.js";
import { TokenView } from "./token-view.js";

const NAMES = { user: "You", assistant: "Model" };

export class MessageView {
  /** `actions`: what its buttons do: `edit(text)` of a user's, `regenerate` of a model's. */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.body = h("div", { class: "body" });
    this.thoughts = h("div", { class: "thoughts" });
    this.reasoning = h("details", { hidden: true }, h("summary", {}, "Thoughts"), this.thoughts);
    this.wait = h("div", { class: "wait", hidden: true }, h("progress", { "aria-label": "Waiting" }), h("span"));
    this.problem = h("p", { class: "problem", role: "alert" });
    this.stats = h("span", { class: "stats" });
    this.tools = h("span", { class: "tools" });
    this.element = h(
      "article",
      { class: `message ${message.role}`, "aria-label": message.role === "user" ? "You" : (message.model ?? "Model") },
      h("div", { class: "who" }, message.model ?? NAMES[message.role]),
      this.reasoning,
      this.body,
      this.wait,
      this.problem,
      h("div", { class: "foot" }, this.stats, this.tools),
    );
    this.draw();
  }

  /** Shows the whole text; called for every piece, it draws once a frame. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const { message } = this;
    this.reasoning.hidden = !message.reasoning;
    if (message.reasoning) this.thoughts.replaceChildren(...markdown(message.reasoning));
    setText(this.problem, message.problem ?? "");
    if (message.stats) this.showStats(message.stats);
    if (this.tokenView) return;
    if (message.role === "user") this.body.replaceChildren(h("p", {}, message.content));
    else this.body.replaceChildren(...markdown(message.content));
  }

  /** From now on its tokens are shown in place of its text. */
  addTokens(tokens) {
    if (!this.tokenView) {
      this.tokenView = new TokenView();
      this.body.replaceChildren(this.tokenView.element);
    }
    this.tokenView.add(tokens);
  }

  showWait(comment) {
    const [, percent] = /(\d+)%/.exec(comment ?? "") ?? [];
    const [bar, text] = this.wait.children;
    this.wait.hidden = comment === null;
    if (percent === undefined) bar.removeAttribute("value");
    else bar.value = percent / 100;
    setText(text, comment ?? "");
  }

  showStats(text) {
    setText(this.stats, text);
  }

  /** Its buttons, once it is whole. */
  offerActions() {
    const tools = [copyButton(() => this.message.content, { class: "quiet" })];
    if (this.actions.edit) tools.push(button("Edit", () => this.#edit(), { class: "quiet" }));
    if (this.actions.regenerate) tools.push(button("Regenerate", this.actions.regenerate, { class: "quiet" }));
    if (this.tokenView) tools.push(this.#switchButton());
    this.tools.replaceChildren(...tools);
  }

  #switchButton() {
    const { tokenView } = this;
    return button(
      "Probabilities",
      ({ currentTarget }) => {
        this.tokenView = this.tokenView ? null : tokenView;
        currentTarget.setAttribute("aria-pressed", String(this.tokenView !== null));
        if (this.tokenView) this.body.replaceChildren(tokenView.element);
        else this.draw();
      },
      { "aria-pressed": "true", class: "quiet" },
    );
  }

  #edit() {
    const text = h("textarea", { rows: "3", "aria-label": "Edit your message", value: this.message.content });
    const cancel = () => (this.draw(), this.offerActions());
    this.body.replaceChildren(text);
    this.tools.replaceChildren(
      button("Send again", () => this.actions.edit(text.value), { class: "main" }),
      button("Cancel", cancel, { class: "quiet" }),
    );
    text.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), this.actions.edit(text.value));
    });
    text.focus();
  }
}
