"""Answers of models that read whole texts, as their routes spell them."""

import asyncio
import base64
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec

from hostler.protocol.pooling_answers import (
    Classification,
    ClassifyAnswer,
    EmbeddingAnswer,
    PoolingAnswerHead,
    PoolingUsage,
    RankedDocument,
    RankedText,
    RerankAnswer,
    Score,
    ScoreAnswer,
)
from hostler.types import PoolingOutput

_NUMBER_BYTES = 4
VALUES_AT_A_TIME = 2**15
"""Numbers are written for a millisecond or two; then others get their turn on the event loop."""


async def embedding_answer(output: PoolingOutput, model_id: str, *, is_base64: bool) -> EmbeddingAnswer:
    """The vectors are JSON already: their numbers are many."""
    row_bytes = len(output.values) // len(output.num_tokens)
    data: list[Any] = []
    num_values = 0
    for index in range(len(output.num_tokens)):
        row = output.values[index * row_bytes : (index + 1) * row_bytes]
        vector: Any = base64.b64encode(row).decode() if is_base64 else msgspec.Raw(msgspec.json.encode(_numbers(row)))
        data.append({"object": "embedding", "index": index, "embedding": vector})
        num_values += row_bytes // _NUMBER_BYTES
        if num_values >= VALUES_AT_A_TIME:
            num_values = 0
            await asyncio.sleep(0)
    return EmbeddingAnswer(object="list", data=data, model=model_id, usage=_usage(output))


def rerank_answer(
    output: PoolingOutput, model_id: str, documents: Sequence[str], *, top_n: int | None, returns_documents: bool
) -> RerankAnswer:
    ranked = [RankedDocument(index=index, relevance_score=score) for index, score in enumerate(_numbers(output.values))]
    ranked.sort(key=lambda document: document["relevance_score"], reverse=True)
    best = ranked[:top_n]
    if returns_documents:
        for document in best:
            document["document"] = RankedText(text=documents[document["index"]])
    return RerankAnswer(**_head("rerank", output, model_id), results=best)


def score_answer(output: PoolingOutput, model_id: str) -> ScoreAnswer:
    data = [Score(object="score", index=index, score=score) for index, score in enumerate(_numbers(output.values))]
    return ScoreAnswer(**_head("score", output, model_id), object="list", data=data)


def classify_answer(output: PoolingOutput, model_id: str, labels: Sequence[str]) -> ClassifyAnswer:
    numbers = _numbers(output.values)
    data = []
    for index in range(len(output.num_tokens)):
        probs = numbers[index * len(labels) : (index + 1) * len(labels)]
        label = labels[max(range(len(labels)), key=probs.__getitem__)]
        data.append(Classification(index=index, label=label, probs=probs, num_classes=len(labels)))
    return ClassifyAnswer(**_head("classify", output, model_id), object="list", data=data)


def _numbers(values: bytes) -> list[float]:
    """Of float32, little-endian."""
    numbers = array("f", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _head(prefix: str, output: PoolingOutput, model_id: str) -> PoolingAnswerHead:
    return PoolingAnswerHead(
        id=f"{prefix}-{uuid4().hex}", model=model_id, created=int(time.time()), usage=_usage(output)
    )


def _usage(output: PoolingOutput) -> PoolingUsage:
    num_tokens = sum(output.num_tokens)
    return PoolingUsage(prompt_tokens=num_tokens, total_tokens=num_tokens)
