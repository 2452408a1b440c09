"""OpenAI's Python client, which checks every answer against its types here."""

import json
import os

import openai

KEY = os.environ["HOSTLER_API_KEY"]
BASE_URL = os.environ["HOSTLER_URL"] + "/v1"
MODEL = "smollm2-135m"
SMALL = "tiny-llama"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"model": MODEL, "messages": QUESTION, "temperature": 0}

client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
shown = {}

shown["models"] = [model.id for model in client.models.list()]
shown["by_name"] = client.models.retrieve("HuggingFaceTB/SmolLM2-135M-Instruct").id

# Chat: whole, and streamed with its usage.
whole = client.chat.completions.create(**GREEDY, max_completion_tokens=20)
shown["whole"] = whole.choices[0].message.content
shown["usage"] = whole.usage.model_dump()
shown["request_id"] = whole._request_id
with client.chat.completions.stream(
    **GREEDY, max_tokens=20, stream_options={"include_usage": True, "include_obfuscation": False}
) as stream:
    shown["streamed"] = stream.get_final_completion().choices[0].message.content
    shown["streamed_usage"] = stream.get_final_completion().usage.model_dump()

# Several choices, the same with the same seed; several choices of a stream come interleaved.
drawn = {"model": MODEL, "messages": QUESTION, "n": 3, "seed": 7, "temperature": 1.2, "max_tokens": 8}
shown["choices"] = [choice.message.content for choice in client.chat.completions.create(**drawn).choices]
pieces = ["", "", ""]
order = []
for chunk in client.chat.completions.create(**drawn, stream=True):
    for choice in chunk.choices:
        pieces[choice.index] += choice.delta.content or ""
        order.append(choice.index)
shown["streamed_choices"] = pieces
shown["order"] = order

# A stop string ends the answer and is no part of it: one, several, none.
shown["stopped"] = {
    str(stop): client.chat.completions.create(**GREEDY, max_tokens=20, stop=stop).choices[0].model_dump()
    for stop in (" Paris", [" Paris", "London"], ["a b", "c d", "e f", "g h", "i j", " Paris"], None)
}

# Logprobs of the answer.
scored = client.chat.completions.create(**GREEDY, max_tokens=6, logprobs=True, top_logprobs=3).choices[0]
shown["scored"] = scored.message.content
shown["logprobs"] = [entry.model_dump() for entry in scored.logprobs.content]

# What is null is as if it were not there.
nulls = dict.fromkeys(("audio", "logit_bias", "logprobs", "max_completion_tokens", "metadata", "n", "response_format"))
nulls |= dict.fromkeys(
    ("frequency_penalty", "presence_penalty", "seed", "stop", "store", "stream_options", "tool_choice")
)
nulls |= dict.fromkeys(("tools", "top_logprobs", "top_p", "user"))
shown["with_nulls"] = client.chat.completions.create(**GREEDY, max_tokens=20, **nulls).choices[0].message.content

# Completions: several prompts, token ids, echo with logprobs, the best of some, a stream of several choices.
several = client.completions.create(model=SMALL, prompt=["The grey", "A horse"], n=2, seed=1, max_tokens=3)
shown["indices"] = [choice.index for choice in several.choices]
as_text = client.completions.create(model=MODEL, prompt="", max_tokens=2, temperature=0)
shown["empty_prompt_tokens"] = as_text.usage.completion_tokens
as_ids = client.completions.create(model=SMALL, prompt=[[20, 21, 22], [30, 31]], max_tokens=1, temperature=0)
shown["prompt_tokens_of_ids"] = as_ids.usage.prompt_tokens
ranked = client.completions.create(model=SMALL, prompt="The grey", best_of=4, n=1, max_tokens=3, seed=1, logprobs=0)
shown["best_of"] = {"choices": len(ranked.choices), "tokens": ranked.usage.completion_tokens}

# The types of the client say that a number cannot be null, but the first token of an echo has none.
lenient = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
echoed = lenient.completions.create(model=SMALL, prompt="The grey", echo=True, logprobs=2, max_tokens=1)
shown["echoed"] = echoed.choices[0].model_dump()
texts, order, usage = ["", "", "", ""], [], None
for chunk in lenient.completions.create(
    model=SMALL,
    prompt=["The grey", "A horse"],
    n=2,
    seed=1,
    max_tokens=3,
    stream=True,
    stream_options={"include_usage": True},
):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        texts[choice.index] += choice.text
        order.append(choice.index)
shown["several"] = [choice.text for choice in several.choices]
shown["several_streamed"] = texts
shown["several_order"] = order
shown["several_usage"] = [several.usage.total_tokens, usage.total_tokens]

EMBEDDER = "all-minilm-l6-v2"
SENTENCES = ["The horse runs.", "The cow does not."]
# It validates what it gets before it decodes base64, so only a client that is not strict can ask for that.
embeddings = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0).embeddings
shown["vectors"] = [item.embedding for item in embeddings.create(model=EMBEDDER, input=SENTENCES).data]
numbers = client.embeddings.create(model=EMBEDDER, input=SENTENCES, encoding_format="float")
shown["vectors_as_numbers"] = [item.embedding for item in numbers.data]
shown["vector_of_ids"] = embeddings.create(model=EMBEDDER, input=[101, 3586, 102], dimensions=16).data[0].embedding


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "type": error.type,
            "message": error.message,
        }


def chat(**fields):
    return lambda: client.chat.completions.create(**(GREEDY | {"max_tokens": 4} | fields))


stranger = openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
shown["errors"] = {
    "unknown_model": error_of(chat(model="nobody")),
    "unknown_model_retrieved": error_of(lambda: client.models.retrieve("nobody")),
    "too_long": error_of(chat(model=SMALL, messages=[{"role": "user", "content": "long " * 500}])),
    "too_long_streamed": error_of(
        chat(model=SMALL, messages=[{"role": "user", "content": "long " * 500}], stream=True)
    ),
    "too_long_answer": error_of(lambda: client.completions.create(model=SMALL, prompt="The", max_tokens=5000)),
    "wrong_key": error_of(lambda: stranger.models.list()),
    "refused_field": error_of(chat(web_search_options={})),
    "bad_value": error_of(chat(temperature=9)),
    "suffix": error_of(lambda: client.completions.create(model=SMALL, prompt="The", suffix="end")),
}

print(json.dumps(shown))
