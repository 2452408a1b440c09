"""Makes the blocking client from the asynchronous one: `python tools/blocking_client.py`.

The modules of `hostler.client.asynchronous` are written by hand, those of `hostler.client.blocking` are this script's:
the same text, its words replaced. What cannot be said that way stands in `hostler.client.concurrency`, once for each.
"""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "hostler" / "client"
ASYNCHRONOUS = CLIENT / "asynchronous"
BLOCKING = CLIENT / "blocking"

HEADER = "# Made by tools/blocking_client.py from asynchronous/{name}: change that one and run it again.\n"
WORDS = {
    r"\ban(\s)`async with`": r"a\1`with`",
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\bAsync(?=[A-Z])": "",
    r"\bAsync(?=Client\b|BaseTransport\b)": "",
    r"\b__a(enter|exit|iter)__": r"__\1__",
    r"\ba(close|iter_lines|read)\b": r"\1",
    r"\benter_async_context\b": "enter_context",
    r"\basynccontextmanager\b": "contextmanager",
    r"\b(\w+)_async\b": r"\1",
    r"\bhostler\.client\.asynchronous\b": "hostler.client.blocking",
    r"The client for asyncio\. .*": 'The client without asyncio, made from the other one."""',
}


def blocking(name: str) -> str:
    """The text of a module of the blocking client."""
    text = (ASYNCHRONOUS / name).read_text()
    for pattern, replacement in WORDS.items():
        text = re.sub(pattern, replacement, text)
    return _formatted(HEADER.format(name=name) + text, BLOCKING / name)


def modules() -> list[str]:
    """Names of the files that there are in both."""
    return sorted(path.name for path in ASYNCHRONOUS.glob("*.py"))


def _formatted(text: str, path: Path) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(  # noqa: S603 - its own words
            [ruff, *command, "--stdin-filename", path, "-"], input=text, capture_output=True, text=True, check=True
        )
        text = done.stdout
    return text


def main() -> None:
    BLOCKING.mkdir(exist_ok=True)
    for name in modules():
        (BLOCKING / name).write_text(blocking(name))


if __name__ == "__main__":
    main()
