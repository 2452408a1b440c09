"""What the forkserver has ready for its workers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_models import build_tiny_model

PROGRAM = """
import sys
import torch

def refuse(*_):
    raise AssertionError("a process that has asked for a GPU forks none that can use one")

torch.cuda.is_available = torch.cuda.device_count = refuse
import hostler.worker.forkserver
hostler.worker.warm.make_ready()
torch.cuda.is_available, torch.cuda.device_count = lambda: False, lambda: 0

from pathlib import Path
from hostler.engine.factory import build_engine
from hostler.models.loader import load_model
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from tests.models.specs import spec_of

folder = Path(sys.argv[1])
before = set(sys.modules)
spec = spec_of(folder.name)
loaded = load_model(spec, LocalModel(folder, WeightsFormat.SAFETENSORS), lambda _: None)
build_engine(loaded, spec)
print(*sorted(name for name in sys.modules.keys() - before if name.partition(".")[0] in ("torch", "transformers")))
"""


@pytest.mark.long
@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_a_load_of_a_common_type_imports_nothing_more(family: str, tmp_path: Path) -> None:
    build_tiny_model(family, tmp_path)
    run = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == ("", 0), run.stderr
    assert "workers_not_warmed" not in run.stderr
