"""Fields of `/v1/responses` that Hostler does not act on: which are harmless, and what to do instead of the others."""

from typing import Any

from hostler.protocol.foreign_fields import Neutral, empty, never

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


def _false(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value is False


RESPONSES_UNSUPPORTED: dict[str, tuple[Neutral, str]] = {
    "access_programs": (empty, "leave it out"),
    "background": (_false, "leave it out, and stream the answer or wait for it"),
    "background_options": (empty, "leave it out, and stream the answer or wait for it"),
    "context_management": (empty, 'leave it out; "truncation": "auto" drops the oldest items'),
    "conversation": (never, "nothing is stored here: send the items of the conversation in input"),
    "image": (empty, "leave it out and send text"),
    "moderation": (never, "leave it out"),
    "previous_response_id": (never, "nothing is stored here: send the earlier items in input"),
    "prompt": (never, "nothing is stored here: send instructions and input"),
}
"""By field: when its value asks for nothing, and what to do where it asks for something."""
