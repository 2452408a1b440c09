"""Reading the beginning of GGUF files, against files that the format's own library writes."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from hostler.models.gguf_header import read_gguf_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_rope_freq_base(10000.0)
    writer.add_token_list([f"token{number}" for number in range(300)])
    writer.add_token_scores([0.5] * 5000)
    writer.add_array("llama.attention.head_count_kv", [2, 4])
    writer.add_bool("tiny.flag", True)
    writer.add_tensor("a", np.zeros((3, 5), dtype=np.float32))
    # 64 numbers that are stored in 34 bytes a block of 32.
    writer.add_tensor(
        "b", np.zeros((2, 34), dtype=np.uint8), raw_shape=(2, 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_weights_are_counted_however_few_bits_they_are_stored_in(file: Path) -> None:
    assert read_gguf_header(file).num_weights == 15 + 64


def test_metadata_are_values_and_lengths_of_long_arrays(file: Path) -> None:
    metadata = read_gguf_header(file).metadata
    assert metadata["general.architecture"] == "llama"
    assert metadata["llama.context_length"] == 2048
    assert metadata["llama.rope.freq_base"] == 10000.0
    assert metadata["llama.attention.head_count_kv"] == [2, 4]
    assert metadata["tiny.flag"] is True
    assert metadata["tokenizer.ggml.tokens"] == 300
    assert metadata["tokenizer.ggml.scores"] == 5000


@pytest.mark.parametrize("length", [0, 3, 8, 30, 100, 2000, 5000])
def test_a_file_that_was_cut_off_is_a_value_error(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"."):
        read_gguf_header(file)


@pytest.mark.parametrize(
    "content",
    [
        b"GGUF" + struct.pack(">IQQ", 3, 1, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
        b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99),
        b"GGUF" + struct.pack("<IQQQ1sII", 3, 1, 0, 1, b"t", 2**31, 0),
    ],
    ids=["big-endian", "many tensors", "long key", "unknown type", "many dimensions"],
)
def test_damage_is_a_value_error_and_costs_no_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_gguf_header(path)
