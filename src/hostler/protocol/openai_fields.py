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


Unsupported = dict[str, tuple[Neutral, str]]
"""By field: which values ask for nothing, and the remedy where they ask for something."""
_LEAVE_OUT = "leave it out of the request"

_CONSTRAINTS: Unsupported = dict.fromkeys(
    (
        *("guided_choice", "guided_grammar", "guided_json", "guided_regex", "structured_outputs"),
        *("choice", "grammar", "json_schema", "regex"),
    ),
    (never, "use response_format, or POST /models/{model_id}/chat with its json_schema, regex, choice or grammar"),
)
"""None of OpenAI's: as vLLM names them, and as Hostler's own routes do."""

CHAT_UNSUPPORTED: Unsupported = {
    "audio": (never, _LEAVE_OUT),
    "function_call": (_no_choice, "use tool_choice"),
    "functions": (empty, "use tools"),
    "modalities": (_text_only, _LEAVE_OUT),
    "moderation": (never, _LEAVE_OUT),
    "verbosity": (_is("medium"), _LEAVE_OUT),
    "web_search_options": (never, _LEAVE_OUT),
}

COMPLETIONS_UNSUPPORTED: Unsupported = {
    "suffix": (empty, _LEAVE_OUT),
}


def without_inert_fields(body: Any, unsupported: Unsupported) -> Any:
    """The body less what changes nothing.

    Raises:
        UnsupportedParameterError: a field of `unsupported` asks for something.
    """
    return without_foreign_fields(body, WITHOUT_EFFECT, unsupported | _CONSTRAINTS)
