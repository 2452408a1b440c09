"""Files that come from elsewhere: keys, registries, and what repositories hold."""

import json
import math
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hostler.config import Settings
from hostler.errors import ConfigError, ModelLoadError
from hostler.keys_file import changing, read_keys
from hostler.models.config_code import keys_of_kernels, needs_own_code, repositories_of_code
from hostler.models.discovery import model_type_of
from hostler.models.generative import context_length, generates_text
from hostler.models.gguf_header import read_gguf_header
from hostler.models.json_files import parse_json
from hostler.models.model_shape import read_shape
from hostler.models.pooling_type import pooling_type_of
from hostler.models.repository_files import WeightFiles, WeightsFormat, missing_shards
from hostler.models.sentence_modules import MODULES_FILE, read_recipe
from hostler.models.weights_header import count_numbers
from hostler.quantities import parse_bytes, parse_keep_alive, parse_memory_budget
from hostler.registry import load_registry
from hostler.yaml_file import read_yaml
from tests.fuzz.target import Target

_KEYS = f"""keys:
  ci: {{sha256: "{"0" * 64}", scopes: [inference, read], models: ["gpt*"], expires: 2027-01-31, weight: 2}}
  cd: {{sha256: "{"a" * 64}", scopes: [admin], created: 2026-01-31 10:00:00, limits: {{queued_requests: 1}}}}
"""
_REGISTRY = """settings: {max_concurrent_models: 2, auto_unload_after_minutes: 5, memory_budget: 80%, cache_dir: ~/x}
models:
  a: &a {name: o/a, type: text, size: 1M, description: x, max_length: 10, revision: main, keep_alive: 5m}
  b: {<<: *a, name: o/b, source: {folder: ./b}, pinned: true, kv_cache_memory: 1GiB}
"""
_CONFIG = {
    **{"model_type": "jamba", "architectures": ["GPT2LMHeadModel"], "auto_map": {"AutoModel": ["a--x.X", None]}},
    **{"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "attn_layer_period": 2, "head_dim": 16},
    **{"layer_types": ["attention"], "text_config": {"_attn_implementation": "a/b"}, "vocab_size": 10, "n_ctx": 5},
    **{"is_encoder_decoder": False, "num_key_value_heads": [1, 2], "id2label": {"0": "a"}, "kv_lora_rank": 0},
}
_TENSOR = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
_HEADER = json.dumps({"a": _TENSOR, "b": _TENSOR | {"dtype": "I64"}, "__metadata__": {"format": "pt"}}).encode()
_TEXT = struct.pack("<Q", 1) + b"a"
_GGUF = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 1, 2)
    + (_TEXT + struct.pack("<If", 6, 1.5))
    + (_TEXT + struct.pack("<IIQ2H", 9, 2, 2, 7, 8))
    + (_TEXT + struct.pack("<I2QIQ", 2, 3, 4, 0, 0))
)
_MODULES = [
    {"path": "", "type": "x.Transformer"},
    {"path": "1_Pooling", "type": "x.Pooling"},
    {"path": "n", "type": "x.Normalize"},
]
_YAML_WORDS = (
    "&a",
    "*a",
    "<<",
    "!!bool",
    "!!int",
    "!!timestamp",
    "!!binary",
    "!!set",
    "2027-01-31",
    ".inf",
    ": ",
    "\n  ",
)


@cache
def _folder() -> Path:
    """Of this process, for as long as it is there."""
    return Path(tempfile.mkdtemp(prefix="hostler-fuzz-"))


