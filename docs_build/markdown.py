"""Pieces of Markdown."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

_GENERATED = "<!-- Generated from the code by `make reference`; changes here are lost. -->"


def document(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([_GENERATED, f"# {title}", *(part.strip("\n") for part in parts if part)]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown; nothing in them ends a cell or a row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def as_json(value: Any) -> str:
    return code(json.dumps(value, ensure_ascii=False))


def anchor(heading: str) -> str:
    """What a heading of one word is linked by, in every renderer alike."""
    return heading.lower()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
