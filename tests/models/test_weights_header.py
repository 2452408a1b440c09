"""Counting the numbers of safetensors files by their headers."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hostler.models.weights_header import StoredNumbers, count_numbers, count_numbers_in


def header_of(tensors: object) -> bytes:
    """A file that ends after its header."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def count(content: bytes, *, is_output_tied: bool = False) -> StoredNumbers:
    return count_numbers(lambda offset, length: content[offset : offset + length], is_output_tied=is_output_tied)


def test_numbers_of_a_real_file_are_counted_apart_from_their_format(tmp_path: Path) -> None:
    tensors = {
        "a": torch.zeros(3, 5),
        "b": torch.zeros(7, dtype=torch.bfloat16),
        "c": torch.zeros(2, dtype=torch.float64),
        "indices": torch.zeros(4, dtype=torch.int64),
        "mask": torch.zeros(6, dtype=torch.bool),
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    numbers = count_numbers_in([tmp_path / "model.safetensors"])
    assert numbers == StoredNumbers(num_floats=15 + 7 + 2, other_bytes=32 + 6)
    assert numbers.bytes_in(2) == 48 + 38


def test_shards_are_counted_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for path in paths:
        save_file({path.name: torch.zeros(10)}, path)
    assert count_numbers_in(paths) == StoredNumbers(num_floats=20)


def test_a_tied_output_layer_is_not_counted_beside_the_embedding() -> None:
    tensors = {
        "embed.weight": {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 32]},
        "lm_head.weight": {"dtype": "F16", "shape": [4, 4], "data_offsets": [32, 64]},
    }
    assert count(header_of(tensors)).num_floats == 32
    assert count(header_of(tensors), is_output_tied=True).num_floats == 16


def test_masks_that_old_checkpoints_carry_are_no_weights() -> None:
    tensors = {
        "h.0.attn.bias": {"dtype": "F32", "shape": [1, 1, 8, 8], "data_offsets": [0, 256]},
        "h.0.attn.c_attn.bias": {"dtype": "F32", "shape": [24], "data_offsets": [256, 352]},
    }
    assert count(header_of(tensors)) == StoredNumbers(num_floats=24)


def test_numbers_of_few_bits_keep_their_size() -> None:
    tensors = {"a": {"dtype": "F8_E4M3", "shape": [100], "data_offsets": [0, 100]}}
    assert count(header_of(tensors)).bytes_in(4) == 100


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 5) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
        header_of([]),
        header_of({"a": {}}),
        header_of({"a": {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]}}),
        header_of({"a": {"dtype": "F32", "shape": [10**9, [1]], "data_offsets": [0, 4]}}),
        header_of({"a": {"dtype": "F32", "shape": [10**9, "a"], "data_offsets": [0, 4]}}),
        header_of({"a": {"dtype": "F32", "shape": [2] * 100_000, "data_offsets": [0, 4]}}),
        header_of({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
        header_of({"a": {"dtype": "I8", "shape": [1], "data_offsets": [0, float("nan")]}}),
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
    ids=[
        *("empty", "short", "huge", "cut off", "no text", "a list", "no shape", "no dimensions", "a list by a billion"),
        *("a text by a billion", "dimensions without end", "less than none", "no number", "too deep"),
    ],
)
def test_what_is_no_safetensors_file_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        count(content)
