"""What a worker takes of the machine's memory."""

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


def test_what_is_shared_does_not_count_and_mapped_weights_count_whole() -> None:
    assert process_memory._unshared_bytes(SMAPS) == (16 + 800 + 16384 + 4) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell nothing of single mappings")
def test_a_process_takes_what_it_has_written_to() -> None:
    before = process_memory.host_bytes()
    tensor = torch.ones(50 * 2**20, dtype=torch.uint8)
    assert tensor.nbytes <= process_memory.host_bytes() - before < tensor.nbytes + 8 * 2**20


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
