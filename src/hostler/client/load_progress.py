"""How far a load has come, as the server's events tell it."""

from collections.abc import Callable
from dataclasses import dataclass

from hostler.protocol.stable_answers import ModelEvent

Fact = str | int | float | None


@dataclass(frozen=True)
class LoadProgress:
    """`None` is what cannot be told."""

    stage: str
    """What is being done, such as `downloading`, `converting` or `loading`; or what happened: `queued`, `waiting` for
    room, `loaded`."""
    text: str
    """The same for people."""
    done_bytes: int | None = None
    total_bytes: int | None = None
    """Of the stage."""
    percent: int | None = None
    eta_s: float | None = None
    """Seconds until it is loaded, or downloaded."""


OnProgress = Callable[[LoadProgress], None]


def progress_of(event: ModelEvent) -> LoadProgress:
    facts = event["facts"]
    stage = facts.get("stage")
    percent, eta_s = _number(facts.get("percent")), _number(facts.get("eta_s"))
    return LoadProgress(
        stage=stage if isinstance(stage, str) else event["kind"],
        text=event["text"],
        done_bytes=_bytes(facts.get("done_bytes")),
        total_bytes=_bytes(facts.get("total_bytes")),
        percent=None if percent is None else int(percent),
        eta_s=eta_s,
    )


def _number(fact: Fact) -> float | None:
    return fact if isinstance(fact, int | float) else None


def _bytes(fact: Fact) -> int | None:
    """0 is told where nothing is known."""
    return int(fact) if isinstance(fact, int | float) and fact > 0 else None
