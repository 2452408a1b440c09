"""The memory that a model takes, by rules from what is known of it. All sizes are bytes unless said otherwise."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from hostler.memory import Footprint, FootprintBasis
from hostler.models.model_shape import ModelShape
from hostler.models.weights_header import StoredNumbers
from hostler.registry import ModelSpec
from hostler.types import ModelFacts

PROCESS_BYTES = 40 * 2**20
"""Private memory of a worker beside model and tokenizer. Measured just after loads of tiny models: 35 to 39 MB."""

TOKENIZER_BYTES_PER_TOKEN = 640
"""Of the vocabulary. Measured: the worker of SmolLM2-135M (269 MB, 49,152 tokens) had 339 MB after its load."""

CUDA_PROCESS_BYTES = 1536 * 2**20
"""What a worker takes of the host where it computes on a GPU: the driver's context and torch's kernels. A guess
that is meant to be too high, not a measurement; the first load puts a measured value into its place."""

CUDA_CONTEXT_BYTES = 512 * 2**20
"""Of the GPU's memory that a process takes before it computes anything. A guess as well, and no load
corrects it: a worker measures what torch holds."""

LEAST_KV_CACHE_BYTES = 2**30
"""Room for keys and values however small the weights, as far as sequences can use it."""

BLOCK_SIZE = 16
"""Tokens; the engine counts in blocks of so many."""

_COLUMN_SLACK = 128
"""Tokens that each sequence's keys and values are allocated beyond their need, as in the engine's caches."""
_GROWTH_SLACK = 256
"""Tokens of each sequence that buffers leave behind as gaps when they grow, no more than all keys and values again.
Measured with 32 sequences of 524 tokens of SmolLM2-135M: a worker grew by 646, 799 and 1036 MB after its load where
200, 500 and 1000 MB were allowed for keys and values. By the rules here it is 628, 928 and 1428 MB."""
_LEAST_WORKSPACE_BYTES = 96 * 2**20
_NUM_LOGITS_COPIES = 4
"""Float32 tensors of the size of a step's logits that sampling has at a time."""
_NUM_WIDE_COPIES, _NUM_INNER_COPIES = 8, 3
"""Tensors of a token's width, and of the width between a layer's two projections, that a layer has at a time."""

_GUESSED_NUM_PARAMETERS = 10**9
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMBT])", re.IGNORECASE)
_PARAMETERS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_NATIVE_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "bf16", "svebf16"))
"""Flags of `/proc/cpuinfo`: the first two on x86, the others on ARM."""
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Inspection:
    """What is known of a model that is not loaded."""

    basis: FootprintBasis
    numbers: StoredNumbers | None = None
    """`None`: nothing is known of its weights."""
    shape: ModelShape | None = None
    identity: str | None = None
    """Names the weights, so that what was measured with them can be found again."""


@dataclass(frozen=True)
class Measurement:
    """What an earlier load of the same model took."""

    host_bytes: int
    device_bytes: int
    """0 on a CPU."""


def bytes_per_number(torch_dtype: str, device: str, cpuinfo: Path = _CPUINFO, *, is_pooling: bool = False) -> int:
    """Of a weight in memory; by the rule of `hostler.models.placement`, which needs torch."""
    if torch_dtype != "auto":
        return 4 if torch_dtype == "float32" else 2
    if is_pooling and device_kind(device) == "cpu":
        return 4
    return 2 if device_kind(device) == "cuda" or _cpu_computes_bfloat16(cpuinfo) else 4


def device_kind(device: str) -> str:
    """`cuda:0` → `cuda`."""
    return device.partition(":")[0]


