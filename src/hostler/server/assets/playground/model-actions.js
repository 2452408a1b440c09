/** What an administrator may do with a model. */

import { getJson, modelPath, postJson } from "./api.js";
import { notify } from "./notices.js";
import { showPlan } from "./plan-dialog.js";
import { server } from "./server-watch.js";

export async function plan(modelId) {
  await guarded(async () => showPlan(await postJson(modelPath(modelId, "plan")), server.has("admin") ? load : null));
}

/** Loads what finds room, and first shows what would happen where others had to leave. */
export async function loadOrAsk(modelId) {
  await guarded(async () => {
    const foreseen = await postJson(modelPath(modelId, "plan"));
    if (["fits", "loading", "loaded"].includes(foreseen.verdict)) await load(modelId);
    else showPlan(foreseen, load);
  });
}

async function load(modelId) {
  const loading = postJson(modelPath(modelId, "load"));
  server.refresh();
  await guarded(() => loading, `${modelId} is loaded.`);
}

export async function unload(modelId, { force = false } = {}) {
  const leaving = postJson(modelPath(modelId, "unload"), { force });
  server.refresh();
  await guarded(() => leaving, `${modelId} has left memory.`);
}

/** Of a model in memory. */
export async function pin(modelId, isPinned) {
  await guarded(() => postJson(modelPath(modelId, "load"), { pinned: isPinned }));
  server.refresh();
}

export async function readCapabilities(modelId) {
  return getJson(modelPath(modelId, "capabilities"));
}

async function guarded(act, done = null) {
  try {
    await act();
    if (done) notify(done);
  } catch (error) {
    notify(error.message, "error");
  }
  server.refresh();
}
