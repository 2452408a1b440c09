"""JSON that came with a model: written by anybody, read without trust."""

import json
from pathlib import Path
from typing import Any

MAX_DEPTH = 64
"""What nests more deeply may end whoever follows it down."""


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    return parse_json(path.read_bytes())


def parse_json(content: bytes) -> dict[str, Any]:
    """
    Raises:
        ValueError: it is no JSON object, or one that is nested more deeply than `MAX_DEPTH`.
    """
    parsed = parse_value(content)
    if not isinstance(parsed, dict):
        raise ValueError("no JSON object")
    return parsed


def parse_value(content: bytes) -> Any:
    """
    Raises:
        ValueError: it is no JSON, or nested more deeply than `MAX_DEPTH`.
    """
    try:
        parsed = json.loads(content)
    except RecursionError as exc:
        raise ValueError("JSON that is nested too deeply") from exc
    _check_depth(parsed, MAX_DEPTH)
    return parsed


def _check_depth(value: object, max_depth: int) -> None:
    """
    Raises:
        ValueError: it is nested more deeply.
    """
    if not isinstance(value, dict | list):
        return
    if not max_depth:
        raise ValueError("JSON that is nested too deeply")
    for part in value.values() if isinstance(value, dict) else value:
        _check_depth(part, max_depth - 1)
