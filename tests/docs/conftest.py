"""A server whose models answer what each page expects."""

from collections.abc import Iterator

import pytest

from hostler.testing import FakeServer


@pytest.fixture(scope="session")
def fake_server() -> Iterator[FakeServer]:
    """With the models that the pages name."""
    models = {"smollm2-135m": "conversational", "gpt2-small": "text", "all-minilm-l6-v2": "embedding"}
    with FakeServer(models) as server:
        yield server
