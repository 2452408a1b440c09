// OpenAI's client for Node.

import OpenAI from "openai";

const baseURL = `${process.env.HOSTLER_URL}/v1`;
const apiKey = process.env.HOSTLER_API_KEY;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const greedy = { model: "smollm2-135m", messages, temperature: 0 };
const shown = {};

shown.models = [];
for await (const model of client.models.list()) shown.models.push(model.id);
shown.byName = (await client.models.retrieve("HuggingFaceTB/SmolLM2-135M-Instruct")).id;

const whole = await client.chat.completions.create({ ...greedy, max_completion_tokens: 20 });
shown.whole = whole.choices[0].message.content;
shown.usage = whole.usage.total_tokens;
shown.requestId = whole._request_id;

// Its runner puts the chunks together and checks that they fit.
const runner = client.chat.completions.stream({
  ...greedy,
  max_tokens: 20,
  stream_options: { include_usage: true },
});
shown.streamed = await runner.finalContent();
shown.streamedUsage = (await runner.totalUsage()).total_tokens;

const drawn = { model: "smollm2-135m", messages, n: 3, seed: 7, temperature: 1.2, max_tokens: 8 };
shown.choices = (await client.chat.completions.create(drawn)).choices.map((choice) => choice.message.content);
const pieces = ["", "", ""];
for await (const chunk of await client.chat.completions.create({ ...drawn, stream: true }))
  for (const choice of chunk.choices) pieces[choice.index] += choice.delta.content ?? "";
shown.streamedChoices = pieces;

shown.stopped = [];
for (const stop of [" Paris", [" Paris", "London"], null]) {
  const answer = await client.chat.completions.create({ ...greedy, max_tokens: 20, stop, user: null, seed: null });
  shown.stopped.push([answer.choices[0].message.content, answer.choices[0].finish_reason]);
}

const scored = await client.chat.completions.create({ ...greedy, max_tokens: 6, logprobs: true, top_logprobs: 2 });
shown.tops = scored.choices[0].logprobs.content.map((entry) => entry.top_logprobs.length);

const text = { model: "tiny-llama", prompt: ["The grey", "A horse"], n: 2, seed: 1, max_tokens: 3 };
shown.several = (await client.completions.create(text)).choices.map((choice) => choice.text);
const texts = ["", "", "", ""];
for await (const chunk of await client.completions.create({ ...text, stream: true }))
  for (const choice of chunk.choices) texts[choice.index] += choice.text;
shown.severalStreamed = texts;
const echoed = await client.completions.create({
  model: "tiny-llama", prompt: "The grey", echo: true, logprobs: 1, max_tokens: 1, best_of: 1,
});
shown.echoed = echoed.choices[0];

async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    const { status, code, param, type, message } = error;
    return { class: error.constructor.name, status, code, param, type, message };
  }
}

const long = [{ role: "user", content: "long ".repeat(500) }];
const stranger = new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 });
shown.errors = {
  unknown_model: await errorOf(() => client.chat.completions.create({ ...greedy, model: "nobody" })),
  too_long: await errorOf(() => client.chat.completions.create({ model: "tiny-llama", messages: long })),
  too_long_streamed: await errorOf(() =>
    client.chat.completions.create({ model: "tiny-llama", messages: long, stream: true }),
  ),
  wrong_key: await errorOf(() => stranger.models.list()),
  refused_field: await errorOf(() => client.chat.completions.create({ ...greedy, web_search_options: {} })),
  bad_value: await errorOf(() => client.chat.completions.create({ ...greedy, temperature: 9 })),
};

console.log(JSON.stringify(shown));
