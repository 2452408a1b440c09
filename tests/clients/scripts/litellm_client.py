"""LiteLLM, which has exception classes of its own."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list at import

import litellm

litellm.suppress_debug_info = True  # else it prints advice beside every error

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
SERVER = {"api_base": os.environ["HOSTLER_URL"] + "/v1", "api_key": os.environ["HOSTLER_API_KEY"], "num_retries": 0}
GREEDY = {"model": "openai/smollm2-135m", "temperature": 0, "max_tokens": 20}


def chat(**fields):
    return litellm.completion(**(GREEDY | {"messages": QUESTION} | SERVER | fields))


def error_of(call):
    try:
        call()
    except Exception as error:
        return {"class": type(error).__name__, "status": error.status_code, "message": str(error)}


shown = {}
whole = chat()
shown["whole"] = whole.choices[0].message.content
shown["usage"] = whole.usage.total_tokens
chunks = list(chat(stream=True, stream_options={"include_usage": True}))
shown["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
shown["streamed_usage"] = chunks[-1].usage.total_tokens
several = chat(n=3, seed=3, temperature=1.0, logprobs=True, top_logprobs=2, user="somebody")
shown["choices"] = [choice.message.content for choice in several.choices]
shown["num_tops"] = [len(entry.top_logprobs) for entry in several.choices[0].logprobs.content]
shown["stopped"] = chat(stop=[" Paris"]).choices[0].message.content
completion = GREEDY | SERVER | {"model": "text-completion-openai/smollm2-135m", "prompt": "The capital of France is"}
shown["completion"] = litellm.text_completion(**completion).choices[0].text
shown["completion_streamed"] = "".join(
    chunk.choices[0].text or "" for chunk in litellm.text_completion(**completion, stream=True) if chunk.choices
)

long = {"model": "openai/tiny-llama", "messages": [{"role": "user", "content": "long " * 500}]}
shown["errors"] = {
    "unknown_model": error_of(lambda: chat(model="openai/nobody")),
    "wrong_key": error_of(lambda: chat(api_key="sk-wrong")),
    "too_long": error_of(lambda: chat(**long)),
    "too_long_streamed": error_of(lambda: list(chat(**long, stream=True))),
    "too_long_answer": error_of(lambda: chat(model="openai/tiny-llama", max_tokens=5000)),
    "bad_value": error_of(lambda: chat(temperature=9)),
    "refused_field": error_of(lambda: chat(extra_body={"web_search_options": {}})),
}

print(json.dumps(shown))
