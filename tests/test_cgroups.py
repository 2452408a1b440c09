"""Limits of memory, as containers and services have them, in folders that look like the kernel's."""

from pathlib import Path

import pytest

from hostler import cgroups


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_service_has_the_limits_of_its_unit_and_of_all_around_it(mount: Path) -> None:
    write(mount / "membership", "0::/system.slice/hostler.service\n")
    write(mount / "system.slice/hostler.service/memory.max", "max\n")
    write(mount / "system.slice/memory.max", "1048576\n")
    assert list(cgroups.memory_limits()) == [1048576]
    write(mount / "system.slice/hostler.service/memory.max", "4096\n")
    assert min(cgroups.memory_limits()) == 4096


def test_a_container_finds_its_limit_where_its_own_groups_begin(mount: Path) -> None:
    write(mount / "membership", "0::/\n")
    write(mount / "memory.max", "2147483648\n")
    assert list(cgroups.memory_limits()) == [2147483648]


def test_version_1_has_a_group_for_memory_alone(mount: Path) -> None:
    write(mount / "membership", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    write(mount / "memory/memory.limit_in_bytes", "1073741824\n")
    write(mount / "cpu/memory.limit_in_bytes", "1\n")
    assert list(cgroups.memory_limits()) == [1073741824]


def test_where_there_are_no_groups_there_is_no_limit(mount: Path) -> None:
    assert list(cgroups.memory_limits()) == []


def test_what_is_left_counts_files_that_make_way_as_left(mount: Path) -> None:
    write(mount / "membership", "0::/unit\n")
    write(mount / "unit/memory.max", "1000\n")
    write(mount / "unit/memory.current", "900\n")
    write(mount / "unit/memory.stat", "anon 500\ninactive_file 300\nfile 400\n")
    write(mount / "memory.max", "5000\n")
    write(mount / "memory.current", "6000\n")
    assert list(cgroups.memory_left()) == [400, 0]


def test_what_is_left_with_version_1(mount: Path) -> None:
    write(mount / "membership", "4:memory:/docker/abc\n")
    write(mount / "memory/memory.limit_in_bytes", "1000\n")
    write(mount / "memory/memory.usage_in_bytes", "900\n")
    write(mount / "memory/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n")
    assert list(cgroups.memory_left()) == [400]


def test_a_group_without_a_limit_leaves_what_the_machine_has(mount: Path) -> None:
    write(mount / "membership", "0::/\n")
    write(mount / "memory.max", "max\n")
    write(mount / "memory.current", "900\n")
    assert list(cgroups.memory_left()) == []
