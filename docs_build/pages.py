"""Which pages are generated, and from what."""

from collections.abc import Callable
from pathlib import Path

from docs_build import command_line, configuration, errors, http, metrics

ROOT = Path(__file__).parent.parent

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/configuration.md": configuration.page,
    "docs/reference/cli.md": command_line.page,
    "docs/reference/http.md": http.page,
    "docs/reference/metrics.md": metrics.page,
    "docs/reference/errors.md": errors.page,
}
"""By path in the repository: what writes the page. The pages are checked in, so that they can be read without a build;
a test holds them against the code."""
