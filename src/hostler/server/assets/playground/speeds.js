/** How fast each model writes, from the server's metrics. */

import { ApiError, call } from "./api.js";
import { currentKey } from "./session-key.js";

const SERIES = /^hostler_inter_token_seconds_(count|sum)\{model="([^"]*)"\} (\S+)$/gm;

/** The totals that were read last, by model id. */
let before = new Map();
const speeds = new Map();
/** The key that may not read the metrics, or finds none. */
let refusedKey;

/**
 * Tokens per second of one answer, by model id: of the answers that ended since the last time, and of the last ones
 * before where none did. Empty where the server keeps no metrics.
 */
export async function readSpeeds() {
  if (refusedKey === currentKey()) return speeds;
  const response = await call("metrics").catch((error) => {
    if (error instanceof ApiError) refusedKey = currentKey();
    return null;
  });
  if (response === null) return speeds;
  const now = new Map();
  for (const [, kind, modelId, value] of (await response.text()).matchAll(SERIES)) {
    now.set(modelId, { ...now.get(modelId), [kind]: Number(value) });
  }
  for (const [modelId, { count, sum }] of now) {
    const old = before.get(modelId);
    // Totals that fell are those of another server.
    const base = old && old.count <= count ? old : { count: 0, sum: 0 };
    if (count > base.count && sum > base.sum) speeds.set(modelId, (count - base.count) / (sum - base.sum));
  }
  before = now;
  return speeds;
}
