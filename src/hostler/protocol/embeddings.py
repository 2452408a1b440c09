"""`/v1/embeddings`: requests."""

from typing import Annotated, Literal

from pydantic import Field

from hostler.protocol.fields import Integer
from hostler.protocol.pooling import Inputs, PoolingRequest
from hostler.types import PoolingParams, PoolingTask

MAX_DIMENSIONS = 2**16
"""A bound against nonsense; the model's own size is the one that counts."""


class EmbeddingBody(PoolingRequest):
    """Texts of which vectors are made; the model may be named by the path instead of by `model`."""

    input: Inputs
    """One string or several, one list of token ids or several; 2,048 at most. Token ids are taken as they are."""
    encoding_format: Literal["float", "base64"] | None = None
    """`base64`: of the vector's float32 numbers, little-endian. Default `float`."""
    dimensions: Annotated[Integer, Field(ge=1, le=MAX_DIMENSIONS)] | None = None
    """The first so many numbers of each vector, made one of length 1 again. Only models that were trained for it lose
    little by that. Default: all."""
    input_type: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Extension. Name of the model's prompt that is put before each text, such as `query` or `document`. Default: the
    model's own default, which mostly is none."""

    def pooling_params(self) -> PoolingParams:
        return PoolingParams(
            task=PoolingTask.EMBED,
            param="input",
            dimensions=self.dimensions,
            truncate_tokens=self.truncate_prompt_tokens,
            input_type=self.input_type,
        )


class EmbeddingRequest(EmbeddingBody):
    """Texts of which vectors are made."""

    model: str
