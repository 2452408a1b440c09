"""How much a model is to think, as the dialects ask for it: one rule for all of them."""

from typing import Literal

from hostler.types import Reasoning

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""OpenAI's levels; Anthropic's are among them."""

_LEVELS: dict[Effort, Literal["low", "medium", "high"]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""To those that chat templates know. `none` is not one of them but a switch."""


def reasoning_of(effort: Effort | None, *, is_on: bool | None = None) -> Reasoning:
    """`is_on`: what a field of its own says of thinking; `None`: nothing. To switch it off leaves no effort."""
    if is_on is False or effort == "none":
        return Reasoning(is_on=False)
    return Reasoning(is_on=is_on, effort=None if effort is None else _LEVELS[effort])


def reasoning_of_effort(effort: Effort | None) -> Reasoning:
    """Where the effort is all that is said of thinking: any but `none` switches it on."""
    return reasoning_of(effort, is_on=None if effort is None else effort != "none")
