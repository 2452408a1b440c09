"""OpenAI's Python client on /v1/responses, which checks every answer against its types here."""

import asyncio
import json
import os

import openai
from pydantic import BaseModel

KEY = os.environ["HOSTLER_API_KEY"]
BASE_URL = os.environ["HOSTLER_URL"] + "/v1"
MODEL = "smollm2-135m"
SMALL = "tiny-llama"
QUESTION = "What is the capital of France?"
GREEDY = {"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 20}
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CALLED = {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "weather"}, "max_output_tokens": 60}


class Capital(BaseModel):
    city: str
    is_large: bool


client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
shown = {}

whole = client.responses.create(**GREEDY)
shown["whole"] = whole.output_text
shown["status"] = whole.status
shown["usage"] = whole.usage.model_dump()

# Event by event.
events = list(client.responses.create(**GREEDY, stream=True))
shown["kinds"] = [event.type for event in events]
shown["numbers"] = [event.sequence_number for event in events]
shown["streamed"] = "".join(event.delta for event in events if event.type == "response.output_text.delta")
shown["streamed_usage"] = events[-1].response.usage.model_dump()
with client.responses.stream(**GREEDY) as stream:
    shown["final"] = stream.get_final_response().output_text

# A history, with instructions; and one that is cut.
history = [
    {"role": "user", "content": QUESTION},
    *(item.to_dict() for item in whole.output),
    {"role": "user", "content": [{"type": "input_text", "text": "And of Italy?"}]},
]
shown["continued"] = client.responses.create(**GREEDY | {"input": history}).output_text
shown["instructed"] = client.responses.create(**GREEDY, instructions="Answer in one word.").output_text
cut = client.responses.create(**GREEDY | {"max_output_tokens": 3})
shown["cut"] = [cut.status, cut.incomplete_details.reason]

# Logprobs.
scored = client.responses.create(**GREEDY, top_logprobs=2, include=["message.output_text.logprobs"])
shown["scored"] = [entry.model_dump() for entry in scored.output[0].content[0].logprobs]

# A schema.
parsed = client.responses.parse(**GREEDY | {"max_output_tokens": 60}, text_format=Capital)
shown["parsed"] = parsed.output_parsed.model_dump()

# A call that has to be made, whole and in events, and what comes of it.
called = client.responses.create(**GREEDY | CALLED)
call = called.output[0]
shown["called"] = [call.type, call.name, json.loads(call.arguments)]
with client.responses.stream(**GREEDY | CALLED) as stream:
    pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
    final = stream.get_final_response().output[0]
shown["called_streamed"] = [final.type, final.name, final.parsed_arguments]
shown["pieces"] = json.loads("".join(pieces))
result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
told = [{"role": "user", "content": QUESTION}, call.to_dict(), result]
shown["after_call"] = client.responses.create(**GREEDY | {"input": told}).status


async def ask_asynchronously():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0) as asynchronous:
        return (await asynchronous.responses.create(**GREEDY)).output_text


shown["asynchronous"] = asyncio.run(ask_asynchronously())


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "message": error.message,
        }


def ask(**fields):
    return lambda: client.responses.create(**GREEDY | fields)


stranger = openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong", max_retries=0)
shown["errors"] = {
    "unknown_model": error_of(ask(model="nobody")),
    "too_long": error_of(ask(model=SMALL, input="long " * 500)),
    "wrong_key": error_of(lambda: stranger.responses.create(**GREEDY)),
    "stored": error_of(ask(previous_response_id="resp_1")),
    "built_in_tool": error_of(ask(tools=[{"type": "web_search"}])),
}

print(json.dumps(shown))
