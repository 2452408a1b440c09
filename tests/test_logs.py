"""The form of the log."""

import logging
import re
from collections.abc import Iterator

import pytest

from hostler.logs import LineFormatter, configure_logging


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def line_of(message: str, *arguments: object) -> str:
    record = logging.LogRecord("hostler.x", logging.INFO, __file__, 1, message, arguments, None)
    record.created = 1_769_860_800.1239
    return LineFormatter().format(record)


def test_a_line_has_time_level_logger_and_message() -> None:
    assert line_of("loaded model=%s", "gpt2") == "2026-01-31T12:00:00.123Z INFO hostler.x loaded model=gpt2"


def test_what_a_client_sent_cannot_start_a_line_of_its_own() -> None:
    assert "\n" not in line_of("path=%s", "/a\r\n2026-01-31T12:00:00.000Z INFO fake")


@pytest.mark.usefixtures("_logging_restored")
def test_one_line_for_each_event_at_the_level_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    configure_logging("WARNING")
    logging.getLogger("hostler.x").info("quiet")
    logging.getLogger("hostler.x").warning("loud")

    lines = capsys.readouterr().err.splitlines()

    assert [re.sub(r"^\S+ ", "", line) for line in lines] == ["WARNING hostler.x loud"]


@pytest.mark.usefixtures("_logging_restored")
def test_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    logging.getLogger("httpx2").info("HTTP Request: GET https://user:secret@host")
    logging.getLogger("uvicorn.access").error("a request")
    logging.getLogger("uvicorn.error").warning("odd")

    assert [line.split()[2:] for line in capsys.readouterr().err.splitlines()] == [["uvicorn.error", "odd"]]
