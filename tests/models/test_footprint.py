"""The rules for a model's memory."""

from pathlib import Path

import pytest

from hostler.memory import FootprintBasis
from hostler.models import footprint as rules
from hostler.models.footprint import Inspection, Measurement, bytes_per_number, footprint_of
from hostler.models.model_shape import ModelShape
from hostler.models.weights_header import StoredNumbers
from hostler.types import ModelType
from tests.models.specs import spec_of

GIB = 2**30
SHAPE = ModelShape(
    cache_numbers_per_token=2**16,
    max_positions=2048,
    hidden_size=1024,
    intermediate_size=4096,
    num_heads=16,
    vocab_size=32_000,
)
ONE_SEQUENCE = 2048 * 2**16 * 2
LONG = {"max_length": 10_000, "max_num_seqs": 32}


def inspection(num_floats: int = 10**9, shape: ModelShape | None = SHAPE) -> Inspection:
    return Inspection(FootprintBasis.HEADERS, StoredNumbers(num_floats), shape, "weights")


def test_weights_take_what_their_numbers_take_in_the_format_of_the_load() -> None:
    found = Inspection(FootprintBasis.HEADERS, StoredNumbers(num_floats=1000, other_bytes=7), SHAPE)
    assert footprint_of(spec_of("a/b"), found, "cpu", 4, None).weights_bytes == 4007
    assert footprint_of(spec_of("a/b"), found, "cuda:0", 2, None).weights_bytes == 2007


@pytest.mark.parametrize(
    ("size", "num_parameters"), [("117M", 117 * 10**6), ("1.3B", 1_300_000_000), ("7 b", 7 * 10**9), ("large", 10**9)]
)
def test_where_nothing_is_known_the_size_counts_as_a_number_of_parameters(size: str, num_parameters: int) -> None:
    footprint = footprint_of(spec_of("a/b", size=size), Inspection(FootprintBasis.SIZE), "cpu", 2, None)
    assert footprint.weights_bytes == 2 * num_parameters
    assert footprint.basis is FootprintBasis.SIZE


def test_keys_and_values_get_as_much_as_the_weights_take() -> None:
    assert footprint_of(spec_of("a/b", **LONG), inspection(), "cpu", 2, None).kv_cache_bytes == 2 * 10**9


def test_keys_and_values_of_small_models_get_a_gib() -> None:
    assert footprint_of(spec_of("a/b", **LONG), inspection(1000), "cpu", 2, None).kv_cache_bytes == GIB


def test_keys_and_values_get_no_more_than_all_sequences_can_use() -> None:
    spec = spec_of("a/b", max_length=10_000, max_num_seqs=3)
    assert footprint_of(spec, inspection(), "cpu", 2, None).kv_cache_bytes == 3 * ONE_SEQUENCE


def test_keys_and_values_have_room_for_one_whole_sequence_whatever_is_set() -> None:
    spec = spec_of("a/b", **LONG, kv_cache_bytes=1000)
    assert footprint_of(spec, inspection(), "cpu", 2, None).kv_cache_bytes == ONE_SEQUENCE


def test_what_is_set_for_keys_and_values_holds() -> None:
    spec = spec_of("a/b", **LONG, kv_cache_bytes=300_000_000)
    assert footprint_of(spec, inspection(), "cpu", 2, None).kv_cache_bytes == 300_000_000


def test_a_registered_length_below_the_models_own_limit_counts() -> None:
    spec = spec_of("a/b", max_length=100, max_num_seqs=1)
    # 112 tokens: whole blocks of 16.
    assert footprint_of(spec, inspection(), "cpu", 2, None).kv_cache_bytes == 112 * 2**16 * 2


def test_models_without_keys_take_no_cache() -> None:
    shape = ModelShape(0, None, 32, 64, 1, 100)
    assert footprint_of(spec_of("a/b"), inspection(shape=shape), "cpu", 2, None).kv_cache_bytes == 0


