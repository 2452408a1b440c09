"""Fields of `/v1/responses` that Hostler does not act on: which are harmless, and what to do instead of the others."""

from typing import Any

from hostler.protocol.openai_fields import Neutral

RESPONSES_WITHOUT_EFFECT = frozenset(
    {
        "max_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Bookkeeping and hints, and bounds of what is never done; nothing is ever stored."""


def _never(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return False


def _empty(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value in ("", [], {}) and not isinstance(value, bool)


def _false(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value is False


RESPONSES_UNSUPPORTED: dict[str, tuple[Neutral, str]] = {
    "access_programs": (_empty, "leave it out"),
    "background": (_false, "leave it out, and stream the answer or wait for it"),
    "background_options": (_empty, "leave it out, and stream the answer or wait for it"),
    "context_management": (_empty, 'leave it out; "truncation": "auto" drops the oldest items'),
    "conversation": (_never, "nothing is stored here: send the items of the conversation in input"),
    "image": (_empty, "leave it out and send text"),
    "moderation": (_never, "leave it out"),
    "previous_response_id": (_never, "nothing is stored here: send the earlier items in input"),
    "prompt": (_never, "nothing is stored here: send instructions and input"),
}
"""By field: when its value asks for nothing, and what to do where it asks for something."""
