"""What the native interface tells about the stable: plans, events, and how a model is."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

Verdict = Literal["loaded", "loading", "fits", "fits_after_eviction", "waits", "never_fits"]
Amounts = dict[str, int]
"""By resource: bytes of `host` and of accelerators (`cuda:0`), and `places` among `max_concurrent_models`."""


class FootprintParts(TypedDict):
    """What a model takes, in bytes."""

    weights_bytes: int
    kv_cache_bytes: int
    """Of keys and values, at most."""
    workspace_bytes: int
    """What a step needs besides."""
    process_bytes: int
    """Of the host's memory, whatever the device."""
    basis: Literal["measured", "headers", "files", "size"]
    """What that rests on: an earlier load, the headers of the weights, the sizes of the files, or the registry's
    `size`."""


class PlanVictim(TypedDict):
    """A model that would leave."""

    model_id: str
    reason: str
    frees: Amounts
    idle_seconds: float
    load_seconds: float | None
    """What bringing it back would take; null where that is not known."""


class PlanAnswer(TypedDict):
    model_id: str
    verdict: Verdict
    text: str
    """The same in a sentence."""
    device: str
    """Where it is or would go."""
    needs: Amounts
    footprint: FootprintParts
    budget: Amounts
    """What models may take in all."""
    free: Amounts
    """What of the budget is promised to nobody."""
    available: Amounts
    """What can be had now of each memory, whoever has the rest: models, or other programs."""
    lacking: Amounts
    """What is missing and cannot be had by evictions now."""
    victims: list[PlanVictim]
    """Who would leave for it."""
    in_flight: dict[str, int]
    """Requests that the models in memory work on, by model id."""
    expected_seconds: float | None
    """Until it answers; null where nothing is known or others must end first."""


class ModelEvent(TypedDict):
    """One thing that happened to a model, or how far its load has come."""

    number: int | None
    """Counts from 1; null for `progress`, which is told as it happens and not kept."""
    time: float
    """Unix seconds."""
    kind: Literal[
        "queued",
        "waiting",
        "loading",
        "short",
        "loaded",
        "load_failed",
        "leaving",
        "unloaded",
        "died",
        "refused",
        "progress",
    ]
    model_id: str
    text: str
    """What happened, and why."""
    facts: dict[str, str | int | float | None]
    """The same for programs; of `progress`: stage, done_bytes, total_bytes, percent, eta_s."""


class EventsPage(TypedDict):
    events: list[ModelEvent]
    """The oldest first."""
    last: int
    """To send as `after` for those that follow."""


class DeepCheck(TypedDict):
    """One token that the model has just answered."""

    seconds: float
    """From the queue to the token."""


class ModelHealth(TypedDict):
    model_id: str
    state: Literal["unloaded", "loading", "ready", "unloading", "failed"]
    num_leases: int
    """Requests that it works on."""
    num_waiting: int
    """Requests that wait for it to be loaded."""
    reserved: Amounts
    """Empty while it is not in memory."""
    last_error: str | None
    """Why its last load failed or its process died; null once it is loaded again."""
    retry_after_s: float | None
    """After a failure: for how long requests are still refused."""
    deep: NotRequired[DeepCheck]
    """There when it was asked for."""
