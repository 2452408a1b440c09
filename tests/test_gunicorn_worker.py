"""What gunicorn is told, and what is refused. `tests/e2e/test_gunicorn.py` has it serve."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from hostler.errors import ConfigError
from hostler.gunicorn_worker import GatewayWorker

GUNICORN = Path(sys.executable).with_name("gunicorn")


def config_with(**settings: object) -> Config:
    config = Config()
    for name, value in settings.items():
        config.set(name, value)
    return config


def test_a_second_worker_is_refused_with_the_reason() -> None:
    two = config_with(workers=2)
    with pytest.raises(RuntimeError, match=r"workers must be 1, not 2: models live in worker processes of one gateway"):
        GatewayWorker.check_config(two, Logger(two))
    one = config_with(workers=1)
    GatewayWorker.check_config(one, Logger(one))


def test_gunicorn_ends_when_it_is_told_to_have_several_workers() -> None:
    done = subprocess.run(
        [GUNICORN, "-c", "python:hostler.gunicorn_config", "--workers", "3"],
        env={"PATH": "/usr/bin:/bin", "PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "workers must be 1, not 3" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_cannot_be_used_is_refused_before_there_is_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "2")
    with pytest.raises(ConfigError, match="environment variable WORKERS: must be 1, not 2"):
        runpy.run_module("hostler.gunicorn_config")


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1:8011"), ("::1", "[::1]:8011")])
def test_gunicorn_listens_where_the_settings_say_and_gives_streams_their_time(
    host: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOST", host), ("PORT", "8011"), ("SHUTDOWN_GRACE_S", "40")):
        monkeypatch.setenv(name, value)
    told = runpy.run_module("hostler.gunicorn_config")
    config = config_with(**{name: value for name, value in told.items() if name in Config().settings})
    assert config.address == [(host, 8011)]
    assert told["bind"] == expected
    assert config.graceful_timeout > 40
    assert config.worker_class is GatewayWorker
