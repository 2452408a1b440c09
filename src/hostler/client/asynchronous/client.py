"""The client's calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self, Unpack

import httpx2

from hostler.client import calls
from hostler.client.asynchronous.conversation import AsyncConversation
from hostler.client.asynchronous.streams import AsyncAnswerStream, AsyncComparisonStream, AsyncEventStream
from hostler.client.asynchronous.transport import AsyncTransport
from hostler.client.batches import (
    DEFAULT_CONCURRENCY,
    BatchItem,
    Job,
    check_concurrency,
    models_of,
    progress_bar,
)
from hostler.client.calls import Answer
from hostler.client.concurrency import map_bounded_async, work_beside_async
from hostler.client.connection import DEFAULT_TIMEOUT_S, DEFAULT_URL, ServerConnectionError
from hostler.client.load_progress import OnProgress, progress_of
from hostler.client.options import (
    EmbedOptions,
    GenerateOptions,
    LoadOptions,
    Messages,
    ReadingOptions,
    RerankOptions,
    SamplingOptions,
)
from hostler.client.retries import Retries
from hostler.client.streams import read_event
from hostler.client.transcript import Transcript
from hostler.errors import HostlerError
from hostler.protocol.model_answers import Capabilities, ComparedAnswer, DetokenizeAnswer, TokenizeAnswer, TokenizerInfo
from hostler.protocol.native_answers import (
    AuthStatus,
    ChatAnswer,
    FreedMemoryAnswer,
    GenerateAnswer,
    GenerateAnswers,
    Health,
    LoadAnswer,
    LogLevelAnswer,
    MessageAnswer,
    ModelDetails,
    ModelRow,
    ReloadAnswer,
    SystemReport,
    UnloadAllAnswer,
)
from hostler.protocol.pooling_answers import Classification, RankedDocument
from hostler.protocol.stable_answers import EventsPage, ModelHealth, PlanAnswer


class AsyncHostler:
    """A server. Close it, or use it in an `async with`; its calls may be made at the same time.

    A model is named by its id or its Hugging Face name; without one, the server takes its first of the fitting type.
    All calls raise the `hostler.errors` class of what the server reports, and `ServerConnectionError`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        max_retries: int = 2,
        max_retry_wait_s: float = 60.0,
        retry_backoff_s: float = 0.5,
    ) -> None:
        """What the server turns away for now (429, or 503 with a `Retry-After`) and what does not reach it is sent
        again, up to `max_retries` times, after the time that the server asks for, or else `retry_backoff_s` and then
        twice as long each time, more or less. Where it asks for more than `max_retry_wait_s`, its error is raised at
        once. A stream that has begun is never repeated. The log tells of each wait, as `INFO`.

        `timeout_s` is the longest silence. `transport` takes the place of the network, for tests.
        """
        self.base_url = base_url
        retries = Retries(max_retries, max_retry_wait_s, retry_backoff_s)
        self._transport = AsyncTransport(base_url, api_key, timeout_s, retries, transport)

    # The server

    async def health(self) -> Health:
        return await self._transport.send(calls.health())

    async def ready(self) -> bool:
        """Whether the server has done all that its start asks for, and is not leaving."""
        try:
            await self._transport.send(calls.ready())
        except HostlerError as error:
            if error.status != 503:
                raise
            return False
        return True

    async def system(self) -> SystemReport:
        """Python, torch, devices, memory."""
        return await self._transport.send(calls.system())

    async def auth_status(self) -> AuthStatus:
        """Whether the server has a Hugging Face token, and which models need one."""
        return await self._transport.send(calls.auth_status())

    async def metrics(self) -> str:
        """What the server measures, in Prometheus' text format."""
        return await self._transport.send(calls.metrics())

    async def reload_config(self, *, dry_run: bool = False) -> ReloadAnswer:
        """Have the registry file read again; with `dry_run`, only told what that would change."""
        return await self._transport.send(calls.reload_config(dry_run))

    async def set_log_level(self, level: str) -> LogLevelAnswer:
        """Have gateway and workers log more or less until the next start: `DEBUG`, `INFO`, `WARNING`, `ERROR`."""
        return await self._transport.send(calls.set_log_level(level))

    async def clear_gpu_memory(self) -> FreedMemoryAnswer:
        """Return cached device memory to the system, and forget what was kept of prompts."""
        return await self._transport.send(calls.clear_gpu_memory())

    # The models

    async def models(self) -> dict[str, ModelRow]:
        """Every registered model by id."""
        return await self._transport.send(calls.models())

    async def info(self, model: str) -> ModelDetails:
        return await self._transport.send(calls.info(model))

    async def capabilities(self, model: str) -> Capabilities:
        """Which values each parameter takes, every limit, and what is known of the model. Loads nothing."""
        return await self._transport.send(calls.capabilities(model))

    async def load(
        self, model: str, *, on_progress: OnProgress | None = None, **options: Unpack[LoadOptions]
    ) -> LoadAnswer:
        """Bring a model into memory; returns when it is ready.

        `on_progress` is called with what the server tells meanwhile, about twice a second; not at all where there is
        nothing to load.
        """
        call = calls.load(model, options)
        if on_progress is None:
            return await self._transport.send(call)

        def tell(line: str) -> None:
            if (event := read_event(line)) is not None:
                on_progress(progress_of(event))

        last = (await self.past_events(model, limit=1))["last"]
        async with self._transport.open(calls.events(model, last)) as response:
            return await work_beside_async(lambda: self._transport.send(call), response, tell)

    async def unload(self, model: str, *, force: bool = False) -> MessageAnswer:
        """Returns when its requests are done and it has left; with `force`, they fail instead."""
        return await self._transport.send(calls.unload(model, force))

    async def unload_all(self, *, force: bool = False) -> UnloadAllAnswer:
        """`unload` of every model."""
        return await self._transport.send(calls.unload_all(force))

    async def plan(self, model: str) -> PlanAnswer:
        """What would happen if the model were asked for now, and why; nothing does."""
        return await self._transport.send(calls.plan(model))

    async def model_health(self, model: str, *, deep: bool = False) -> ModelHealth:
        """How a model is; never loads it. `deep`: have it answer one token, or raise why it does not."""
        return await self._transport.send(calls.model_health(model, deep))

    def events(self, model: str | None = None, *, after: int = 0) -> AsyncEventStream:
        """What happened to one model, or to all, and then what happens. The request is sent when the iteration begins.

        `after`: only what has a higher number, to go on where another stream ended.
        """
        return AsyncEventStream(self._transport, calls.events(model, after))

    async def past_events(self, model: str | None = None, *, after: int = 0, limit: int = 100) -> EventsPage:
        """The newest `limit` events that have happened; with `after`, those that follow that number."""
        return await self._transport.send(calls.past_events(model, after, limit))

    # Models that write

    async def generate(
        self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> GenerateAnswer:
        """Continue a text."""
        return await self._transport.send(calls.generate(text, model, options))

    async def generate_many(
        self, texts: Sequence[str], *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> list[GenerateAnswer]:
        """`generate` of several texts in one request, in their order. One that is refused fails all; see `batch`."""
        return (await self._transport.send(calls.generate_many(texts, model, options)))["answers"]

    def stream(
        self, text: str, *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> AsyncAnswerStream[GenerateAnswer]:
        """`generate`, piece by piece. The request is sent when the iteration begins."""
        return AsyncAnswerStream(self._transport, calls.generate(text, model, options))

    def stream_many(
        self, texts: Sequence[str], *, model: str | None = None, **options: Unpack[GenerateOptions]
    ) -> AsyncAnswerStream[GenerateAnswers]:
        """`generate_many`, piece by piece; the pieces have a `text_index`."""
        return AsyncAnswerStream(self._transport, calls.generate_many(texts, model, options))

    async def chat(
        self,
        message: str | Messages,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> ChatAnswer:
        """Answer a message, or a whole conversation. `context`: what the answer to the last message returned, to go on
        with that conversation; see also `conversation`."""
        return await self._transport.send(calls.chat(message, model, context, options))

    def stream_chat(
        self,
        message: str | Messages,
        *,
        model: str | None = None,
        context: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncAnswerStream[ChatAnswer]:
        """`chat`, piece by piece; the context for the next message is in `answer`."""
        return AsyncAnswerStream(self._transport, calls.chat(message, model, context, options))

    def conversation(
        self,
        model: str | None = None,
        *,
        system: str | None = None,
        path: str | Path | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncConversation:
        """A conversation that is kept here. `path`: of one that was saved, to go on with; `model` and `system` come
        in place of what was saved."""
        transcript = Transcript()
        if path is not None:
            transcript.restore(path)
        transcript.model = model or transcript.model
        transcript.system = system or transcript.system
        return AsyncConversation(self._transport, transcript, options)

    async def compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Messages | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[ComparedAnswer]:
        """One text to continue, or one message or conversation to answer, by several models at once.

        In the order of `models`, each with its timings, or with the `error` that it met."""
        return (await self._transport.send(calls.compare(models, text, message, options)))["answers"]

    def stream_compare(
        self,
        models: Sequence[str],
        text: str | None = None,
        *,
        message: str | Messages | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncComparisonStream:
        """`compare`, piece by piece. The request is sent when the iteration begins."""
        return AsyncComparisonStream(self._transport, calls.compare(models, text, message, options))

    async def batch(
        self,
        model: str | Sequence[str],
        prompts: Sequence[str],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> list[BatchItem[GenerateAnswer]]:
        """`generate` of many prompts, `concurrency` of them at a time: an item for each, in their order, with its
        answer or its error. Of several models the first one's come first, so that each is loaded once.

        `progress`: show a bar on the standard error.
        """
        jobs = [
            Job(name, prompt, calls.generate(prompt, name, options)) for name in models_of(model) for prompt in prompts
        ]
        return await self._run(jobs, concurrency, progress)

    async def batch_chat(
        self,
        model: str | Sequence[str],
        messages: Sequence[str | Messages],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        progress: bool = False,
        **options: Unpack[SamplingOptions],
    ) -> list[BatchItem[ChatAnswer]]:
        """`batch` of messages, or whole conversations, to be answered."""
        jobs = [
            Job(name, message, calls.chat(message, name, None, options))
            for name in models_of(model)
            for message in messages
        ]
        return await self._run(jobs, concurrency, progress)

    # Tokens, and models that read

    async def tokenize(
        self, prompt: str | Messages, *, model: str | None = None, add_special_tokens: bool = True
    ) -> TokenizeAnswer:
        """Token ids of a text, or of a conversation as the model is given it. Loads the model."""
        return await self._transport.send(calls.tokenize(prompt, model, add_special_tokens))

    async def detokenize(self, tokens: Sequence[int], *, model: str | None = None) -> DetokenizeAnswer:
        """The text that token ids spell, special tokens included. Loads the model."""
        return await self._transport.send(calls.detokenize(tokens, model))

    async def tokenizer_info(self, model: str | None = None) -> TokenizerInfo:
        """Special tokens, chat template, size of the vocabulary. Loads the model."""
        return await self._transport.send(calls.tokenizer_info(model))

    async def embed(self, texts: Sequence[str], *, model: str, **options: Unpack[EmbedOptions]) -> list[list[float]]:
        """A vector of each text, by a model of type embedding."""
        return calls.vectors_of(await self._transport.send(calls.embed(texts, model, options)))

    async def rerank(
        self, query: str, documents: Sequence[str], *, model: str, **options: Unpack[RerankOptions]
    ) -> list[RankedDocument]:
        """How well each document answers the query, the best first, by a model of type reranker or embedding."""
        return (await self._transport.send(calls.rerank(query, documents, model, options)))["results"]

    async def score(
        self,
        text: str | Sequence[str],
        others: Sequence[str],
        *,
        model: str,
        **options: Unpack[ReadingOptions],
    ) -> list[float]:
        """How well each of `others` answers the text, or as many texts one each, by the same models as `rerank`."""
        answer = await self._transport.send(calls.score(text, others, model, options))
        return [item["score"] for item in answer["data"]]

    async def classify(
        self, texts: Sequence[str], *, model: str, **options: Unpack[ReadingOptions]
    ) -> list[Classification]:
        """Which of the labels of a model of type classifier each text has."""
        return (await self._transport.send(calls.classify(texts, model, options)))["data"]

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(
        self, jobs: Sequence[Job[Answer]], concurrency: int, is_progress_shown: bool
    ) -> list[BatchItem[Answer]]:
        check_concurrency(concurrency)

        async def ask(job: Job[Answer]) -> BatchItem[Answer]:
            try:
                return job.answered(await self._transport.send(job.call))
            except (HostlerError, ServerConnectionError) as error:
                return job.failed(error)

        with progress_bar(len(jobs), is_progress_shown) as advance:
            return await map_bounded_async(ask, jobs, concurrency, advance)
