"""Reads streams of events that have names."""

import json
from typing import Any


def named_events(text: str) -> list[dict[str, Any]]:
    """The data of all events, after a check that each is named as it says itself."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(": "):
            continue
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found
