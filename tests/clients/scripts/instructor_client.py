"""instructor, which makes a tool of each model it is asked for, and names it."""

import json
import os
from typing import Literal

import instructor
import openai
from pydantic import BaseModel

QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Place(BaseModel):
    """Where somebody asks about."""

    city: str
    kind: Literal["town", "country"]


own = openai.OpenAI(base_url=os.environ["HOSTLER_URL"] + "/v1", api_key=os.environ["HOSTLER_API_KEY"], max_retries=0)
greedy = {"model": "smollm2-135m", "messages": QUESTION, "temperature": 0, "max_tokens": 150, "max_retries": 0}

shown = {}
client = instructor.from_openai(own, mode=instructor.Mode.TOOLS)
place, completion = client.chat.completions.create_with_completion(**greedy, response_model=Place)
shown["typed"] = [type(place).__name__, place.kind]
shown["called"] = completion.choices[0].message.tool_calls[0].function.name
partial = list(client.chat.completions.create_partial(**greedy, response_model=Place))
shown["partial"] = [len(partial), Place.model_validate(partial[-1].model_dump()).kind]
as_json = instructor.from_openai(own, mode=instructor.Mode.JSON_SCHEMA)
shown["as_json"] = type(as_json.chat.completions.create(**greedy, response_model=Place)).__name__

print(json.dumps(shown))
