"""A list of the blocks that no test runs, at the end of a run that has looked at the documents."""

import pytest

from tests.docs.blocks import BLOCKS, RUN

_FOLDER = "tests/docs/"


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In the process that prints: with several, those that run the tests print nothing."""
    if not any(report.nodeid.startswith(_FOLDER) for report in terminalreporter.getreports("passed")):
        return
    left_out = [block for block in BLOCKS if block.not_run is not None]
    num_run = sum(block.language in RUN for block in BLOCKS if block.not_run is None)
    terminalreporter.write_line(f"{num_run} blocks of the documents are run; {len(left_out)} are not, and say why:")
    for block in left_out:
        terminalreporter.write_line(f"  {block.place}: {block.not_run}")