def footprint_of(
    spec: ModelSpec, inspection: Inspection, device: str, number_bytes: int, measured: Measurement | None
) -> Footprint:
    """Put together what the weights, the rules below and earlier loads say.

    What was measured takes the place of weights and process; the rest comes with requests, after the measurement.
    """
    is_cuda = device_kind(device) == "cuda"
    weights_bytes = _weights_bytes(spec, inspection, number_bytes)
    process_bytes = CUDA_PROCESS_BYTES if is_cuda else PROCESS_BYTES
    process_bytes += TOKENIZER_BYTES_PER_TOKEN * (inspection.shape.vocab_size if inspection.shape is not None else 0)
    kv_cache_bytes = _kv_cache_bytes(spec, inspection.shape, weights_bytes, number_bytes)
    workspace_bytes = _workspace_bytes(spec, inspection.shape, kv_cache_bytes, number_bytes)
    if is_cuda:
        # What is measured on a GPU is what torch holds there, which the context is no part of.
        workspace_bytes += CUDA_CONTEXT_BYTES
    if measured is not None and is_cuda:
        weights_bytes, process_bytes = measured.device_bytes, measured.host_bytes
    elif measured is not None:
        process_bytes = min(process_bytes, measured.host_bytes)
        weights_bytes = measured.host_bytes - process_bytes
    return Footprint(
        weights_bytes=weights_bytes,
        kv_cache_bytes=kv_cache_bytes,
        workspace_bytes=workspace_bytes,
        process_bytes=process_bytes,
        basis=inspection.basis if measured is None else FootprintBasis.MEASURED,
    )


def loaded_bytes(footprint: Footprint) -> int:
    """What a footprint says of the time just after the load, host and device together."""
    return footprint.weights_bytes + footprint.process_bytes


def measured_bytes(facts: ModelFacts) -> int | None:
    """The same, measured; `None` where it was not."""
    return facts.host_bytes + facts.device_bytes if facts.host_bytes else None


def _weights_bytes(spec: ModelSpec, inspection: Inspection, number_bytes: int) -> int:
    if inspection.numbers is not None:
        return inspection.numbers.bytes_in(number_bytes)
    match = _SIZE.match(spec.size)
    num_parameters = float(match[1]) * _PARAMETERS[match[2].upper()] if match else _GUESSED_NUM_PARAMETERS
    return int(num_parameters) * number_bytes


def _kv_cache_bytes(spec: ModelSpec, shape: ModelShape | None, weights_bytes: int, number_bytes: int) -> int:
    """As set, else as much as the weights and a GiB at least; room for one whole sequence, for no more than can run."""
    if spec.type.is_pooling:
        return 0
    wanted = spec.kv_cache_bytes if spec.kv_cache_bytes is not None else max(weights_bytes, LEAST_KV_CACHE_BYTES)
    if shape is None:
        return wanted
    num_tokens = min(spec.max_length, shape.max_positions or spec.max_length)
    one_sequence = math.ceil(num_tokens / BLOCK_SIZE) * BLOCK_SIZE * shape.cache_numbers_per_token * number_bytes
    return max(one_sequence, min(wanted, one_sequence * spec.max_num_seqs))


def _workspace_bytes(spec: ModelSpec, shape: ModelShape | None, kv_cache_bytes: int, number_bytes: int) -> int:
    if shape is None:
        return 2 * _LEAST_WORKSPACE_BYTES
    per_token = _NUM_WIDE_COPIES * shape.hidden_size + _NUM_INNER_COPIES * shape.intermediate_size
    if spec.type.is_pooling:
        # A text is not cut into steps, so one that is longer than a step's tokens is computed at once.
        longest = min(spec.max_length, shape.max_positions or spec.max_length)
        return _LEAST_WORKSPACE_BYTES + max(spec.max_num_batched_tokens, longest) * per_token * 4
    num_rows = max(spec.max_num_seqs, 1)
    logits = num_rows * shape.vocab_size * 4 * _NUM_LOGITS_COPIES
    activations = spec.max_num_batched_tokens * per_token * 4
    column = num_rows * shape.cache_numbers_per_token * number_bytes
    cache_slack = _COLUMN_SLACK * column + min(_GROWTH_SLACK * column, kv_cache_bytes)
    return _LEAST_WORKSPACE_BYTES + logits + activations + cache_slack


def _cpu_computes_bfloat16(cpuinfo: Path) -> bool:
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:  # another system than Linux: float32 takes more, so that nothing is promised that is not there
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return not _NATIVE_BFLOAT16.isdisjoint(flags.partition(":")[2].split())
