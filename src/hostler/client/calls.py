"""The native interface without a network: what to send for each call, and which type its answer has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from hostler.client.options import (
    EmbedOptions,
    GenerateOptions,
    LoadOptions,
    Messages,
    ReadingOptions,
    RerankOptions,
    SamplingOptions,
)
from hostler.errors import ConfigError
from hostler.protocol.model_answers import (
    Capabilities,
    CompareAnswer,
    DetokenizeAnswer,
    TokenizeAnswer,
    TokenizerInfo,
)
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
    ProbeAnswer,
    ReloadAnswer,
    SystemReport,
    UnloadAllAnswer,
)
from hostler.protocol.pooling_answers import ClassifyAnswer, EmbeddingAnswer, RerankAnswer, ScoreAnswer
from hostler.protocol.stable_answers import EventsPage, ModelHealth, PlanAnswer

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request of the native interface."""

    method: str
    path: str
    answer_type: type[Answer]
    body: dict[str, object] | None = None

    def streamed(self) -> "Call[Answer]":
        """The same, answered piece by piece; the last piece is of `answer_type`."""
        return Call(self.method, self.path, self.answer_type, {**(self.body or {}), "stream": True})


def health() -> Call[Health]:
    return Call("GET", "/health", Health)


def ready() -> Call[ProbeAnswer]:
    return Call("GET", "/health/ready", ProbeAnswer)


def system() -> Call[SystemReport]:
    return Call("GET", "/system", SystemReport)


def metrics() -> Call[str]:
    return Call("GET", "/metrics", str)


def models() -> Call[dict[str, ModelRow]]:
    return Call("GET", "/models", dict[str, ModelRow])


def info(model: str) -> Call[ModelDetails]:
    return Call("GET", f"{_path_of(model)}/info", ModelDetails)


def capabilities(model: str) -> Call[Capabilities]:
    return Call("GET", f"{_path_of(model)}/capabilities", Capabilities)


def load(model: str, options: LoadOptions) -> Call[LoadAnswer]:
    body: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    return Call("POST", f"{_path_of(model)}/load", LoadAnswer, body)


def unload(model: str, force: bool = False) -> Call[MessageAnswer]:
    return Call("POST", f"{_path_of(model)}/unload", MessageAnswer, {"force": True} if force else None)


def unload_all(force: bool) -> Call[UnloadAllAnswer]:
    return Call("POST", "/admin/unload-all", UnloadAllAnswer, {"force": True} if force else None)


def plan(model: str) -> Call[PlanAnswer]:
    return Call("POST", f"{_path_of(model)}/plan", PlanAnswer)


def model_health(model: str, deep: bool) -> Call[ModelHealth]:
    return Call("GET", f"{_path_of(model)}/health{'?deep=1' if deep else ''}", ModelHealth)


def events(model: str | None, after: int) -> Call[EventsPage]:
    """Of one model, or of all; as a stream."""
    return Call("GET", f"{_path_of(model)}/events?stream=1&after={after}", EventsPage)


def past_events(model: str | None, after: int, limit: int) -> Call[EventsPage]:
    return Call("GET", f"{_path_of(model)}/events?limit={limit}&after={after}", EventsPage)


def generate(text: str, model: str | None, options: GenerateOptions) -> Call[GenerateAnswer]:
    return Call("POST", f"{_path_of(model)}/generate", GenerateAnswer, {"text": text, **options})


def generate_many(texts: Sequence[str], model: str | None, options: GenerateOptions) -> Call[GenerateAnswers]:
    return Call("POST", f"{_path_of(model)}/generate", GenerateAnswers, {"texts": list(texts), **options})


def chat(message: str | Messages, model: str | None, context: str | None, options: SamplingOptions) -> Call[ChatAnswer]:
    """Of one message, after the context, or of a whole conversation."""
    body: dict[str, object] = {"message": message} if isinstance(message, str) else {"messages": list(message)}
    body.update(options)
    if context is not None:
        body["context"] = context
    return Call("POST", f"{_path_of(model)}/chat", ChatAnswer, body)


def compare(
    models: Sequence[str], text: str | None, message: str | Messages | None, options: SamplingOptions
) -> Call[CompareAnswer]:
    """A text to continue, or a message, or a whole conversation, to answer."""
    body: dict[str, object] = {"models": list(models), **options}
    if text is not None:
        body["text"] = text
    if isinstance(message, str):
        body["message"] = message
    elif message is not None:
        body["messages"] = list(message)
    return Call("POST", "/compare", CompareAnswer, body)


def tokenize(prompt: str | Messages, model: str | None, add_special_tokens: bool) -> Call[TokenizeAnswer]:
    """Of a text, or of a conversation."""
    body: dict[str, object] = {"prompt": prompt} if isinstance(prompt, str) else {"messages": list(prompt)}
    if not add_special_tokens:
        body["add_special_tokens"] = False
    return Call("POST", f"{_path_of(model)}/tokenize", TokenizeAnswer, body)


def detokenize(tokens: Sequence[int], model: str | None) -> Call[DetokenizeAnswer]:
    return Call("POST", f"{_path_of(model)}/detokenize", DetokenizeAnswer, {"tokens": list(tokens)})


def tokenizer_info(model: str | None) -> Call[TokenizerInfo]:
    return Call("GET", f"{_path_of(model)}/tokenizer_info", TokenizerInfo)


def embed(texts: Sequence[str], model: str, options: EmbedOptions) -> Call[EmbeddingAnswer]:
    return Call("POST", f"{_path_of(model)}/v1/embeddings", EmbeddingAnswer, {"input": list(texts), **options})


def rerank(query: str, documents: Sequence[str], model: str, options: RerankOptions) -> Call[RerankAnswer]:
    body: dict[str, object] = {"query": query, "documents": list(documents), **options}
    return Call("POST", f"{_path_of(model)}/v1/rerank", RerankAnswer, body)


def score(text: str | Sequence[str], others: Sequence[str], model: str, options: ReadingOptions) -> Call[ScoreAnswer]:
    """Of one text beside each of the others, or of as many beside one other each."""
    first = text if isinstance(text, str) else list(text)
    body: dict[str, object] = {"text_1": first, "text_2": list(others), **options}
    return Call("POST", f"{_path_of(model)}/v1/score", ScoreAnswer, body)


def classify(texts: Sequence[str], model: str, options: ReadingOptions) -> Call[ClassifyAnswer]:
    return Call("POST", f"{_path_of(model)}/v1/classify", ClassifyAnswer, {"input": list(texts), **options})


def auth_status() -> Call[AuthStatus]:
    return Call("GET", "/auth/status", AuthStatus)


def reload_config(dry_run: bool) -> Call[ReloadAnswer]:
    return Call("POST", f"/admin/reload-config{'?dry_run=1' if dry_run else ''}", ReloadAnswer)


def set_log_level(level: str) -> Call[LogLevelAnswer]:
    return Call("POST", "/admin/log-level", LogLevelAnswer, {"level": level})


def clear_gpu_memory() -> Call[FreedMemoryAnswer]:
    return Call("POST", "/admin/clear-gpu-memory", FreedMemoryAnswer)


def headers(api_key: str | None) -> dict[str, str]:
    """What every request carries.

    Raises:
        ConfigError: no header can carry that key.
    """
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError("the API key has characters that no key has: was it copied whole, and nothing else?")
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def vectors_of(answer: EmbeddingAnswer) -> list[list[float]]:
    """In the order of the texts."""
    return [item["embedding"] for item in answer["data"] if not isinstance(item["embedding"], str)]


def _path_of(model: str | None) -> str:
    return "" if model is None else f"/models/{quote(model, safe='')}"
