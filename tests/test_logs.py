"""The form of the log."""

import ast
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hostler
from hostler.logs import JsonFormatter, LineFormatter, configure_logging, log_level, set_log_level, template_of

SOURCES = sorted(Path(hostler.__file__).parent.rglob("*.py"))
KEY = "hostler_" + "k" * 43
RESERVED = {"time", "level", "logger", "event", "message", "exception"}


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.getLogger("uvicorn.access").disabled = False


def record_of(message: str, *arguments: object, name: str = "hostler.x") -> logging.LogRecord:
    record = logging.LogRecord(name, logging.INFO, __file__, 1, message, arguments, None)
    record.created = 1_769_860_800.1239
    return record


def line_of(message: str, *arguments: object) -> str:
    return LineFormatter().format(record_of(message, *arguments))


def facts_of(message: str, *arguments: object, name: str = "hostler.x") -> dict[str, Any]:
    """What the JSON form has besides what every line has."""
    line = json.loads(JsonFormatter().format(record_of(message, *arguments, name=name)))
    assert (line.pop("time"), line.pop("level"), line.pop("logger")) == ("2026-01-31T12:00:00.123Z", "INFO", name)
    facts: dict[str, Any] = line
    return facts


def logged_templates() -> Iterator[tuple[str, str]]:
    """Place and text of every line that the package may log."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if not isinstance(node.func.value, ast.Name) or node.func.value.id != "logger":
                continue
            text = node.args[1 if node.func.attr == "log" else 0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield f"{path.name}:{node.lineno}", text.value


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


def test_the_json_form_has_an_event_and_its_facts_with_their_types() -> None:
    message = "loaded model=%s pid=%d seconds=%.2f why=%r ok=%s left=%s"
    assert facts_of(message, "gpt2", 7, 1.23456, "it's here", True, None) == {
        "event": "loaded",
        "model": "gpt2",
        "pid": 7,
        "seconds": 1.23,
        "why": "it's here",
        "ok": True,
        "left": None,
    }
    assert facts_of("model_%s model=%s", "loading", "gpt2") == {"event": "model_loading", "model": "gpt2"}


def test_what_is_not_known_is_left_out_of_the_json_form_and_no_number_breaks_it() -> None:
    assert facts_of("request key=%s seconds=%.1f share=%s", "-", float("nan"), float("inf")) == {
        "event": "request",
        "seconds": "nan",
        "share": "inf",
    }


def test_a_line_of_a_library_is_a_message_in_the_json_form() -> None:
    text = "Started server process [%d]"
    assert facts_of(text, 5, name="uvicorn.error") == {"message": "Started server process [5]"}


def test_a_traceback_stays_within_its_line_of_json() -> None:
    try:
        raise ValueError("odd\nthing")
    except ValueError:
        record = logging.LogRecord("hostler.x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: odd\nthing" in json.loads(line)["exception"]


def test_every_line_of_ours_is_an_event_with_facts_that_hide_nothing() -> None:
    templates = list(logged_templates())
    assert len(templates) > 40
    for place, text in templates:
        template = template_of(text)
        assert template is not None, place
        assert not RESERVED.intersection(template.facts), place


@pytest.mark.parametrize("formatter", [LineFormatter, JsonFormatter])
@pytest.mark.parametrize("where", ["argument", "message", "traceback"])
def test_no_secret_is_written_whoever_logs_it(formatter: type[LineFormatter | JsonFormatter], where: str) -> None:
    known = 'pass"word'
    secrets = [known, "hf_" + "t" * 34, KEY, "Bearer abc.def-1"]
    text = " and ".join(secrets)
    record = record_of("odd_thing what=%s", text)
    if where == "message":
        record = record_of(text, name="httpx2")
    if where == "traceback":
        record = record_of("odd_thing")
        record.exc_info = (ValueError, ValueError(text), None)
    line = formatter([known]).format(record)
    assert line.count("[redacted]") == 4
    assert not any(secret.removeprefix("Bearer ") in line for secret in secrets)
    assert json.dumps(known)[1:-1] not in line


def test_a_secret_that_is_a_common_letter_blacks_out_nothing() -> None:
    assert "[redacted]" not in LineFormatter(["a", ""]).format(record_of("loaded model=%s", "banana"))


@pytest.mark.usefixtures("_logging_restored")
def test_the_level_can_be_changed_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING", "json", ["s3cret-key"])
    set_log_level("DEBUG")
    assert log_level() == "DEBUG"
    logging.getLogger("hostler.x").debug("seen key=%s", "s3cret-key")
    set_log_level("ERROR")
    logging.getLogger("hostler.x").warning("not_seen")
    (line,) = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["event"], json.loads(line)["key"]) == ("seen", "[redacted]")


@pytest.mark.usefixtures("_logging_restored")
def test_warnings_of_python_are_lines_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["logger"] == "py.warnings"
