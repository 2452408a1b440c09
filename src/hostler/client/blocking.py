"""The blocking client."""

from collections.abc import Sequence
from typing import Self, Unpack

import httpx2

from hostler.client import calls
from hostler.client.calls import (
    Answer,
    Call,
    Conversation,
    EmbedOptions,
    GenerateOptions,
    RerankOptions,
    SamplingOptions,
)
from hostler.client.connection import DEFAULT_TIMEOUT_S, DEFAULT_URL, connection_errors, raise_for_error, timeouts
from hostler.client.event_streams import EventStream
from hostler.client.streams import AnswerStream, ComparisonStream
from hostler.protocol.model_answers import Capabilities, ComparedAnswer, DetokenizeAnswer, TokenizeAnswer
from hostler.protocol.native_answers import (
    AuthStatus,
    ChatAnswer,
    GenerateAnswer,
    Health,
    LoadAnswer,
    MessageAnswer,
    ModelDetails,
    ModelRow,
)
from hostler.protocol.pooling_answers import RankedDocument
from hostler.protocol.stable_answers import ModelHealth, PlanAnswer


class Hostler:
    """A server, seen by one thread after another. Close it, or use it in a `with`.

    A model is named by its id or its Hugging Face name; without one, the server takes its first of the fitting type.
    All calls raise the `hostler.errors` class of what the server reports, and `ServerConnectionError`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`transport` takes the place of the network, for tests."""
        self.base_url = base_url
        self._http = httpx2.Client(
            base_url=base_url, headers=calls.headers(api_key), timeout=timeouts(timeout_s), transport=transport
        )

    def health(self) -> Health:
        return self._send(calls.health())

    def models(self) -> dict[str, ModelRow]:
        """Every registered model by id."""
        return self._send(calls.models())

    def info(self, model: str) -> ModelDetails:
        return self._send(calls.info(model))

    def load(self, model: str, *, force_reload: bool = False, keep_alive: float | str | None = None) -> LoadAnswer:
        """Bring a model into memory; returns when it is ready. `keep_alive`: how long it stays without requests:
        seconds, `"5m"`, 0, or -1 for ever."""
        return self._send(calls.load(model, force_reload, keep_alive))

    def unload(self, model: str, *, force: bool = False) -> MessageAnswer:
        """Returns when its requests are done and it has left; with `force`, they fail instead."""
        return self._send(calls.unload(model, force))

    def plan(self, model: str) -> PlanAnswer:
        """What would happen if the model were asked for now, and why; nothing does."""
        return self._send(calls.plan(model))

    def model_health(self, model: str, *, deep: bool = False) -> ModelHealth:
        """How a model is; never loads it. `deep`: have it answer one token, or raise why it does not."""
        return self._send(calls.model_health(model, deep))

    def events(self, model: str | None = None, *, after: int = 0) -> EventStream:
        """What happened to one model, or to all, and then what happens. The request is sent when the iteration begins.

        `after`: only what has a higher number, to go on where another stream ended.
        """
        call = calls.events(model, after)
        return EventStream(self._http.stream(call.method, call.path), self.base_url)

    def generate(self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]) -> GenerateAnswer:
        return self._send(calls.generate(text, model, options))

    def chat(
        self,
        message: str | Conversation,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> ChatAnswer:
        """Answer a message, or a whole conversation. `context`: what the answer to the last message returned, to go on
        with that conversation."""
        return self._send(calls.chat(message, model, context, options))

    def stream(
        self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> AnswerStream[GenerateAnswer]:
        """`generate`, piece by piece. The request is sent when the iteration begins."""
        return self._stream(calls.generate(text, model, options))

    def stream_chat(
        self,
        message: str | Conversation,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AnswerStream[ChatAnswer]:
        """`chat`, piece by piece; the context for the next message is in `answer`."""
        return self._stream(calls.chat(message, model, context, options))

    def tokenize(
        self, prompt: str | Conversation, *, model: str | None = None, add_special_tokens: bool = True
    ) -> TokenizeAnswer:
        """Token ids of a text, or of a conversation as the model is given it. Loads the model."""
        return self._send(calls.tokenize(prompt, model, add_special_tokens))

    def detokenize(self, tokens: Sequence[int], *, model: str | None = None) -> DetokenizeAnswer:
        """The text that token ids spell, special tokens included. Loads the model."""
        return self._send(calls.detokenize(tokens, model))

    def embed(self, texts: Sequence[str], *, model: str, **options: Unpack[EmbedOptions]) -> list[list[float]]:
        """A vector of each text, by a model of type embedding."""
        return calls.vectors_of(self._send(calls.embed(texts, model, options)))

    def rerank(
        self, query: str, documents: Sequence[str], *, model: str, **options: Unpack[RerankOptions]
    ) -> list[RankedDocument]:
        """How well each document answers the query, the best first, by a model of type reranker or embedding."""
        return self._send(calls.rerank(query, documents, model, options))["results"]

    def capabilities(self, model: str) -> Capabilities:
        """Which values each parameter takes, every limit, and what is known of the model. Loads nothing."""
        return self._send(calls.capabilities(model))

    def compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Conversation | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[ComparedAnswer]:
        """One text to continue, or one message or conversation to answer, by several models at once.

        In the order of `models`, each with its timings, or with the `error` that it met."""
        return self._send(calls.compare(models, text, message, options))["answers"]

    def stream_compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Conversation | None = None,
        **options: Unpack[SamplingOptions],
    ) -> ComparisonStream:
        """`compare`, piece by piece. The request is sent when the iteration begins."""
        call = calls.compare(models, text, message, options).streamed()
        return ComparisonStream(self._http.stream(call.method, call.path, json=call.body), self.base_url)

    def auth_status(self) -> AuthStatus:
        """Whether the server has a Hugging Face token, and which models need one."""
        return self._send(calls.auth_status())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: Call[Answer]) -> Answer:
        with connection_errors(self.base_url):
            response = self._http.request(call.method, call.path, json=call.body)
        raise_for_error(response)
        return calls.read_answer(response.content, call.answer_type)

    def _stream(self, call: Call[Answer]) -> AnswerStream[Answer]:
        streamed = call.streamed()
        opening = self._http.stream(streamed.method, streamed.path, json=streamed.body)
        return AnswerStream(opening, self.base_url, call.answer_type)
