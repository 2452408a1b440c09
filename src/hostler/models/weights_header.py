"""How many numbers a model's weights are, from the headers of safetensors files: nothing of the weights is read."""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

MAX_HEADER_BYTES = 100_000_000
"""The format's own bound."""

_MAX_DIMENSIONS = 16
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_TIED_OUTPUT = "lm_head.weight"

Size = Annotated[int, msgspec.Meta(ge=0)]
ReadAt = Callable[[int, int], bytes]
"""From an offset, so many bytes of a file."""


@dataclass(frozen=True)
class StoredNumbers:
    """What weights consist of, apart from the format that a load brings them into."""

    num_floats: int = 0
    """Numbers that are brought into the model's format."""
    other_bytes: int = 0
    """Of all others, which stay as they are stored: integers, and numbers of fewer bits."""

    def __add__(self, other: "StoredNumbers") -> "StoredNumbers":
        return StoredNumbers(self.num_floats + other.num_floats, self.other_bytes + other.other_bytes)

    def bytes_in(self, bytes_per_float: int) -> int:
        """In memory."""
        return self.num_floats * bytes_per_float + self.other_bytes


class _Tensor(msgspec.Struct):
    """As a header has it."""

    dtype: str
    shape: Annotated[list[Size], msgspec.Meta(max_length=_MAX_DIMENSIONS)]
    data_offsets: tuple[Size, Size]


_decoder = msgspec.json.Decoder(_Tensor)


def count_numbers(read: ReadAt, *, is_output_tied: bool = False) -> StoredNumbers:
    """Count what one safetensors file holds.

    `is_output_tied`: the output layer is the embedding, so that a copy of it in the file is not held.

    Raises:
        ValueError: it is no safetensors file.
    """
    try:
        (length,) = struct.unpack("<Q", read(0, 8))
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"the header would have {length} bytes")
        text = read(8, length)
        if len(text) < length:
            raise ValueError("the file ends within its header")
        tensors = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        tensors.pop("__metadata__", None)
        if is_output_tied and len(tensors) > 1:
            tensors.pop(_TIED_OUTPUT, None)
        return sum((_count(_decoder.decode(tensor)) for tensor in tensors.values()), StoredNumbers())
    except (struct.error, RecursionError) as exc:
        raise ValueError("no safetensors header") from exc


def count_numbers_in(files: list[Path], *, is_output_tied: bool = False) -> StoredNumbers:
    """The same for files of this machine, together.

    Raises:
        OSError: one cannot be read.
        ValueError: one is no safetensors file.
    """
    total = StoredNumbers()
    for path in files:
        with path.open("rb") as file:

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            total += count_numbers(read, is_output_tied=is_output_tied)
    return total


def _count(tensor: _Tensor) -> StoredNumbers:
    shape = tensor.shape
    start, end = tensor.data_offsets
    if tensor.dtype not in _FLOATS:
        return StoredNumbers(other_bytes=max(0, end - start))
    if len(shape) == 4 and shape[:2] == [1, 1] and shape[2] == shape[3]:
        # A causal mask, which old checkpoints of GPT-2 and its kin have among their weights, a tenth of the file.
        return StoredNumbers()
    return StoredNumbers(num_floats=math.prod(shape))
