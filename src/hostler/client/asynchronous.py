"""The asynchronous client."""

import asyncio
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
from hostler.client.event_streams import AsyncEventStream
from hostler.client.streams import AsyncAnswerStream, AsyncComparisonStream
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


class AsyncHostler:
    """`Hostler` for asyncio, with a call that keeps several requests going at once."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` takes the place of the network, for tests."""
        self.base_url = base_url
        self._http = httpx2.AsyncClient(
            base_url=base_url, headers=calls.headers(api_key), timeout=timeouts(timeout_s), transport=transport
        )

    async def health(self) -> Health:
        return await self._send(calls.health())

    async def models(self) -> dict[str, ModelRow]:
        """Every registered model by id."""
        return await self._send(calls.models())

    async def info(self, model: str) -> ModelDetails:
        return await self._send(calls.info(model))

    async def load(
        self, model: str, *, force_reload: bool = False, keep_alive: float | str | None = None
    ) -> LoadAnswer:
        """Bring a model into memory; returns when it is ready. `keep_alive`: how long it stays without requests:
        seconds, `"5m"`, 0, or -1 for ever."""
        return await self._send(calls.load(model, force_reload, keep_alive))

    async def unload(self, model: str, *, force: bool = False) -> MessageAnswer:
        """Returns when its requests are done and it has left; with `force`, they fail instead."""
        return await self._send(calls.unload(model, force))

    async def plan(self, model: str) -> PlanAnswer:
        """What would happen if the model were asked for now, and why; nothing does."""
        return await self._send(calls.plan(model))

    async def model_health(self, model: str, *, deep: bool = False) -> ModelHealth:
        """How a model is; never loads it. `deep`: have it answer one token, or raise why it does not."""
        return await self._send(calls.model_health(model, deep))

    def events(self, model: str | None = None, *, after: int = 0) -> AsyncEventStream:
        """What happened to one model, or to all, and then what happens. The request is sent when the iteration begins.

        `after`: only what has a higher number, to go on where another stream ended.
        """
        call = calls.events(model, after)
        return AsyncEventStream(self._http.stream(call.method, call.path), self.base_url)

    async def generate(
        self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> GenerateAnswer:
        return await self._send(calls.generate(text, model, options))

    async def chat(
        self,
        message: str | Conversation,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> ChatAnswer:
        """Answer a message, or a whole conversation. `context`: what the answer to the last message returned, to go on
        with that conversation."""
        return await self._send(calls.chat(message, model, context, options))

    def stream(
        self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> AsyncAnswerStream[GenerateAnswer]:
        """`generate`, piece by piece. The request is sent when the iteration begins."""
        return self._stream(calls.generate(text, model, options))

    def stream_chat(
        self,
        message: str | Conversation,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncAnswerStream[ChatAnswer]:
        """`chat`, piece by piece; the context for the next message is in `answer`."""
        return self._stream(calls.chat(message, model, context, options))

    async def tokenize(
        self, prompt: str | Conversation, *, model: str | None = None, add_special_tokens: bool = True
    ) -> TokenizeAnswer:
        """Token ids of a text, or of a conversation as the model is given it. Loads the model."""
        return await self._send(calls.tokenize(prompt, model, add_special_tokens))

    async def detokenize(self, tokens: Sequence[int], *, model: str | None = None) -> DetokenizeAnswer:
        """The text that token ids spell, special tokens included. Loads the model."""
        return await self._send(calls.detokenize(tokens, model))

    async def embed(self, texts: Sequence[str], *, model: str, **options: Unpack[EmbedOptions]) -> list[list[float]]:
        """A vector of each text, by a model of type embedding."""
        return calls.vectors_of(await self._send(calls.embed(texts, model, options)))

    async def rerank(
        self, query: str, documents: Sequence[str], *, model: str, **options: Unpack[RerankOptions]
    ) -> list[RankedDocument]:
        """How well each document answers the query, the best first, by a model of type reranker or embedding."""
        return (await self._send(calls.rerank(query, documents, model, options)))["results"]

    async def capabilities(self, model: str) -> Capabilities:
        """Which values each parameter takes, every limit, and what is known of the model. Loads nothing."""
        return await self._send(calls.capabilities(model))

    async def compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Conversation | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[ComparedAnswer]:
        """One text to continue, or one message or conversation to answer, by several models at once.

        In the order of `models`, each with its timings, or with the `error` that it met."""
        return (await self._send(calls.compare(models, text, message, options)))["answers"]

    def stream_compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Conversation | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncComparisonStream:
        """`compare`, piece by piece. The request is sent when the iteration begins."""
        call = calls.compare(models, text, message, options).streamed()
        return AsyncComparisonStream(self._http.stream(call.method, call.path, json=call.body), self.base_url)

    async def auth_status(self) -> AuthStatus:
        """Whether the server has a Hugging Face token, and which models need one."""
        return await self._send(calls.auth_status())

    async def batch(
        self, model: str, prompts: Sequence[str], *, concurrency: int = 8, **options: Unpack[GenerateOptions]
    ) -> list[GenerateAnswer]:
        """Many prompts to one model, `concurrency` of them at a time; answers in the order of the prompts.

        The first error ends the batch.
        """
        slots = asyncio.Semaphore(concurrency)

        async def ask(prompt: str) -> GenerateAnswer:
            async with slots:
                return await self.generate(prompt, model=model, **options)

        tasks = [asyncio.ensure_future(ask(prompt)) for prompt in prompts]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _send(self, call: Call[Answer]) -> Answer:
        with connection_errors(self.base_url):
            response = await self._http.request(call.method, call.path, json=call.body)
        raise_for_error(response)
        return calls.read_answer(response.content, call.answer_type)

    def _stream(self, call: Call[Answer]) -> AsyncAnswerStream[Answer]:
        streamed = call.streamed()
        opening = self._http.stream(streamed.method, streamed.path, json=streamed.body)
        return AsyncAnswerStream(opening, self.base_url, call.answer_type)
