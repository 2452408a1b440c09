/** How fast each model writes, from the server's metrics. */

import { ApiError, call } from "./api.js";
import { currentKey } from "./session-key.js";

const SERIES = /^hostler_inter_token_seconds_(count|sum)\{model="([^"]*)"\} (\S+)$/gm;

const REASONS = {
  403: "Tokens/s is empty: speeds come from the server's metrics, which are of all models, and this key is for some.",
  404: "Tokens/s is empty: the server keeps no metrics. The setting enable_metrics: true has it keep them.",
};

/** Tokens per second of one answer, by model. */
class Speeds {
  byModel = new Map();
  /** Why there are none, in words; null where there may be some. */
  problem = null;

  /** The totals that were read last, by model id. */
  #before = new Map();
  /** The key that may not read the metrics, or finds none. */
  #refusedKey;

  /** Takes in the answers that ended since the last time; a model without such keeps the speed that it had. */
  async read() {
    if (this.#refusedKey === currentKey()) return;
    const response = await call("metrics").catch((error) => this.#fail(error));
    if (!response) return;
    this.problem = null;
    const now = new Map();
    for (const [, kind, modelId, value] of (await response.text()).matchAll(SERIES)) {
      now.set(modelId, { ...now.get(modelId), [kind]: Number(value) });
    }
    for (const [modelId, { count, sum }] of now) {
      const old = this.#before.get(modelId);
      // Totals that fell are those of another server.
      const base = old && old.count <= count ? old : { count: 0, sum: 0 };
      if (count > base.count && sum > base.sum) this.byModel.set(modelId, (count - base.count) / (sum - base.sum));
    }
    this.#before = now;
  }

  #fail(error) {
    if (!(error instanceof ApiError) || !(error.status in REASONS)) return;
    this.#refusedKey = currentKey();
    this.problem = REASONS[error.status];
    this.byModel.clear();
  }
}

export const speeds = new Speeds();
