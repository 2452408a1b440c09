"""The native interface without a network: what to send for each call, and what its answer means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, TypedDict, TypeVar
from urllib.parse import quote

import msgspec

from hostler.errors import HostlerError, InvalidRequestError, RequestError, ServiceError, subclasses_by_code
from hostler.protocol.model_answers import Capabilities, CompareAnswer, DetokenizeAnswer, TokenizeAnswer
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
from hostler.protocol.pooling_answers import EmbeddingAnswer, RerankAnswer
from hostler.protocol.stable_answers import EventsPage, ModelHealth, PlanAnswer
from hostler.types import EarlyStopping

Answer = TypeVar("Answer")
Conversation = Sequence[Mapping[str, object]]
"""Messages as OpenAI spells them: `{"role": "user", "content": "Hi"}`."""


class SamplingOptions(TypedDict, total=False):
    """What may be asked of any answer; what is left out is the server's default."""

    max_length: int
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    do_sample: bool
    num_beams: int
    length_penalty: float
    early_stopping: EarlyStopping
    seed: int
    stop: str | list[str]
    priority: int
    keep_alive: float | str
    """How long the model stays after its last request: seconds, "5m", 0, or -1 for ever."""


class GenerateOptions(SamplingOptions, total=False):
    """Besides, for `generate`."""

    num_return_sequences: int


class EmbedOptions(TypedDict, total=False):
    """What may be asked of vectors."""

    dimensions: int
    """The first so many numbers of each, made one of length 1 again."""
    input_type: str
    """Name of the model's prompt that is put before each text, such as `query`."""
    truncate_prompt_tokens: int
    """Cut each text to so many tokens; -1: to what the model takes. Without it, one that is too long is an error."""
    keep_alive: float | str


class RerankOptions(TypedDict, total=False):
    """What may be asked of a ranking."""

    top_n: int
    """So many of the best."""
    return_documents: bool
    """Put each document beside its score."""
    truncate_prompt_tokens: int
    """As in `EmbedOptions`, of the query and a document together."""
    keep_alive: float | str


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


def models() -> Call[dict[str, ModelRow]]:
    return Call("GET", "/models", dict[str, ModelRow])


def info(model: str) -> Call[ModelDetails]:
    return Call("GET", f"{_path_of(model)}/info", ModelDetails)


def load(model: str, force_reload: bool, keep_alive: float | str | None = None) -> Call[LoadAnswer]:
    body: dict[str, object] = {"force_reload": force_reload}
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return Call("POST", f"{_path_of(model)}/load", LoadAnswer, body)


def unload(model: str, force: bool = False) -> Call[MessageAnswer]:
    return Call("POST", f"{_path_of(model)}/unload", MessageAnswer, {"force": True} if force else None)


def plan(model: str) -> Call[PlanAnswer]:
    return Call("POST", f"{_path_of(model)}/plan", PlanAnswer)


def model_health(model: str, deep: bool) -> Call[ModelHealth]:
    return Call("GET", f"{_path_of(model)}/health{'?deep=1' if deep else ''}", ModelHealth)


def events(model: str | None, after: int) -> Call[EventsPage]:
    """Of one model, or of all; as a stream."""
    return Call("GET", f"{_path_of(model)}/events?stream=1&after={after}", EventsPage)


def generate(text: str, model: str | None, options: GenerateOptions) -> Call[GenerateAnswer]:
    return Call("POST", f"{_path_of(model)}/generate", GenerateAnswer, {"text": text, **options})


def chat(
    message: str | Conversation, model: str | None, context: str | None, options: SamplingOptions
) -> Call[ChatAnswer]:
    """Of one message, after the context, or of a whole conversation."""
    body: dict[str, object] = {"message": message} if isinstance(message, str) else {"messages": list(message)}
    body.update(options)
    if context is not None:
        body["context"] = context
    return Call("POST", f"{_path_of(model)}/chat", ChatAnswer, body)


def tokenize(prompt: str | Conversation, model: str | None, add_special_tokens: bool) -> Call[TokenizeAnswer]:
    """Of a text, or of a conversation."""
    body: dict[str, object] = {"prompt": prompt} if isinstance(prompt, str) else {"messages": list(prompt)}
    if not add_special_tokens:
        body["add_special_tokens"] = False
    return Call("POST", f"{_path_of(model)}/tokenize", TokenizeAnswer, body)


def detokenize(tokens: Sequence[int], model: str | None) -> Call[DetokenizeAnswer]:
    return Call("POST", f"{_path_of(model)}/detokenize", DetokenizeAnswer, {"tokens": list(tokens)})


def capabilities(model: str) -> Call[Capabilities]:
    return Call("GET", f"{_path_of(model)}/capabilities", Capabilities)


def embed(texts: Sequence[str], model: str, options: EmbedOptions) -> Call[EmbeddingAnswer]:
    return Call("POST", f"{_path_of(model)}/v1/embeddings", EmbeddingAnswer, {"input": list(texts), **options})


def rerank(query: str, documents: Sequence[str], model: str, options: RerankOptions) -> Call[RerankAnswer]:
    body: dict[str, object] = {"query": query, "documents": list(documents), **options}
    return Call("POST", f"{_path_of(model)}/v1/rerank", RerankAnswer, body)


def vectors_of(answer: EmbeddingAnswer) -> list[list[float]]:
    """In the order of the texts."""
    return [item["embedding"] for item in answer["data"] if not isinstance(item["embedding"], str)]


def compare(
    models: Sequence[str], text: str | None, message: str | Conversation | None, options: SamplingOptions
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


def auth_status() -> Call[AuthStatus]:
    return Call("GET", "/auth/status", AuthStatus)


def headers(api_key: str | None) -> dict[str, str]:
    """What every request carries."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def read_answer(content: bytes, answer_type: type[Answer]) -> Answer:
    """Decode the body of a successful answer.

    Raises:
        ServiceError: it is something else, so the other side is hardly a Hostler.
    """
    try:
        return msgspec.json.decode(content, type=answer_type)
    except msgspec.DecodeError as exc:
        raise ServiceError(f"the server answered something unexpected ({exc}): is it Hostler?") from exc


def read_error(status: int, content: bytes) -> HostlerError:
    """The error that the server raised, by its `code`; by its status where a proxy answered instead."""
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        body = None
    if not isinstance(body, dict):
        body = {}
    by_status = ServiceError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RequestError
    if isinstance(error := body.get("error"), dict):  # as OpenAI's routes have it
        param = error.get("param")
        return subclasses_by_code().get(str(error.get("code")), by_status)(str(error.get("message")), param=param)
    detail = body.get("detail") or f"the server answered with status {status}"
    if isinstance(detail, list):
        return InvalidRequestError("; ".join(_describe(problem) for problem in detail), param=_param_of(detail))
    return subclasses_by_code().get(str(body.get("code")), by_status)(str(detail))


def _path_of(model: str | None) -> str:
    return "" if model is None else f"/models/{quote(model, safe='')}"


def _describe(problem: object) -> str:
    """One entry of a validation error: `body.temperature: Input should be …`."""
    if not isinstance(problem, dict):
        return str(problem)
    return f"{'.'.join(str(part) for part in problem.get('loc', ()))}: {problem.get('msg')}"


def _param_of(problems: list[object]) -> str | None:
    first = problems[0] if problems else None
    location = first.get("loc") if isinstance(first, dict) else None
    return str(location[-1]) if location else None
