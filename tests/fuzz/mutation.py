"""Changes inputs at random: JSON as values, anything else as bytes."""

import json
import random
from collections.abc import Sequence
from typing import Any

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.1, -0.0, 1e308, float("nan")),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "🜁",
        "a" * 2000,
        "../../etc/passwd",
        "{{ 7*7 }}",
        "<script>",
        "%00",
        "1" * 400,
    ),
    *([], {}, [[]], [{}], {"": ""}, [None] * 300, {str(i): i for i in range(300)}),
)
_BYTES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"[" * 300,
    b"{" * 300,
    b'"',
    b"\\",
    b"\r\n",
    b"\n\n",
    b"9" * 400,
    b"-",
    b":",
)


def mutate(data: bytes, rng: random.Random, words: Sequence[str] = (), *, is_json: bool = False) -> bytes:
    """One to four changes."""
    if is_json and rng.random() < 0.8:
        return mutate_json(data, rng, words)
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randint(0, len(content))
        end = min(len(content), start + rng.choice((0, 1, 1, 2, 8, 64)))
        word = rng.choice(words).encode("utf-8", "surrogatepass") if words and rng.random() < 0.5 else b""
        new = rng.choice(
            (b"", word, rng.choice(_BYTES), rng.randbytes(rng.randint(1, 8)), bytes(content[start:end]) * 3)
        )
        content[start:end] = new
    return bytes(content)


def mutate_json(data: bytes, rng: random.Random, words: Sequence[str] = ()) -> bytes:
    """What is no JSON becomes some."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = {}
    for _ in range(rng.randint(1, 4)):
        value = _changed(value, rng, words)
    return json.dumps(value).encode()


def _changed(value: Any, rng: random.Random, words: Sequence[str]) -> Any:
    if isinstance(value, dict | list) and rng.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys or rng.random() < 0.2:
            _grow(value, rng, words)
        elif rng.random() < 0.15:
            del value[rng.choice(keys)]
        else:
            key = rng.choice(keys)
            value[key] = _changed(value[key], rng, words)
        return value
    if rng.random() < 0.15:
        for _ in range(rng.choice((1, 2, 70))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        return value
    return _leaf(value, rng, words)


def _grow(value: dict[str, Any] | list[Any], rng: random.Random, words: Sequence[str]) -> None:
    if isinstance(value, dict):
        value[rng.choice(words) if words else "x"] = _leaf(None, rng, words)
    elif value:
        value.append(rng.choice(value))
    else:
        value.append(_leaf(None, rng, words))


def _leaf(value: Any, rng: random.Random, words: Sequence[str]) -> Any:
    kind = rng.random()
    if isinstance(value, str) and kind < 0.2:
        return value + rng.choice(("x", " ", "\ud83d", "\n", value))
    if isinstance(value, int) and abs(value) < 2**200 and kind < 0.4:
        return rng.choice((value + 1, -value, value * 2**20, float(value), str(value)))
    if words and kind < 0.4:
        return rng.choice(words)
    # A copy: what is put in may be changed later.
    return json.loads(json.dumps(rng.choice(HOSTILE)))
