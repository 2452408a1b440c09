"""The log: one line for each event, in the same form from the gateway and from its workers."""

import logging
import sys
from datetime import UTC, datetime

_QUIET_BELOW_WARNING = ("httpcore2", "httpx2", "huggingface_hub", "filelock", "asyncio", "uvicorn")
"""Libraries whose lines of INFO level repeat what our own say."""


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO hostler.server message key=value`: one line for each event, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002 logging sets the form
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # A line break in what a client sent must not start a line that looks like ours. A traceback is added later.
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def configure_logging(level: str) -> None:
    """Send every log line of this process to stderr. Called again, it changes the level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # The server logs each request itself, with its id and its model.
    logging.getLogger("uvicorn.access").disabled = True
