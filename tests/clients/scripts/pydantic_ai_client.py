"""pydantic-ai's agents."""

import json
import os

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

BASE_URL = os.environ["HOSTLER_URL"] + "/v1"
QUESTION = "What is the capital of France?"
GREEDY = {"temperature": 0.0, "max_tokens": 20}


def agent(name="smollm2-135m", api_key=os.environ["HOSTLER_API_KEY"], **fields):
    model = OpenAIChatModel(name, provider=OpenAIProvider(base_url=BASE_URL, api_key=api_key))
    return Agent(model, model_settings=GREEDY, **fields)


def error_of(call):
    try:
        call()
    except ModelHTTPError as error:
        return {"class": type(error).__name__, "status": error.status_code, "body": error.body}


shown = {}
first = agent().run_sync(QUESTION)
shown["whole"] = first.output
shown["usage"] = [first.usage.input_tokens, first.usage.output_tokens]
shown["continued"] = agent().run_sync("And of Italy?", message_history=first.all_messages()).output
stream = agent().run_stream_sync(QUESTION)
shown["streamed"] = "".join(stream.stream_text(delta=True))
shown["streamed_usage"] = [stream.usage.input_tokens, stream.usage.output_tokens]
settings = GREEDY | {
    "seed": 1,
    "top_p": 0.9,
    "stop_sequences": [" Paris"],
    "openai_logprobs": True,
    "openai_top_logprobs": 2,
}
shown["stopped"] = agent(instructions="Be brief.").run_sync(QUESTION, model_settings=settings).output
shown["errors"] = {
    "unknown_model": error_of(lambda: agent("nobody").run_sync(QUESTION)),
    "wrong_key": error_of(lambda: agent(api_key="sk-wrong").run_sync(QUESTION)),
    "too_long": error_of(lambda: agent("tiny-llama").run_sync("long " * 500)),
}

print(json.dumps(shown))
