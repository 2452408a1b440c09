"""`/v1/rerank` as Cohere and Jina have it, `/v1/score` and `/v1/classify` as vLLM has them."""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from hostler.protocol.fields import Integer
from hostler.protocol.pooling import (
    MAX_INPUTS,
    TEXT_SCHEMA,
    TEXTS_SCHEMA,
    Inputs,
    PoolingRequest,
    Text,
    read_texts,
)
from hostler.types import PoolingParams, PoolingTask, TextPair


def _read_documents(value: Any) -> list[str]:
    """Texts, or objects that have one."""
    if isinstance(value, list) and len(value) <= MAX_INPUTS:
        value = [item["text"] if isinstance(item, dict) and item.keys() == {"text"} else item for item in value]
    return read_texts(value)


def _read_one_or_many(value: Any) -> list[str]:
    return read_texts([value] if isinstance(value, str) else value)


_DOCUMENT_SCHEMA = {
    "type": "object",
    "properties": {"text": TEXT_SCHEMA},
    "required": ["text"],
    "additionalProperties": False,
}
_DOCUMENTS_SCHEMA = TEXTS_SCHEMA | {"items": {"anyOf": [TEXT_SCHEMA, _DOCUMENT_SCHEMA]}}
_OneOrMany = Annotated[
    list[str], PlainValidator(_read_one_or_many), WithJsonSchema({"anyOf": [TEXT_SCHEMA, TEXTS_SCHEMA]})
]


class RerankBody(PoolingRequest):
    """A question and what may answer it; the model may be named by the path instead of by `model`."""

    query: Text
    documents: Annotated[list[str], PlainValidator(_read_documents), WithJsonSchema(_DOCUMENTS_SCHEMA)]
    """Strings, or objects with a `text`; 2,048 at most."""
    top_n: Annotated[Integer, Field(ge=1, le=2**31 - 1)] | None = None
    """Answer with so many of the best. Default: all."""
    return_documents: bool | None = None
    """Put each document beside its score. Default false."""

    def pairs(self) -> list[TextPair]:
        return [TextPair(text=self.query, text_pair=document) for document in self.documents]

    def pooling_params(self) -> PoolingParams:
        return PoolingParams(task=PoolingTask.SCORE, param="documents", truncate_tokens=self.truncate_prompt_tokens)


class RerankRequest(RerankBody):
    """A question and what may answer it."""

    model: str


class ScoreBody(PoolingRequest):
    """Pairs of texts; the model may be named by the path instead of by `model`."""

    text_1: _OneOrMany
    """One, which is paired with each of `text_2`; or as many as there are of these."""
    text_2: _OneOrMany

    @field_validator("text_2")
    @classmethod
    def _matches(cls, value: list[str], info: ValidationInfo) -> list[str]:
        first = info.data.get("text_1", [])
        if len(first) not in (0, 1, len(value)):
            raise ValueError(f"Input should have as many texts as text_1, which has {len(first)}, not {len(value)}")
        return value

    def pairs(self) -> list[TextPair]:
        first = self.text_1 * len(self.text_2) if len(self.text_1) == 1 else self.text_1
        return [TextPair(text=text, text_pair=pair) for text, pair in zip(first, self.text_2, strict=True)]

    def pooling_params(self) -> PoolingParams:
        return PoolingParams(task=PoolingTask.SCORE, param="text_2", truncate_tokens=self.truncate_prompt_tokens)


class ScoreRequest(ScoreBody):
    """Pairs of texts."""

    model: str


class ClassifyBody(PoolingRequest):
    """Texts to be labelled; the model may be named by the path instead of by `model`."""

    input: Inputs
    """One string or several, one list of token ids or several; 2,048 at most."""

    def pooling_params(self) -> PoolingParams:
        return PoolingParams(task=PoolingTask.CLASSIFY, param="input", truncate_tokens=self.truncate_prompt_tokens)


class ClassifyRequest(ClassifyBody):
    """Texts to be labelled."""

    model: str
