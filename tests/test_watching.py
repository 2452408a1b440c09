import asyncio
from pathlib import Path

import pytest

from hostler.watching import FileWatch, watch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text("first")
    return path


def test_a_file_that_stays_as_it_is_is_never_new(path: Path) -> None:
    file = FileWatch(path)
    assert [file.look() for _ in range(3)] == [False, False, False]


def test_a_change_is_told_once_and_only_when_it_has_settled(path: Path) -> None:
    file = FileWatch(path)
    path.write_text("half of")
    assert not file.look()
    path.write_text("half of it, and the rest")
    assert not file.look()
    assert [file.look() for _ in range(2)] == [True, False]


def test_a_file_that_is_replaced_by_another_of_the_same_size_is_new(path: Path) -> None:
    file = FileWatch(path)
    other = path.with_suffix(".new")
    other.write_text("other")
    other.replace(path)
    assert [file.look() for _ in range(3)] == [False, True, False]


def test_a_link_that_is_swapped_as_kubernetes_does_is_a_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.yaml").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "models.yaml").symlink_to("..data/models.yaml")
    file = FileWatch(tmp_path / "models.yaml")
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert [file.look() for _ in range(3)] == [False, True, False]


def test_a_file_that_is_gone_is_waited_for(path: Path) -> None:
    file = FileWatch(path)
    path.unlink()
    assert [file.look() for _ in range(3)] == [False, False, False]
    path.write_text("once again")
    assert [file.look() for _ in range(3)] == [False, True, False]


async def test_whoever_watches_is_called_after_each_change(path: Path) -> None:
    looks = asyncio.Semaphore(0)
    changed = asyncio.Semaphore(0)

    async def on_change() -> None:
        changed.release()

    async def pause() -> None:
        await looks.acquire()

    def change(text: str) -> None:
        path.write_text(text)
        looks.release()
        looks.release()

    watching = asyncio.create_task(watch(FileWatch(path), on_change, pause))
    for text in ("the second", "the third one"):
        change(text)
        await changed.acquire()
    watching.cancel()
