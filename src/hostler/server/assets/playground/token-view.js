/** The tokens of an answer, each with how likely the model held it to be, and what it might have written instead. */

import { h } from "./dom.js";

/** Upper ends of the classes by which tokens are coloured. */
const CLASSES = [0.05, 0.2, 0.5, 0.8];

export class TokenView {
  constructor() {
    this.text = h("div", {
      class: "tokens",
      role: "group",
      "aria-label": "Tokens: the arrow keys go from one to the next",
      onmouseover: (event) => this.#point(event.target),
      onfocusin: (event) => this.#point(event.target),
      onkeydown: (event) => this.#move(event),
    });
    this.detail = h("div", { class: "rivals", "aria-live": "polite" }, "Point at a token to see how likely it was.");
    this.element = h("div", {}, this.text, this.detail);
    this.entries = new Map();
  }

  /** `tokens`: entries of OpenAI's `logprobs.content`. */
  add(tokens) {
    for (const entry of tokens) {
      const shown = h(
        "span",
        { class: `token ${grade(probability(entry))}`, tabindex: this.entries.size ? "-1" : "0" },
        entry.token,
      );
      this.entries.set(shown, entry);
      this.text.append(shown);
    }
  }

  #point(target) {
    const entry = this.entries.get(target);
    if (!entry) return;
    this.text.querySelector(".pointed")?.classList.remove("pointed");
    target.classList.add("pointed");
    const rivals = entry.top_logprobs.filter((rival) => rival.token !== entry.token);
    const rows = [entry, ...rivals].map((one, index) => {
      const meter = h("span", { class: "bar" });
      meter.style.width = `${100 * probability(one)}%`;
      return h(
        "li",
        { class: index === 0 ? "chosen" : null },
        h("code", {}, visible(one.token)),
        h("span", {}, percent(one)),
        h("span", { class: "track" }, meter),
      );
    });
    this.detail.replaceChildren(h("ul", {}, ...rows));
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !this.entries.has(event.target)) return;
    const next = step > 0 ? event.target.nextElementSibling : event.target.previousElementSibling;
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

function probability(entry) {
  return Math.exp(entry.logprob);
}

function percent(entry) {
  const share = 100 * probability(entry);
  return share < 0.1 ? "< 0.1%" : `${share.toFixed(1)}%`;
}

function grade(share) {
  const index = CLASSES.findIndex((end) => share < end);
  return `grade${index === -1 ? CLASSES.length : index}`;
}

/** Spaces and ends of lines as signs. */
function visible(token) {
  return token.replaceAll(" ", "␣").replaceAll("\n", "⏎") || "∅";
}
