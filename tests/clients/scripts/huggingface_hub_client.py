"""huggingface_hub's InferenceClient, by both kinds of base URL."""

import json
import os

from huggingface_hub import InferenceClient
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

URL = os.environ["HOSTLER_URL"]
KEY = os.environ["HOSTLER_API_KEY"]
MODEL = "smollm2-135m"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]

by_interface = InferenceClient(base_url=f"{URL}/v1", api_key=KEY)
by_model = InferenceClient(base_url=f"{URL}/models/{MODEL}", api_key=KEY)  # needs no model in the request
shown = {}

for name, client, model in [("by_interface", by_interface, MODEL), ("by_model", by_model, None)]:
    whole = client.chat_completion(QUESTION, model=model, max_tokens=20, temperature=0, seed=1)
    stream = client.chat_completion(
        QUESTION, model=model, max_tokens=20, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    shown[name] = {
        "model": whole.model,
        "whole": whole.choices[0].message.content,
        "usage": whole.usage.total_tokens,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "streamed_usage": chunks[-1].usage.total_tokens,
    }

# Its second spelling is OpenAI's.
scored = by_model.chat.completions.create(
    messages=QUESTION, max_tokens=6, temperature=0, logprobs=True, top_logprobs=2, n=2, stop=[" Paris"]
)
shown["stopped"] = [choice.message.content for choice in scored.choices]
shown["finish_reason"] = scored.choices[0].finish_reason
shown["num_tops"] = [len(entry.top_logprobs) for entry in scored.choices[0].logprobs.content]


def error_of(call):
    try:
        call()
    except HfHubHTTPError as error:
        return {
            "class": type(error).__name__,
            "status": error.response.status_code,
            "is_bad_request": isinstance(error, BadRequestError),
            "message": str(error),
        }


shown["errors"] = {
    "unknown_model": error_of(lambda: by_interface.chat_completion(QUESTION, model="nobody")),
    "too_long": error_of(
        lambda: by_interface.chat_completion([{"role": "user", "content": "long " * 500}], model="tiny-llama")
    ),
    "refused_field": error_of(lambda: by_model.chat_completion(QUESTION, extra_body={"web_search_options": {}})),
    "wrong_key": error_of(
        lambda: InferenceClient(base_url=f"{URL}/v1", api_key="sk-wrong").chat_completion(QUESTION, model=MODEL)
    ),
}

print(json.dumps(shown))
