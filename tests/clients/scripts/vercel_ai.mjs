// Vercel's AI SDK, by the provider for servers that are compatible with OpenAI's.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";

const settings = {
  name: "hostler",
  baseURL: `${process.env.HOSTLER_URL}/v1`,
  apiKey: process.env.HOSTLER_API_KEY,
  includeUsage: true,
};
const hostler = createOpenAICompatible(settings);
const stranger = createOpenAICompatible({ ...settings, apiKey: "sk-wrong" });
const greedy = { temperature: 0, maxOutputTokens: 20, maxRetries: 0 };
const prompt = "What is the capital of France?";
const model = hostler("smollm2-135m");
const shown = {};

const whole = await generateText({ model, prompt, ...greedy, seed: 1, topP: 0.9 });
shown.whole = whole.text;
shown.finishReason = whole.finishReason;
shown.usage = [whole.usage.inputTokens, whole.usage.outputTokens];

const stream = streamText({ model, prompt, ...greedy });
shown.streamed = "";
for await (const piece of stream.textStream) shown.streamed += piece;
const usage = await stream.usage;
shown.streamedUsage = [usage.inputTokens, usage.outputTokens];

const messages = [
  { role: "user", content: [{ type: "text", text: "hi" }] },
  { role: "assistant", content: "hello" },
  { role: "user", content: prompt },
];
shown.stopped = (await generateText({ model, messages, ...greedy, stopSequences: [" Paris"] })).text;

// It puts "\nuser:" among the stop strings by itself.
const completion = hostler.completionModel("smollm2-135m");
shown.completion = (await generateText({ model: completion, prompt: "The capital of France is", ...greedy })).text;
const streamedCompletion = streamText({ model: completion, prompt: "The capital of France is", ...greedy });
shown.completionStreamed = await streamedCompletion.text;

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    const { statusCode, isRetryable, message, data } = error;
    return { isApiCallError: APICallError.isInstance(error), statusCode, isRetryable, message, data };
  }
}

const long = { model: hostler("tiny-llama"), prompt: "long ".repeat(500), ...greedy };
shown.errors = {
  unknown_model: await errorOf(() => generateText({ model: hostler("nobody"), prompt, ...greedy })),
  wrong_key: await errorOf(() => generateText({ model: stranger("smollm2-135m"), prompt, ...greedy })),
  too_long: await errorOf(() => generateText(long)),
  too_long_streamed: await errorOf(async () => {
    for await (const part of streamText({ ...long, onError() {} }).fullStream) if (part.type === "error") throw part.error;
  }),
};

console.log(JSON.stringify(shown));
