"""Fields of other makers' interfaces that Hostler does not act on, left out or refused by name."""

from collections.abc import Callable, Mapping, Set
from typing import Any

from hostler.errors import UnsupportedParameterError

Neutral = Callable[[Any, dict[str, Any]], bool]
"""Whether a value, seen beside the whole body, asks for nothing."""


def never(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return False


def empty(value: Any, body: dict[str, Any]) -> bool:  # noqa: ARG001
    return value in ("", [], {}) and not isinstance(value, bool)


def without_foreign_fields(body: Any, without_effect: Set[str], unsupported: Mapping[str, tuple[Neutral, str]]) -> Any:
    """The body less what changes nothing. `unsupported`: by field, which values ask for nothing, and the remedy.

    Raises:
        UnsupportedParameterError: a field of `unsupported` asks for something.
    """
    if not isinstance(body, dict):
        return body
    for name, (is_neutral, remedy) in unsupported.items():
        value = body.get(name)
        if value is not None and not is_neutral(value, body):
            raise UnsupportedParameterError(f"{name} is not supported by this server; {remedy}", param=name)
    return {name: value for name, value in body.items() if name not in without_effect and name not in unsupported}


def refuse_kind(kind: object, known: Set[str], param: str, what: str, remedy: str) -> None:
    """
    Raises:
        UnsupportedParameterError: it is the `type` of something that exists and is not done here.
    """
    if isinstance(kind, str) and kind not in known:
        raise UnsupportedParameterError(
            f"{what} of type {kind[:40]!r} are not supported by this server; {remedy}", param=param
        )
