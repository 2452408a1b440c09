"""What a worker takes of the machine's memory."""

import subprocess
import sys

import psutil
import pytest
import torch

from hostler.worker import process_memory

SMAPS = """\
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
Size:               1024 kB
Rss:                 900 kB
Private_Clean:        16 kB
Private_Dirty:       800 kB
VmFlags: rd wr mr mw me ac
7f0000100000-7f0001100000 r--p 00000000 08:01 1234                       /models/a b/model.safetensors
Size:              16384 kB
Private_Clean:      4096 kB
Private_Dirty:         0 kB
VmFlags: rd mr mw me
7f0001100000-7f0001200000 r-xp 00000000 08:01 99                         /usr/lib/libc.so.6
Size:               1024 kB
Shared_Clean:       1024 kB
Private_Clean:         0 kB
Private_Dirty:         4 kB
"""


NUM_BYTES = 50 * 2**20
PROGRAM = f"""
import torch
from hostler.worker import process_memory

process_memory.host_bytes()
before = process_memory.host_bytes()
tensor = torch.ones({NUM_BYTES}, dtype=torch.uint8)
print(process_memory.host_bytes() - before)
"""


def test_what_is_shared_does_not_count_and_mapped_weights_count_whole() -> None:
    assert process_memory._unshared_bytes(SMAPS) == (16 + 800 + 16384 + 4) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell nothing of single mappings")
def test_a_process_takes_what_it_has_written_to() -> None:
    # One of its own: this one may give memory of earlier tests back in between.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert NUM_BYTES <= int(done.stdout) < NUM_BYTES + 8 * 2**20


def test_where_mappings_cannot_be_read_the_system_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(process_memory, "_SMAPS", tmp_path_factory.getbasetemp() / "none")
    assert process_memory.host_bytes() > 0

    def refuse(_: psutil.Process) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    assert process_memory.host_bytes() == 0


def test_no_accelerator_holds_nothing() -> None:
    if not torch.cuda.is_available():
        assert (process_memory.bytes_by_device(), process_memory.free_cached()) == ({}, 0)
        assert process_memory.device_memory() == []
