"""Fields of `/v1/messages` that Hostler does not act on: which are harmless, and what to do instead of the others."""

from typing import Any

from hostler.protocol.openai_fields import Neutral

MESSAGES_WITHOUT_EFFECT = frozenset(
    {
        "cache_control",
        "diagnostics",
        "metadata",
        "service_tier",
        "speed",
        "user_profile_id",
        "workspace_id",
    }
)
"""Bookkeeping and hints; what is kept of prompts is found without."""


def _never(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return False


MESSAGES_UNSUPPORTED: dict[str, tuple[Neutral, str]] = {
    "container": (_never, "nothing is run here: leave it out"),
    "inference_geo": (_never, "leave it out: the answer is computed where this server is"),
}
"""By field: when its value asks for nothing, and what to do where it asks for something."""
