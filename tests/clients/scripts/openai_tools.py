"""Tools through OpenAI's Python client: whole, by its own helper for streams, and parsed into pydantic's models."""

import json
import os
from enum import Enum

import openai
from pydantic import BaseModel

MODEL = "smollm2-135m"
QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    unit: Unit


CLOCK = {"type": "function", "function": {"name": "clock", "description": "What time it is.", "strict": True}}
TOOLS = [openai.pydantic_function_tool(Weather, name="weather"), CLOCK]
BY_NAME = {"type": "function", "function": {"name": "weather"}}
GREEDY = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 150, "tools": TOOLS}
ONE = {"parallel_tool_calls": False}

client = openai.OpenAI(
    base_url=os.environ["HOSTLER_URL"] + "/v1",
    api_key=os.environ["HOSTLER_API_KEY"],
    max_retries=0,
    _strict_response_validation=True,
)


def calls(choice):
    return [[call.function.name, json.loads(call.function.arguments)] for call in choice.message.tool_calls or ()]


def error_of(**fields):
    try:
        client.chat.completions.create(**GREEDY | fields)
    except openai.APIStatusError as error:
        return {"status": error.status_code, "param": error.param, "code": error.code}


shown = {}
required = client.chat.completions.create(**GREEDY, **ONE, tool_choice="required").choices[0]
shown["required"] = calls(required)
shown["content"] = required.message.content
shown["finish_reason"] = required.finish_reason
shown["none"] = calls(client.chat.completions.create(**GREEDY | {"max_tokens": 5}, tool_choice="none").choices[0])

# The client takes no other tools here than those that say they are strict.
parsed = client.chat.completions.parse(**GREEDY, tool_choice=BY_NAME).choices[0].message.tool_calls[0].function
shown["parsed"] = [type(parsed.parsed_arguments).__name__, parsed.parsed_arguments.unit.value]

events, deltas = [], ""
with client.chat.completions.stream(**GREEDY, **ONE, tool_choice="required") as stream:
    for event in stream:
        events.append(event.type)
        if event.type == "tool_calls.function.arguments.delta":
            deltas += event.arguments_delta
    final = stream.get_final_completion().choices[0]
shown["streamed"] = calls(final)
shown["streamed_reason"] = final.finish_reason
shown["streamed_deltas"] = json.loads(deltas)
shown["num_deltas"] = events.count("tool_calls.function.arguments.delta")
shown["num_done"] = events.count("tool_calls.function.arguments.done")

call = required.message.tool_calls[0]
turns = [
    *QUESTION,
    required.message.model_dump(exclude_none=True),
    {"role": "tool", "tool_call_id": call.id, "content": "It rains."},
]
follow_up = client.chat.completions.create(**GREEDY | {"messages": turns, "max_tokens": 10}).choices[0].message
shown["follow_up"] = bool(follow_up.content or follow_up.tool_calls)

shown["errors"] = {
    "many": error_of(tools=[CLOCK] * 500),
    "twice": error_of(tools=[CLOCK, CLOCK]),
    "choice": error_of(tool_choice="whatever"),
    "unknown": error_of(tool_choice={"type": "function", "function": {"name": "nobody"}}),
    "without": error_of(tools=[], tool_choice="required"),
    "endless": error_of(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}], tool_choice="required"
    ),
}
print(json.dumps(shown))
