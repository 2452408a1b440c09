"""Anthropic's Python client, which checks every answer against its types here."""

import asyncio
import json
import os

import anthropic

KEY = os.environ["HOSTLER_API_KEY"]
BASE_URL = os.environ["HOSTLER_URL"]
MODEL = "smollm2-135m"
SMALL = "tiny-llama"
QUESTION = {"role": "user", "content": "What is the capital of France?"}
GREEDY = {"model": MODEL, "messages": [QUESTION], "max_tokens": 20, "extra_body": {"temperature": 0}}
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CALLED = {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "weather"}, "max_tokens": 60}

client = anthropic.Anthropic(base_url=BASE_URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
shown = {}

whole = client.messages.create(**GREEDY)
shown["whole"] = whole.content[0].text
shown["ended"] = [whole.stop_reason, whole.stop_sequence]
shown["request_id"] = whole._request_id
shown["tokens"] = [whole.usage.input_tokens + whole.usage.cache_read_input_tokens, whole.usage.output_tokens]
shown["counted"] = client.messages.count_tokens(model=MODEL, messages=[QUESTION]).input_tokens

# Models, in pages that the client asks for by itself.
shown["models"] = [model.id for model in client.models.list(limit=1)]
shown["model"] = client.models.retrieve(SMALL).model_dump(mode="json", include={"id", "display_name", "type"})

# Event by event.
events = list(client.messages.create(**GREEDY, stream=True))
shown["kinds"] = [event.type for event in events]
with client.messages.stream(**GREEDY) as stream:
    shown["streamed"] = "".join(stream.text_stream)
    usage = stream.get_final_message().usage
shown["streamed_tokens"] = [usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens]

# A system text, a history, an answer that has begun, sequences that end it, a limit.
history = [QUESTION, {"role": "assistant", "content": whole.content}, {"role": "user", "content": "And of Italy?"}]
shown["continued"] = client.messages.create(**GREEDY | {"messages": history}).content[0].text
shown["with_system"] = client.messages.create(**GREEDY, system="Answer in one word.").content[0].text
begun = [QUESTION, {"role": "assistant", "content": "The capital of France"}]
shown["begun"] = client.messages.create(**GREEDY | {"messages": begun}).content[0].text
stopped = client.messages.create(**GREEDY, stop_sequences=["London", " Paris"])
shown["stopped"] = [stopped.content[0].text, stopped.stop_reason, stopped.stop_sequence]
shown["cut"] = client.messages.create(**GREEDY | {"max_tokens": 3}).stop_reason

# A call that has to be made, whole and in events, and what comes of it.
called = client.messages.create(**GREEDY | CALLED)
shown["called"] = [called.stop_reason, called.content[0].name, called.content[0].input]
with client.messages.stream(**GREEDY | CALLED) as stream:
    pieces = [event.partial_json for event in stream if event.type == "input_json"]
    final = stream.get_final_message()
shown["called_streamed"] = [final.stop_reason, final.content[0].name, final.content[0].input]
shown["pieces"] = json.loads("".join(pieces))
result = {"type": "tool_result", "tool_use_id": called.content[0].id, "content": "It rains."}
told = [QUESTION, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
shown["after_call"] = client.messages.create(**GREEDY | {"messages": told}).stop_reason


async def ask_asynchronously():
    async with anthropic.AsyncAnthropic(base_url=BASE_URL, api_key=KEY, max_retries=0) as asynchronous:
        answer = await asynchronous.messages.create(**GREEDY)
        async with asynchronous.messages.stream(**GREEDY) as stream:
            return [answer.content[0].text, await stream.get_final_text()]


shown["asynchronous"] = asyncio.run(ask_asynchronously())


def error_of(call):
    try:
        call()
    except anthropic.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "type": error.type,
            "code": error.error_code,
            "message": error.api_message,
            "request_id": error.request_id,
        }


def ask(**fields):
    return lambda: client.messages.create(**GREEDY | fields)


image = {"type": "image", "source": {"type": "url", "url": "https://example.org/horse.png"}}
stranger = anthropic.Anthropic(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
shown["errors"] = {
    "unknown_model": error_of(ask(model="nobody")),
    "too_long": error_of(ask(model=SMALL, messages=[{"role": "user", "content": "long " * 500}])),
    "too_long_streamed": error_of(ask(model=SMALL, messages=[{"role": "user", "content": "long " * 500}], stream=True)),
    "wrong_key": error_of(lambda: stranger.messages.create(**GREEDY)),
    "unknown_model_asked_for": error_of(lambda: client.models.retrieve("nobody")),
    "image": error_of(ask(messages=[{"role": "user", "content": [image]}])),
}

print(json.dumps(shown))
