"""LlamaIndex's OpenAILike, on the chat and on the completion route."""

import json
import os

import openai
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

SERVER = {"api_base": os.environ["HOSTLER_URL"] + "/v1", "api_key": os.environ["HOSTLER_API_KEY"]}
QUESTION = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content="What is the capital of France?"),
]


def model(name="smollm2-135m", **fields):
    settings = {"temperature": 0, "max_tokens": 20, "max_retries": 0, "context_window": 8192} | SERVER | fields
    return OpenAILike(model=name, **settings)


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"class": type(error).__name__, "status": error.status_code, "code": error.code, "message": str(error)}


chat = model(is_chat_model=True)
text = model(is_chat_model=False)
long = [ChatMessage(role="user", content="long " * 500)]
shown = {
    "whole": chat.chat(QUESTION).message.content,
    "streamed": "".join(piece.delta or "" for piece in chat.stream_chat(QUESTION)),
    "defaults": OpenAILike(model="smollm2-135m", is_chat_model=True, **SERVER)
    .chat(QUESTION, max_tokens=4)
    .message.content,
    "stopped": chat.chat(QUESTION, stop=[" Paris"]).message.content,
    "completion": text.complete("The capital of France is").text,
    "completion_streamed": "".join(piece.delta or "" for piece in text.stream_complete("The capital of France is")),
    "errors": {
        "unknown_model": error_of(lambda: model("nobody", is_chat_model=True).chat(QUESTION)),
        "wrong_key": error_of(lambda: model(is_chat_model=True, api_key="sk-wrong").chat(QUESTION)),
        "too_long": error_of(lambda: model("tiny-llama", is_chat_model=True).chat(long)),
    },
}

print(json.dumps(shown))
