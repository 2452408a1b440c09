/** One streamed answer of `/v1/chat/completions`. */

import { ApiError, bodyError, call } from "./api.js";
import { readEvents } from "./stream.js";

/**
 * Yields `{wait}` while the model is being made ready, `{text, reasoning, tokens}` for each piece of the answer,
 * and `{finish}` and `{usage}` at its end. Throws what `call` throws.
 */
export async function* complete(body, signal) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  let isDone = false;
  for await (const message of readEvents(await call("v1/chat/completions", { body: asked, signal }))) {
    if (message.comment !== undefined) yield { wait: message.comment };
    else if (message.data === "[DONE]") isDone = true;
    else yield* pieces(JSON.parse(message.data));
  }
  if (!isDone) throw new ApiError("The answer broke off.", 0, null, null);
}

function* pieces(chunk) {
  if (chunk.error) throw bodyError(chunk, 200);
  if (chunk.usage) yield { usage: chunk.usage };
  const choice = chunk.choices[0];
  if (!choice) return;
  const { content: text = "", reasoning_content: reasoning = "" } = choice.delta;
  const tokens = choice.logprobs?.content ?? [];
  if (text || reasoning || tokens.length > 0) yield { text: text ?? "", reasoning: reasoning ?? "", tokens };
  if (choice.finish_reason) yield { finish: choice.finish_reason };
}
