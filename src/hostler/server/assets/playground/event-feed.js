/** The server's event log, followed live, and the loads it tells of. */

import { ApiError, call, getJson } from "./api.js";
import { server } from "./server-watch.js";
import { currentKey } from "./session-key.js";
import { readEvents } from "./stream.js";

const KEPT = 500;
const RETRY_MS = 5000;
const FORBIDDEN = 403;
const LOAD_ENDS = new Set(["loaded", "load_failed", "unloaded", "died"]);

/** Tells `event` (its detail is the event) and, when it begins anew, `restart`. */
class EventFeed extends EventTarget {
  /** The oldest first. */
  events = [];
  /** Facts of the loads under way by model id: stage, percent, eta_s. */
  loads = new Map();

  /** Whether this key may not follow the events of all models. */
  isRefused = false;

  #refusedKey;
  #last = 0;
  #isRunning = false;

  start() {
    server.addEventListener("change", () => this.#follow());
    this.#follow();
  }

  async #follow() {
    if (this.#isRunning || !server.isReachable || !server.has("read") || this.#refusedKey === currentKey()) return;
    this.#isRunning = true;
    this.isRefused = false;
    try {
      if (this.#last === 0) await this.#readPast();
      const headers = { accept: "text/event-stream", "last-event-id": String(this.#last) };
      for await (const message of readEvents(await call("events", { headers }))) {
        if (message.data) this.#take(JSON.parse(message.data));
      }
    } catch (error) {
      if (error.status === FORBIDDEN) this.#takeRefusal();
      else if (error instanceof ApiError) await new Promise((done) => setTimeout(done, RETRY_MS));
    } finally {
      this.loads.clear();
      this.#isRunning = false;
      // The stream ends with the server; whether that is so, the next question tells.
      server.refresh();
    }
  }

  /** A key for some models only is not told of all; asking again is of no use before there is another. */
  #takeRefusal() {
    this.#refusedKey = currentKey();
    this.isRefused = true;
    this.events = [];
    this.#last = 0;
    this.dispatchEvent(new CustomEvent("restart"));
  }

  async #readPast() {
    const { events, last } = await getJson("events?limit=200");
    this.events = events;
    this.#last = last;
    this.dispatchEvent(new CustomEvent("restart"));
  }

  #take(event) {
    if (event.kind === "progress") {
      this.loads.set(event.model_id, event.facts);
    } else {
      if (LOAD_ENDS.has(event.kind)) this.loads.delete(event.model_id);
      this.#last = event.number;
      this.events.push(event);
      this.events.splice(0, this.events.length - KEPT);
      server.refresh();
    }
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }
}

export const feed = new EventFeed();
