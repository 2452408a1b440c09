"""Tests a program that asks a model, with a server that has none.

pip install pytest, then pytest examples/10_testing.py
"""

import pytest

from hostler.client import Hostler
from hostler.errors import RateLimitError
from hostler.testing import FakeServer, fake_server


def headline(client: Hostler, text: str) -> str:
    """What is tested here: the program."""
    return client.chat(f"Give this a headline: {text}")["response"].strip().rstrip(".")


server = pytest.fixture(fake_server)


def test_a_headline_has_no_full_stop(server: FakeServer) -> None:
    server.model("fake-chat").answer = "Horse wins race.\n"
    with Hostler(server.url) as client:
        assert headline(client, "A horse won.") == "Horse wins race"
    assert server.requests[0].json == {"message": "Give this a headline: A horse won."}


def test_a_busy_server_is_asked_again(server: FakeServer) -> None:
    server.fail(RateLimitError("slow down"))
    with Hostler(server.url, retry_backoff_s=0) as client:
        assert headline(client, "A horse won.")
    assert len(server.requests) == 2
