"""What a GGUF file says of its model before the weights begin (the format: ggml's docs/gguf.md).

Written out because the `gguf` package needs numpy, which the gateway does without.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type numbers of the format → codes of `struct`."""
_STRING, _ARRAY = 8, 9
_MAX_STRING_BYTES = 2**24
_MAX_ITEMS = 2**24
_MAX_KEPT_ITEMS = 4096
_VERSIONS = (2, 3)


@dataclass(frozen=True)
class GgufHeader:
    metadata: dict[str, Any]
    """By the file's keys. Of arrays of text and of long ones only the length is kept."""
    num_weights: int
    """Numbers in all tensors, however few bits each is stored in."""


def read_gguf_header(path: Path) -> GgufHeader:
    """Read metadata and table of tensors.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or of a version or byte order that is not known.
    """
    with path.open("rb") as file:
        try:
            return _Reader(file).header()
        except (struct.error, UnicodeDecodeError, KeyError) as exc:
            raise ValueError("no GGUF header") from exc


class _Reader:
    """Takes one value after the other from an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def header(self) -> GgufHeader:
        if self._file.read(4) != b"GGUF" or self._number("I") not in _VERSIONS:
            raise ValueError("no GGUF file of a known version and byte order")
        num_tensors, num_entries = self._number("Q"), self._number("Q")
        _check_count(num_tensors)
        _check_count(num_entries)
        metadata = {self._text(): self._value(self._number("I")) for _ in range(num_entries)}
        return GgufHeader(metadata, sum(self._num_numbers_of_tensor() for _ in range(num_tensors)))

    def _num_numbers_of_tensor(self) -> int:
        self._skip_text()
        num_dimensions = self._number("I")
        if num_dimensions > 8:
            raise ValueError("a tensor of too many dimensions")
        shape = [self._number("Q") for _ in range(num_dimensions)]
        self._number("I")  # how its numbers are stored
        self._number("Q")  # where
        return math.prod(shape)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array(self._number("I"), self._number("Q"))
        return self._number(_SCALARS[kind])

    def _array(self, kind: int, num_items: int) -> Any:
        _check_count(num_items)
        if kind == _STRING:
            for _ in range(num_items):
                self._skip_text()
            return num_items
        code = _SCALARS[kind]
        data = self._file.read(struct.calcsize(f"<{num_items}{code}"))
        return list(struct.unpack(f"<{num_items}{code}", data)) if num_items <= _MAX_KEPT_ITEMS else num_items

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._file.read(struct.calcsize(f"<{code}")))[0]

    def _text(self) -> str:
        return self._file.read(self._text_length()).decode("utf-8")

    def _skip_text(self) -> None:
        length = self._text_length()
        if len(self._file.read(length)) < length:
            raise ValueError("the file ends early")

    def _text_length(self) -> int:
        length: int = self._number("Q")
        if length > _MAX_STRING_BYTES:
            raise ValueError(f"a text of {length} bytes")
        return length


def _check_count(count: int) -> None:
    if count > _MAX_ITEMS:
        raise ValueError(f"{count} items")