def _file(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _parse_keys(data: bytes) -> None:
    path = _file(data, "keys.yaml")
    keys = read_keys(path)
    with changing(path):
        pass
    assert read_keys(path).keys() == keys.keys()


def _parse_registry(data: bytes) -> None:
    assert load_registry(read_yaml(_file(data, "models.yaml")), Settings())


def _amount(parse: Callable[[object], float]) -> Callable[[bytes], None]:
    def is_amount(data: bytes) -> None:
        amount = parse(data.decode("utf-8", "replace"))
        assert amount >= 0
        assert not math.isnan(amount)

    return is_amount


def _parse_budget(data: bytes) -> None:
    assert 0 <= parse_memory_budget(data.decode("utf-8", "replace")).of(2**40) <= 2**40


def _parse_safetensors(data: bytes) -> None:
    content = struct.pack("<Q", len(data)) + data
    assert count_numbers(lambda offset, length: content[offset : offset + length]).bytes_in(4) >= 0


def _parse_whole_safetensors(data: bytes) -> None:
    assert count_numbers(lambda offset, length: data[offset : offset + length]).bytes_in(4) >= 0


def _parse_gguf(data: bytes) -> None:
    assert read_gguf_header(_file(data, "x.gguf")).num_weights >= 0


def _parse_config(data: bytes) -> None:
    path = _file(data, "config.json")
    config = parse_json(path.read_bytes())
    shape = read_shape(config)
    assert shape is None or float(shape.cache_numbers_per_token) >= 0
    assert context_length(config) > 0
    keys_of_kernels(config)
    needs_own_code(config)
    repositories_of_code(config)
    generates_text(config, ["config.json"])
    pooling_type_of(config, ["config.json"])
    model_type_of(_folder(), ["config.json"])


def _parse_index(data: bytes) -> None:
    index = _file(data, "model.safetensors.index.json").name
    missing = missing_shards(_folder(), WeightFiles(WeightsFormat.SAFETENSORS, (index,), index), ["a"])
    assert all(isinstance(name, str) for name in missing)


def _parse_modules(data: bytes) -> None:
    modules, _, config = data.partition(b"\n")
    _file(modules, MODULES_FILE)
    (_folder() / "1_Pooling").mkdir(exist_ok=True)
    _file(config, "1_Pooling/config.json")
    _file(config, "sentence_bert_config.json")
    read_recipe(_folder(), is_decoder=False, name="o/a")


TARGETS = (
    Target("keys-file", _parse_keys, (_KEYS.encode(),), (ConfigError,), _YAML_WORDS),
    Target("registry", _parse_registry, (_REGISTRY.encode(),), (ConfigError,), _YAML_WORDS),
    Target("keep-alive", _amount(parse_keep_alive), (b"5m", b"-1", b"0.5"), (ValueError,), ("ms", "h", ".", "-")),
    Target("bytes", _amount(parse_bytes), (b"8.5 GiB", b"1"), (ValueError,), ("KiB", "tb", ".", "9" * 30)),
    Target("memory-budget", _parse_budget, (b"80%", b"8GiB"), (ValueError,), ("GiB", "%", ".", "-")),
    Target(
        "safetensors-header", _parse_safetensors, (_HEADER,), (ValueError,), ("shape", "dtype", "F16"), is_json=True
    ),
    Target("safetensors", _parse_whole_safetensors, (struct.pack("<Q", len(_HEADER)) + _HEADER,), (ValueError,)),
    Target("gguf", _parse_gguf, (_GGUF,), (ValueError,), ("GGUF",)),
    Target(
        "config-json",
        _parse_config,
        (json.dumps(_CONFIG).encode(),),
        (ValueError,),
        tuple(sorted(_CONFIG)),
        is_json=True,
    ),
    Target(
        "weights-index",
        _parse_index,
        (b'{"weight_map": {"x": "a", "y": "b"}}',),
        (ModelLoadError,),
        ("weight_map",),
        True,
    ),
    Target(
        "sentence-modules",
        _parse_modules,
        (json.dumps(_MODULES).encode() + b'\n{"pooling_mode": "mean", "max_seq_length": 5}',),
        (ModelLoadError,),
        ("x.Dense", "x.Dropout", "in_features", "Infinity", "pooling_mode", "null"),
    ),
)
