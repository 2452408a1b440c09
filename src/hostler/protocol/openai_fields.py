"""OpenAI's parameters that Hostler does not act on: which are harmless, and which must be refused by name."""

from typing import Any

from hostler.protocol.foreign_fields import Neutral, empty, never, without_foreign_fields

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


def _text_only(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value in (["text"], {"type": "text"})


def _no_choice(value: Any, body: dict[str, Any]) -> bool:
    return value == "none" or (value == "auto" and not body.get("functions"))


def _is(neutral: str) -> Neutral:
    return lambda value, _: bool(value == neutral)


CHAT_UNSUPPORTED: dict[str, Neutral] = {
    "audio": never,
    "function_call": _no_choice,
    "functions": empty,
    "modalities": _text_only,
    "moderation": never,
    "reasoning_effort": _is("none"),
    "verbosity": _is("medium"),
    "web_search_options": never,
}

COMPLETIONS_UNSUPPORTED: dict[str, Neutral] = {
    "suffix": empty,
}


def without_inert_fields(body: Any, unsupported: dict[str, Neutral]) -> Any:
    """The body less what changes nothing.

    Raises:
        UnsupportedParameterError: a field of `unsupported` asks for something.
    """
    remedies = {name: (is_neutral, "leave it out of the request") for name, is_neutral in unsupported.items()}
    return without_foreign_fields(body, WITHOUT_EFFECT, remedies)
