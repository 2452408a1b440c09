"""The command `llm`."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("llm", "llm_client.py")


def test_every_prompt_succeeds(shown: dict[str, Any]) -> None:
    runs = {name: run for name, run in shown.items() if name not in ("models", "unknown_model")}
    assert {name: run["stderr"] for name, run in runs.items() if run["status"] != 0} == {}
    assert "OpenAI Chat: hostler" in shown["models"]


def test_a_chat_is_the_same_whole_and_streamed_and_has_its_usage(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]["answer"]
    assert shown["streamed"]["answer"] == shown["whole"]["answer"]
    assert "37 input, 8 output" in shown["streamed"]["stderr"]
    assert "37 input, 8 output" in shown["whole"]["stderr"]


def test_a_conversation_goes_on(shown: dict[str, Any]) -> None:
    assert "Rome" in shown["continued"]["answer"]
    assert shown["with_system"]["answer"]


def test_options_reach_the_model(shown: dict[str, Any]) -> None:
    assert shown["with_options"]["answer"] == "The capital of France is\n"


def test_the_completion_route_is_served_whole_and_streamed(shown: dict[str, Any]) -> None:
    assert shown["completion_whole"]["answer"].startswith(" Paris")
    assert shown["completion_streamed"]["answer"] == shown["completion_whole"]["answer"]


def test_an_unknown_model_is_told_in_one_line(shown: dict[str, Any]) -> None:
    assert shown["unknown_model"]["status"] == 1
    assert "no model 'nobody' is registered" in shown["unknown_model"]["stderr"]
    assert len(shown["unknown_model"]["stderr"].splitlines()) == 1
