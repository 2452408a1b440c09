"""A server whose models answer what each page expects, and a list of the blocks that no test runs."""

from collections.abc import Iterator

import pytest

from hostler.config import Settings
from hostler.testing import FakeServer
from tests.docs.blocks import BLOCKS, RUN


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def fake_server() -> Iterator[FakeServer]:
    """With the models that the pages name."""
    models = {"smollm2-135m": "conversational", "gpt2-small": "text", "all-minilm-l6-v2": "embedding"}
    with FakeServer(models) as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [block for block in BLOCKS if block.not_run is not None]
    num_run = sum(block.language in RUN for block in BLOCKS if block.not_run is None)
    terminalreporter.write_line(f"{num_run} blocks of the documents are run; {len(left_out)} are not, and say why:")
    for block in left_out:
        terminalreporter.write_line(f"  {block.place}: {block.not_run}")
