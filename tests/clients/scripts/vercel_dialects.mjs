// Vercel's AI SDK, by its providers for OpenAI, whose models ask /v1/responses, and for Anthropic.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, jsonSchema, streamText, tool } from "ai";

const baseURL = `${process.env.HOSTLER_URL}/v1`;
const apiKey = process.env.HOSTLER_API_KEY;
const providers = { openai: createOpenAI({ baseURL, apiKey }), anthropic: createAnthropic({ baseURL, apiKey }) };
const greedy = { temperature: 0, maxOutputTokens: 60, maxRetries: 0 };
const prompt = "What is the capital of France?";
const weather = tool({
  description: "The weather in a city",
  inputSchema: jsonSchema({
    type: "object",
    properties: { city: { type: "string", maxLength: 20 } },
    required: ["city"],
    additionalProperties: false,
  }),
});

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    const { statusCode, isRetryable, message } = error;
    return { isApiCallError: APICallError.isInstance(error), statusCode, isRetryable, message };
  }
}

async function show(provider) {
  const model = provider("smollm2-135m");
  const shown = {};
  const whole = await generateText({ model, prompt, ...greedy });
  shown.whole = whole.text;
  shown.finishReason = whole.finishReason;
  shown.usage = [whole.usage.inputTokens, whole.usage.outputTokens];

  const stream = streamText({ model, prompt, ...greedy });
  shown.streamed = "";
  for await (const piece of stream.textStream) shown.streamed += piece;
  const usage = await stream.usage;
  shown.streamedUsage = [usage.inputTokens, usage.outputTokens];

  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "hi" }] },
    { role: "assistant", content: "hello" },
    { role: "user", content: prompt },
  ];
  shown.continued = (await generateText({ model, messages, allowSystemInMessages: true, ...greedy })).text;

  const asked = { model, prompt, tools: { weather }, toolChoice: { type: "tool", toolName: "weather" }, ...greedy };
  shown.called = (await generateText(asked)).toolCalls.map((call) => [call.toolName, Object.keys(call.input)]);
  const calling = streamText(asked);
  shown.calledStreamed = (await calling.toolCalls).map((call) => [call.toolName, Object.keys(call.input)]);

  const long = { model: provider("tiny-llama"), prompt: "long ".repeat(500), ...greedy };
  shown.errors = {
    unknown_model: await errorOf(() => generateText({ model: provider("nobody"), prompt, ...greedy })),
    too_long: await errorOf(() => generateText(long)),
  };
  return shown;
}

const shown = {};
for (const [name, provider] of Object.entries(providers)) shown[name] = await show(provider);
console.log(JSON.stringify(shown));
