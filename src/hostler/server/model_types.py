"""Which types of models a route asks."""

from collections.abc import Collection

from hostler.errors import InvalidRequestError
from hostler.registry import ModelSpec
from hostler.types import ModelType

GENERATING = tuple(model_type for model_type in ModelType if not model_type.is_pooling)
EMBEDDING = (ModelType.EMBEDDING,)
SCORING = (ModelType.RERANKER, ModelType.EMBEDDING)
CLASSIFYING = (ModelType.CLASSIFIER,)

_BY_ROUTE = {"embeddings": EMBEDDING, "rerank": SCORING, "score": SCORING, "classify": CLASSIFYING}
"""By the last part of a path; the other routes to models under `/v1`, and these, ask models that write."""
_GENERATING_ROUTES = frozenset(("generate", "chat", "compare"))


def check_type(spec: ModelSpec, types: Collection[ModelType], what: str) -> None:
    """
    Raises:
        InvalidRequestError: the model does something else. It need not be loaded to say so. `what` is asked of it.
    """
    if spec.type not in types:
        wanted = " or ".join(types)
        raise InvalidRequestError(
            f"model {spec.id!r} is of type {spec.type}, and {what} takes one of type {wanted}"
            " (GET /models shows the type of each)",
            param="model",
        )


def types_of_route(path: str) -> Collection[ModelType]:
    """Of a path as the OpenAPI document has it."""
    last = path.rpartition("/")[2]
    if last in _BY_ROUTE:
        return _BY_ROUTE[last]
    is_generating = last in _GENERATING_ROUTES or ("/v1/" in path and "/v1/models" not in path)
    return GENERATING if is_generating else tuple(ModelType)