def test_what_was_measured_on_a_cpu_stands_for_weights_and_process() -> None:
    estimated = footprint_of(spec_of("a/b", **LONG), inspection(), "cpu", 2, None)
    footprint = footprint_of(spec_of("a/b", **LONG), inspection(), "cpu", 2, Measurement(123_456_789, 0))
    assert footprint.weights_bytes + footprint.process_bytes == 123_456_789
    assert footprint.basis is FootprintBasis.MEASURED
    assert footprint.kv_cache_bytes == estimated.kv_cache_bytes
    assert footprint.workspace_bytes == estimated.workspace_bytes


def test_what_was_measured_on_a_gpu_stands_for_its_weights_and_the_host_s_process() -> None:
    footprint = footprint_of(spec_of("a/b"), inspection(), "cuda:1", 2, Measurement(700_000_000, 2_100_000_000))
    assert (footprint.weights_bytes, footprint.process_bytes) == (2_100_000_000, 700_000_000)


def test_a_gpu_s_context_is_counted_with_and_without_a_measurement() -> None:
    on_cpu = footprint_of(spec_of("a/b"), inspection(), "cpu", 2, None)
    for measured in (None, Measurement(700_000_000, 2_100_000_000)):
        on_gpu = footprint_of(spec_of("a/b"), inspection(), "cuda:0", 2, measured)
        assert on_gpu.workspace_bytes - on_cpu.workspace_bytes == rules.CUDA_CONTEXT_BYTES


def test_more_sequences_and_longer_steps_take_more_workspace() -> None:
    little = footprint_of(spec_of("a/b", max_num_seqs=2), inspection(), "cpu", 2, None)
    wide = footprint_of(spec_of("a/b", max_num_seqs=64), inspection(), "cpu", 2, None)
    long = footprint_of(spec_of("a/b", max_num_seqs=2, max_num_batched_tokens=4096), inspection(), "cpu", 2, None)
    assert little.workspace_bytes < min(wide.workspace_bytes, long.workspace_bytes)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse avx512f amx_bf16 amx_tile\n", 2),
        ("processor : 0\nflags\t\t: fpu avx512_bf16\n", 2),
        ("processor : 0\nFeatures\t: fp asimd svebf16\n", 2),
        ("processor : 0\nflags\t\t: fpu sse avx2\nmodel name : bf16\n", 4),
        ("", 4),
    ],
)
def test_auto_on_a_cpu_is_two_bytes_where_it_computes_bfloat16(tmp_path: Path, cpuinfo: str, expected: int) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert bytes_per_number("auto", "cpu", tmp_path / "cpuinfo") == expected
    assert bytes_per_number("auto", "cuda:0", tmp_path / "cpuinfo") == 2


def test_a_machine_that_does_not_tell_is_taken_for_one_that_does_not_compute_bfloat16(tmp_path: Path) -> None:
    assert bytes_per_number("auto", "cpu", tmp_path / "nothing") == 4


def test_a_format_that_is_named_counts_on_every_device() -> None:
    assert [bytes_per_number(name, "cpu") for name in ("float32", "float16", "bfloat16")] == [4, 2, 2]
    assert bytes_per_number("float32", "cuda:0") == 4


@pytest.mark.parametrize("model_type", [ModelType.EMBEDDING, ModelType.RERANKER, ModelType.CLASSIFIER])
def test_a_model_that_writes_nothing_keeps_no_keys(model_type: ModelType) -> None:
    spec = spec_of("a/b", **LONG, type=model_type)
    reads = footprint_of(spec, inspection(), "cpu", 4, None)
    writes = footprint_of(spec_of("a/b", **LONG), inspection(), "cpu", 4, None)
    assert reads.kv_cache_bytes == 0
    assert reads.weights_bytes == writes.weights_bytes
    # Of one text of full length, which no step is too small for.
    assert reads.workspace_bytes > 2048 * SHAPE.hidden_size * 4


def test_a_model_that_reads_is_kept_in_float32_on_a_cpu(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : avx512_bf16\n")
    assert bytes_per_number("auto", "cpu", cpuinfo) == 2
    assert bytes_per_number("auto", "cpu", cpuinfo, is_pooling=True) == 4
    assert bytes_per_number("auto", "cuda:0", cpuinfo, is_pooling=True) == 2
    assert bytes_per_number("bfloat16", "cpu", cpuinfo, is_pooling=True) == 2
