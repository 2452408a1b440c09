"""OpenAI's parameters that Hostler does not act on: which are harmless, and which must be refused by name."""

from collections.abc import Callable
from typing import Any

from hostler.errors import UnsupportedParameterError

WITHOUT_EFFECT = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Bookkeeping and hints: the answer is the same with and without them."""

Neutral = Callable[[Any, dict[str, Any]], bool]
"""Whether a value, seen beside the whole body, asks for nothing."""


def _never(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return False


def _empty(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value in ("", [], {}) and not isinstance(value, bool)


def _text_only(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value in (["text"], {"type": "text"})


def _no_choice(value: Any, body: dict[str, Any]) -> bool:
    return value == "none" or (value == "auto" and not body.get("functions"))


def _is(neutral: str) -> Neutral:
    return lambda value, _: bool(value == neutral)


CHAT_UNSUPPORTED: dict[str, Neutral] = {
    "audio": _never,
    "function_call": _no_choice,
    "functions": _empty,
    "modalities": _text_only,
    "moderation": _never,
    "reasoning_effort": _is("none"),
    "verbosity": _is("medium"),
    "web_search_options": _never,
}

COMPLETIONS_UNSUPPORTED: dict[str, Neutral] = {
    "suffix": _empty,
}


def without_inert_fields(body: Any, unsupported: dict[str, Neutral]) -> Any:
    """The body less what changes nothing.

    Raises:
        UnsupportedParameterError: a field of `unsupported` asks for something.
    """
    if not isinstance(body, dict):
        return body
    for name, is_neutral in unsupported.items():
        value = body.get(name)
        if value is not None and not is_neutral(value, body):
            raise UnsupportedParameterError(
                f"{name} is not supported by this server; leave it out of the request", param=name
            )
    return {name: value for name, value in body.items() if name not in WITHOUT_EFFECT and name not in unsupported}
