"""LlamaIndex's OpenAILike."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_openai_errors


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("llama_index", "llama_index_client.py")


def test_a_chat_is_the_same_whole_and_streamed(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"]
    assert shown["stopped"] == "The capital of France is"


def test_its_defaults_are_accepted(shown: dict[str, Any]) -> None:
    assert shown["defaults"]


def test_the_completion_route_is_served_whole_and_streamed(shown: dict[str, Any]) -> None:
    assert shown["completion"].startswith(" Paris")
    assert shown["completion_streamed"] == shown["completion"]


def test_every_mistake_is_openais_own_class(shown: dict[str, Any]) -> None:
    assert_openai_errors(shown["errors"])
