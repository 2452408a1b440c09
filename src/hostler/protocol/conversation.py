"""The `context` of the native chat: earlier turns in a string that only Hostler reads."""

import base64
import binascii
from typing import Literal

import msgspec

from hostler.errors import InvalidRequestError
from hostler.types import ChatMessage

PREFIX = "hostler-context-1:"
MAX_CONTEXT_CHARS = 2**20
MAX_TURNS = 2048

_Turn = tuple[Literal["system", "user", "assistant"], str]
_decoder = msgspec.json.Decoder(list[_Turn])


def encode_context(turns: list[ChatMessage]) -> str:
    """Turns as the string that `decode_context` reads, without what tools said; more than it takes, and the oldest are
    left out."""
    spoken = [(turn.role, turn.content) for turn in turns if turn.role != "tool"]
    content = msgspec.json.encode(spoken[-MAX_TURNS:])
    return PREFIX + base64.urlsafe_b64encode(content).decode()


def decode_context(context: str) -> list[ChatMessage]:
    """The turns of a context; a text from elsewhere is one earlier turn of the user.

    It is not signed: whoever can send a forged one can send the same turns honestly.

    Raises:
        InvalidRequestError: it begins like a context and cannot be read as one.
    """
    if len(context) > MAX_CONTEXT_CHARS:
        raise InvalidRequestError(
            f"context has {len(context)} characters, more than {MAX_CONTEXT_CHARS}; start a new conversation",
            param="context",
        )
    if not context.startswith(PREFIX):
        return [ChatMessage(role="user", content=context)] if context.strip() else []
    try:
        turns = _decoder.decode(base64.b64decode(context[len(PREFIX) :], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as exc:
        raise InvalidRequestError(
            "context is damaged; send it as the last answer returned it, or leave it out", param="context"
        ) from exc
    if len(turns) > MAX_TURNS:
        raise InvalidRequestError(f"context has {len(turns)} turns, more than {MAX_TURNS}", param="context")
    return [ChatMessage(role=role, content=content) for role, content in turns]
