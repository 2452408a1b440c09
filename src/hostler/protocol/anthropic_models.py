"""`/v1/models` as Anthropic has it: what it answers, and which page of it a query asks for."""

from typing import Literal, NamedTuple

from typing_extensions import TypedDict

from hostler.errors import InvalidRequestError

UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""Anthropic's word for a date of release that is not known."""


class AnthropicModel(TypedDict):
    """What is always null is not known here of any model."""

    type: Literal["model"]
    id: str
    display_name: str
    """Its Hugging Face name."""
    created_at: str
    """Always the epoch: when it was released is not known."""
    lifecycle: Literal["active"]
    max_input_tokens: int
    """As the registry has it."""
    max_tokens: None
    """Not bounded but by the context, to which more is cut."""
    capabilities: None
    deprecated_at: None
    line: None
    retires_at: None


class AnthropicModels(TypedDict):
    """A page of models, in the order of the registry."""

    data: list[AnthropicModel]
    first_id: str | None
    """Null where the page is empty, as `last_id`."""
    last_id: str | None
    has_more: bool
    """Whether more follow, or with `before_id` precede."""


class Page(NamedTuple):
    ids: list[str]
    has_more: bool


def page_of(ids: list[str], *, after_id: str | None, before_id: str | None, limit: int) -> Page:
    """Those next to the one that is named, or the first.

    Raises:
        InvalidRequestError: none has that id, or both were named.
    """
    if after_id is not None and before_id is not None:
        raise InvalidRequestError("before_id cannot stand beside after_id; leave one of them out", param="before_id")
    if before_id is not None:
        end = _index(ids, before_id, "before_id")
        begin = max(0, end - limit)
        return Page(ids[begin:end], has_more=begin > 0)
    begin = 0 if after_id is None else _index(ids, after_id, "after_id") + 1
    return Page(ids[begin : begin + limit], has_more=begin + limit < len(ids))


def _index(ids: list[str], model_id: str, param: str) -> int:
    try:
        return ids.index(model_id)
    except ValueError as exc:
        raise InvalidRequestError(
            f"{param}: no model in this list has the id {model_id[:100]!r}; begin again without it", param=param
        ) from exc
