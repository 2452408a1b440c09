"""What is said of folders and of the hub's token."""

import shutil
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from hostler.config import Settings
from hostler.diagnosis.findings import Level
from hostler.diagnosis.storage import check_folders, check_token
from hostler.registry import Registry
from tests.server.conftest import MODELS, registry_of

TOKEN = "hf_secret0123456789"
REGISTRY = registry_of(MODELS, Settings())


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def levels(settings: Settings) -> list[Level]:
    return [finding.level for finding in check_folders(settings)]


def test_folders_that_do_not_exist_yet_are_made_where_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(cache_dir=tmp_path / "a" / "b", hostler_cache_dir=tmp_path / "file" / "c")
    own, other = check_folders(settings)
    assert (own.level, other.level) == (Level.OK, Level.PROBLEM)
    assert str(tmp_path / "a" / "b") in own.text
    assert "HOSTLER_CACHE_DIR" in (other.remedy or "")
    assert not (tmp_path / "a").exists()


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(cache_dir=tmp_path, hostler_cache_dir=tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - 2**30, 2**30))
    assert levels(settings) == [Level.WARNING, Level.WARNING]


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (True, Level.OK, "the hub takes it"),
        (False, Level.PROBLEM, "refuses the token"),
        (None, Level.OK, "could not be asked"),
    ],
)
def test_the_token_is_judged_by_the_hub_and_never_shown(answer: bool | None, level: Level, text: str) -> None:
    asked: list[str] = []

    def ask(token: str) -> bool | None:
        asked.append(token)
        return answer

    (finding,) = check_token(Settings(hf_token=TOKEN), REGISTRY, ask)
    assert (finding.level, asked) == (level, [TOKEN])
    assert text in finding.text
    assert TOKEN not in str(finding)


def test_a_hub_that_does_not_answer_is_not_waited_for() -> None:
    never = threading.Event()
    (finding,) = check_token(Settings(hf_token=TOKEN), REGISTRY, lambda _: never.wait(), timeout_s=0.05)
    never.set()
    assert "could not be asked" in finding.text


def test_without_a_token_it_says_which_models_need_one() -> None:
    assert [finding.text for finding in check_token(Settings(), REGISTRY, lambda _: None)] == [
        "not set, which 1 gated models need"
    ]
    assert [finding.text for finding in check_token(Settings(), Registry({}), lambda _: None)] == ["not set"]
