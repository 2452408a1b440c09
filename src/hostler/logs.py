"""The log: one line for each event, in the same form from the gateway and from its workers."""

import json
import logging
import math
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

LogForm = Literal["human", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_QUIET_BELOW_WARNING = ("httpcore2", "httpx2", "huggingface_hub", "filelock", "asyncio", "urllib3", "uvicorn")
"""Libraries whose lines of INFO level repeat what our own say."""

_MARKS = ("hf_", "hostler_", "Bearer ")
"""A line without any of them has no token: to look for these takes a hundredth of the time."""
_TOKENS = (r"\bhf_[A-Za-z0-9]{20,}", r"\bhostler_[A-Za-z0-9_-]{43}\b", r"(?<=Bearer )[\w.~+/=-]+")
"""What tokens of the hub, keys of ours and an `Authorization` header look like, wherever they come from."""
_SHORTEST_SECRET = 6
"""A shorter one would black out half of the log, and is guessed anyway."""
_REDACTED = "[redacted]"

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def configure_logging(level: LogLevel, form: LogForm = "human", secrets: Collection[str] = ()) -> None:
    """Send every log line of this process to stderr. Called again, it changes level and form.

    `secrets` appear in no line, whoever writes it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if form == "json" else LineFormatter(secrets))
    logging.basicConfig(handlers=[handler], force=True)
    set_log_level(level)
    logging.captureWarnings(True)
    # The server logs each request itself, with its id and its model.
    logging.getLogger("uvicorn.access").disabled = True


def set_log_level(level: LogLevel) -> None:
    """From now on, in this process."""
    logging.getLogger().setLevel(level)
    for name in _QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def log_level() -> str:
    """As it is now, in this process."""
    return str(logging.getLevelName(logging.getLogger().level))


class _Formatter(logging.Formatter):
    """Times in UTC, and no secret in any line."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        known = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        spelled = {*known, *(json.dumps(secret)[1:-1] for secret in known)}
        self._marks = (*_MARKS, *spelled)
        self._secret = re.compile("|".join((*map(re.escape, sorted(spelled, key=len, reverse=True)), *_TOKENS)))

    def format(self, record: logging.LogRecord) -> str:
        line = self._line_of(record)
        if not any(mark in line for mark in self._marks):
            return line
        return self._secret.sub(_REDACTED, line)

    def _line_of(self, record: logging.LogRecord) -> str:
        return super().format(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002 logging sets the form
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(_Formatter):
    """`2026-01-31T12:00:00.123Z INFO hostler.server message key=value`: one line for each event."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__(secrets)

    def formatMessage(self, record: logging.LogRecord) -> str:
        # A line break in what a client sent must not start a line that looks like ours. A traceback is added later.
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class JsonFormatter(_Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `event` and each of its facts by name; `exception` where there
    is a traceback. A line of a library has `message` in place of `event`. Facts that are `-`, so not known, are left
    out."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__(secrets)

    def _line_of(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            **_content_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


def _content_of(record: logging.LogRecord) -> dict[str, Any]:
    template = template_of(record.msg) if record.name.startswith("hostler") and isinstance(record.msg, str) else None
    if template is None:
        return {"message": record.getMessage()}
    arguments = record.args if isinstance(record.args, tuple) else ()
    named = dict(zip(template.facts, arguments[template.num_in_event :], strict=True))
    facts = {name: _fact(template.facts[name], value) for name, value in named.items() if value != "-"}
    return {"event": template.event % arguments[: template.num_in_event], **facts}


@dataclass(frozen=True)
class Template:
    """What `"loaded model=%s seconds=%.1f"` says of the lines that are written with it."""

    event: str
    num_in_event: int
    """Of the arguments, the first ones that are part of the event's name."""
    facts: dict[str, str]
    """Name → conversion, in the order of the arguments."""


@lru_cache(maxsize=1024)
def template_of(message: str) -> Template | None:
    """`None` where it is not of the form that all of ours have: an event, and facts behind it."""
    event, *parts = message.split(" ")
    facts = dict(part.split("=", 1) for part in parts if "=" in part)
    is_ours = re.fullmatch(r"([a-z_]|%s)+", event) and len(facts) == len(parts)
    if not is_ours or not all(re.fullmatch(r"%[.\d]*[sdrfg]", conversion) for conversion in facts.values()):
        return None
    return Template(event, event.count("%s"), facts)


def _fact(conversion: str, value: object) -> object:
    """Numbers as numbers, rounded as in the human form."""
    if conversion[-1] == "d":
        return int(conversion % value)
    if conversion[-1] in "fg":
        value = float(conversion % value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    return value if isinstance(value, str | int | float | None) else str(value)
