"""Each parser with what it should read, what once broke one, and inputs at random; by coverage, `make fuzz` does it."""

import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hostler.worker.framing import encode
from hostler.worker.messages import CallFailed, ErrorReport
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS

NUM_CHANGES = 8
MAX_BYTES = 1000
_BOMB = b'{"a": {"dtype": "F32", "shape": [1000000000, [1]], "data_offsets": [0, 4]}}'
_NO_TEXT = encode(CallFailed(call_id=1, error=ErrorReport(code="a", message="zz"))).replace(b"zz", b"\xff\xff")
_LAYERS = b'{"hidden_size": 1, "num_layers": 1000000000000000, "attn_layer_period": 2}'
FOUND = (
    *((name, b"[" * 100_000) for name in ("safetensors-header", "sentence-modules", "client-answer")),
    ("safetensors-header", _BOMB),
    ("keys-file", b"keys: !!bool x"),
    ("keys-file", b"keys: !!timestamp x"),
    ("registry", b"models: !!int ''"),
    ("bytes", b"9" * 400),
    ("weights-index", b'{"weight_map": {"a": 1, "b": "x"}}'),
    ("config-json", b'{"model_type": ["x"], "hidden_size": 1, "num_layers": 1}'),
    ("config-json", _LAYERS),
    ("sentence-modules", b'[{"path": "", "type": "Dense"}]\n{"in_features": Infinity, "out_features": 1}'),
    ("frames-from-worker", _NO_TEXT),
    ("client-answer", b'\n"\xb7"'),
    ("client-answer", b'\n{"detail": [{"loc": 5}]}'),
    *((name, b"\3a" + char * 60_000) for name in ("calls-json", "reasoning") for char in (b" ", b"\n")),
    ("calls-hermes", b"\3" + b'<tool_call>{"a":' * 5000),
    ("calls-json", b"\3" + b'\n{"function":' * 5000),
    ("calls-llama", b"\3\n{" + b" " * 60_000),
)
"""By name of a target: what it failed with, or did not come to an end with, before it was mended."""


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_read_or_refused_as_documented(name: str) -> None:
    target = TARGETS[name]
    rng = random.Random(name)
    for seed in target.seeds:
        target.run(seed)
        data = seed
        for _ in range(NUM_CHANGES):
            data = mutate(data, rng, target.words, is_json=target.is_json)
            target.run(data)
            data = data if len(data) < MAX_BYTES else seed


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_is_not_refused(name: str) -> None:
    target = TARGETS[name]
    target.parse(target.seeds[0])


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_once_found_stays_mended(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is made for Linux on x86-64 alone")
def test_no_branch_that_is_reached_in_half_a_minute_fails(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{root}:{root / 'src'}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "30"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("nothing found") == len(TARGETS)
