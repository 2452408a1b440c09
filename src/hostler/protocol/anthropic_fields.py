"""Fields of `/v1/messages` that Hostler does not act on: which are harmless, and what to do instead of the others."""

from hostler.protocol.foreign_fields import Neutral, never

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


MESSAGES_UNSUPPORTED: dict[str, tuple[Neutral, str]] = {
    "container": (never, "nothing is run here: leave it out"),
    "inference_geo": (never, "leave it out: the answer is computed where this server is"),
}
"""By field: when its value asks for nothing, and what to do where it asks for something."""
