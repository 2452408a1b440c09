"""Tools through LangChain: bound to a model, streamed, and as what structured output is made of."""

import json
import os
from typing import Literal

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

QUESTION = "What is the weather in Oslo?"


@tool
def weather(city: str, unit: Literal["celsius", "fahrenheit"]) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


class Answer(BaseModel):
    """Where somebody asks about."""

    city: str
    is_city: bool


def calls(message):
    return [[call["name"], call["args"]] for call in message.tool_calls]


model = ChatOpenAI(
    base_url=os.environ["HOSTLER_URL"] + "/v1",
    api_key=os.environ["HOSTLER_API_KEY"],
    model="smollm2-135m",
    temperature=0,
    max_tokens=150,
    max_retries=0,
)
brief = model.model_copy(update={"max_tokens": 10})
required = model.bind_tools([weather], tool_choice="any", parallel_tool_calls=False)
by_name = model.bind_tools([weather], tool_choice="weather")

shown = {}
first = required.invoke(QUESTION)
shown["required"] = calls(first)
shown["by_name"] = calls(by_name.invoke(QUESTION))
whole = None
for chunk in required.stream(QUESTION):
    whole = chunk if whole is None else whole + chunk
shown["streamed"] = calls(whole)
shown["is_final"] = whole.response_metadata["finish_reason"]
result = ToolMessage(weather.invoke(first.tool_calls[0]["args"]), tool_call_id=first.tool_calls[0]["id"])
follow_up = brief.bind_tools([weather]).invoke([HumanMessage(QUESTION), first, result])
shown["follow_up"] = bool(follow_up.content or follow_up.tool_calls or follow_up.invalid_tool_calls)
structured = model.with_structured_output(Answer, method="function_calling").invoke(QUESTION)
shown["structured"] = [type(structured).__name__, type(structured.is_city).__name__]

print(json.dumps(shown))
