"""JSON that came with a model."""

import json
from pathlib import Path

import pytest

from hostler.models.json_files import MAX_DEPTH, parse_value, read_json


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def test_one_object_is_read_as_transformers_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": [1.5, None, float("inf")], "b": "ä"}))
    assert read_json(path) == {"a": [1.5, None, float("inf")], "b": "ä"}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"5", b"{", b"\xff", nested(MAX_DEPTH + 1), nested(100_000), b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_object_of_bounded_depth_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_json(path)


def test_depth_counts_and_size_does_not() -> None:
    assert parse_value(nested(MAX_DEPTH))
    assert len(parse_value(b"[" + b"{}," * 100_000 + b"{}]")) == 100_001
