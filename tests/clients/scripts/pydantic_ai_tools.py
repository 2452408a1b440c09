"""Tools through pydantic-ai: answers that are typed, which it asks for as calls of a tool."""

import json
import os
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

QUESTION = "What is the weather in Oslo?"


class Place(BaseModel):
    """Where somebody asks about."""

    city: str
    kind: Literal["town", "country"]


provider = OpenAIProvider(base_url=os.environ["HOSTLER_URL"] + "/v1", api_key=os.environ["HOSTLER_API_KEY"])
model = OpenAIChatModel("smollm2-135m", provider=provider)
agent = Agent(model, output_type=Place, model_settings={"temperature": 0.0, "max_tokens": 300})

shown = {}
answer = agent.run_sync(QUESTION)
shown["typed"] = [type(answer.output).__name__, answer.output.kind]
shown["calls"] = [
    part.tool_name for message in answer.all_messages() for part in message.parts if part.part_kind == "tool-call"
]
stream = agent.run_stream_sync(QUESTION)
shown["streamed"] = type(stream.get_output()).__name__

print(json.dumps(shown))
