/** What the page knows of the server: whether it answers, what this key may do, which models there are. */

import { ApiError, getJson, signals } from "./api.js";

const POLL_MS = 3000;
const POLL_LOST_MS = 1000;
const ANSWER_WITHIN_MS = 8000;

/** Tells `change` whenever it knows something new. */
class ServerWatch extends EventTarget {
  isReachable = true;
  /** Whether a key has to be given before the server says anything. */
  needsKey = false;
  /** Scopes of the key in use; all of them where the server has no keys. */
  scopes = new Set();
  keyName = null;
  /** Bytes by resource, or null while that may not be seen. */
  memory = null;
  /** Rows by model id, as `/models` has them; none where the key may not look. */
  models = new Map();
  isKnown = false;

  #timer = null;
  #running = null;

  start() {
    signals.addEventListener("unreachable", () => this.#lose());
    signals.addEventListener("refused", () => this.refresh());
    document.addEventListener("visibilitychange", () => this.refresh());
    return this.refresh();
  }

  has(scope) {
    return this.scopes.has(scope);
  }

  /** Asks anew; several calls at once become one. */
  refresh() {
    this.#running ??= this.#ask().finally(() => {
      this.#running = null;
      this.#wait();
    });
    return this.#running;
  }

  /** Asks with the key of now: a question already under way had the key of before. */
  async refreshAfresh() {
    await this.#running;
    await this.refresh();
  }

  #wait() {
    clearTimeout(this.#timer);
    if (document.hidden && this.isReachable) return;
    this.#timer = setTimeout(() => this.refresh(), this.isReachable ? POLL_MS : POLL_LOST_MS);
  }

  #lose() {
    if (!this.isReachable) return;
    this.isReachable = false;
    this.#tell();
    this.#wait();
  }

  async #ask() {
    try {
      const health = await getJson("health", { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      this.scopes = new Set(health.scopes ?? []);
      this.keyName = health.key_name ?? null;
      this.needsKey = health.scopes === undefined;
      this.memory = health.memory ?? null;
      this.models = new Map(this.has("read") ? Object.entries(await getJson("models")) : []);
      this.isReachable = this.isKnown = true;
    } catch (error) {
      // A refusal is an answer too; what else can be thrown here is silence.
      if (error instanceof ApiError) this.isReachable = true;
      else this.isReachable = false;
    }
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

export const server = new ServerWatch();
