"""What `/v1/embeddings`, `/v1/rerank`, `/v1/score` and `/v1/classify` answer."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class PoolingUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class PoolingAnswerHead(TypedDict):
    id: str
    model: str
    created: int
    """Unix seconds."""
    usage: PoolingUsage


class Embedding(TypedDict):
    object: Literal["embedding"]
    index: int
    """Of the input."""
    embedding: list[float] | str


class EmbeddingAnswer(TypedDict):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: PoolingUsage


class RankedText(TypedDict):
    text: str


class RankedDocument(TypedDict):
    index: int
    """Of the document in the request."""
    relevance_score: float
    document: NotRequired[RankedText]


class RerankAnswer(PoolingAnswerHead):
    results: list[RankedDocument]
    """The most relevant first."""


class Score(TypedDict):
    object: Literal["score"]
    index: int
    """Of the pair."""
    score: float


class ScoreAnswer(PoolingAnswerHead):
    object: Literal["list"]
    data: list[Score]


class Classification(TypedDict):
    index: int
    """Of the input."""
    label: str
    """The likeliest."""
    probs: list[float]
    """Of each label, in the order of the model's configuration."""
    num_classes: int


class ClassifyAnswer(PoolingAnswerHead):
    object: Literal["list"]
    data: list[Classification]
