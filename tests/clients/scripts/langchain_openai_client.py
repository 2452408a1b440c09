"""LangChain's ChatOpenAI and OpenAI."""

import json
import os

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

BASE_URL = os.environ["HOSTLER_URL"] + "/v1"
KEY = os.environ["HOSTLER_API_KEY"]
QUESTION = "What is the capital of France?"


def chat_model(model="smollm2-135m", api_key=KEY, **fields):
    settings = {"temperature": 0, "max_tokens": 20, "max_retries": 0} | fields
    return ChatOpenAI(base_url=BASE_URL, api_key=api_key, model=model, **settings)


def error_of(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"class": type(error).__name__, "status": error.status_code, "code": error.code, "message": str(error)}


shown = {}
chat = chat_model()
answer = chat.invoke(QUESTION)
shown["whole"] = answer.content
shown["usage"] = answer.usage_metadata
chunks = list(chat_model(stream_usage=True).stream(QUESTION))
shown["streamed"] = "".join(chunk.content for chunk in chunks)
shown["streamed_usage"] = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata][-1]
shown["batch"] = [message.content for message in chat.batch([QUESTION, "What is the capital of Italy?"])]
history = [SystemMessage("Be brief."), HumanMessage("hi"), AIMessage("hello"), HumanMessage(QUESTION)]
shown["history"] = chat.invoke(history).content
shown["stopped"] = chat.invoke(QUESTION, stop=[" Paris"]).content
scored = chat_model(logprobs=True, top_logprobs=2).invoke(QUESTION)
shown["logprobs"] = scored.response_metadata["logprobs"]["content"]
several = chat_model(n=3, seed=3, temperature=1.0).generate([[HumanMessage(QUESTION)]])
shown["choices"] = [generation.text for generation in several.generations[0]]

# The older class uses the completion route; it sends null for what is not set.
text = OpenAI(base_url=BASE_URL, api_key=KEY, model="smollm2-135m", temperature=0, max_tokens=8, max_retries=0)
shown["completion"] = text.invoke("The capital of France is")
shown["completion_streamed"] = "".join(text.stream("The capital of France is"))
shown["completions"] = [row[0].text for row in text.generate(["One, two,", "A, B,"]).generations]
best = text.bind(n=1, best_of=2, logprobs=1)
shown["best_of"] = best.invoke("The capital of France is")

# Unless told otherwise it sends the ids that OpenAI's tokenizer would make of a text.
embeddings = OpenAIEmbeddings(
    base_url=BASE_URL, api_key=KEY, model="all-minilm-l6-v2", check_embedding_ctx_length=False, max_retries=0
)
documents = ["Paris lies on the Seine.", "The hostler feeds the horses.", "Bread is sold on Tuesdays."]
shown["question_and_documents"] = [
    embeddings.embed_query("Who looks after the horses?"),
    *embeddings.embed_documents(documents),
]

long = [HumanMessage("long " * 500)]
shown["errors"] = {
    "unknown_model": error_of(lambda: chat_model(model="nobody").invoke(QUESTION)),
    "wrong_key": error_of(lambda: chat_model(api_key="sk-wrong").invoke(QUESTION)),
    "too_long": error_of(lambda: chat_model(model="tiny-llama").invoke(long)),
    "too_long_streamed": error_of(lambda: list(chat_model(model="tiny-llama").stream(long))),
    "refused_field": error_of(lambda: chat_model(extra_body={"web_search_options": {}}).invoke(QUESTION)),
}

print(json.dumps(shown))
