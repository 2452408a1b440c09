"""A key that lets a caller in: what it allows, and how it is recognised without being kept."""

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

PREFIX = "hostler_"
"""Begins every key that is made here, so that scanners for leaked secrets know one when they see it."""


class Scope(StrEnum):
    """What a route asks of its caller. None of them includes another."""

    INFERENCE = "inference"
    """Asks a model for something."""
    READ = "read"
    """Looks: at models, events, the machine, metrics."""
    ADMIN = "admin"
    """Changes the server for everybody: loads, unloads, reloads."""


@dataclass(frozen=True)
class CallerLimits:
    """What one caller may take; `None`: as much as it likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompts and answers together."""
    concurrent_requests: int | None = None
    """Requests to models that are not answered to the end."""
    queued_requests: int | None = None
    """Those of them that have no token yet."""


@dataclass(frozen=True)
class Key:
    """One key. The secret itself is not in it."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]
    models: tuple[str, ...] | None = None
    """Patterns of ids or Hugging Face names that it may use, with `*` and `?`. `None`: all."""
    expires_at: float | None = None
    """Unix seconds."""
    created_at: float | None = None
    limits: CallerLimits = field(default_factory=CallerLimits)
    """What is `None` here is as the server's settings have it."""
    weight: float = 1.0
    """Its share of a busy model, beside those of others."""

    def may_use(self, *names: str) -> bool:
        """Whether a model of these names, all of one, is for it."""
        if self.models is None:
            return True
        return any(fnmatchcase(name.casefold(), pattern.casefold()) for name in names for pattern in self.models)


def new_secret() -> str:
    """A key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: bytes) -> bytes:
    """SHA-256, which is fast on purpose.

    A slow hash protects a password, since few passwords are likely and each guess then costs. Of 256 random bits no
    share worth naming can be guessed at any speed, and every request has to pay for the hash.
    """
    return hashlib.sha256(secret).digest()
