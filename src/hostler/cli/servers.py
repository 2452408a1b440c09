"""How commands reach a server."""

from hostler.client import Hostler
from hostler.client.connection import DEFAULT_TIMEOUT_S

LOOK_TIMEOUT_S = 30.0
"""For what loads nothing: a server that takes longer is in trouble."""


def connect(url: str, api_key: str | None, timeout_s: float = DEFAULT_TIMEOUT_S) -> Hostler:
    """Whoever sits at a terminal wants to know at once, so nothing is tried again."""
    return Hostler(url, api_key=api_key, timeout_s=timeout_s, max_retries=0)
