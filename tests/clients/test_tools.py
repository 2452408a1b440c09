"""Calls of tools through the clients that agents are built on."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient


@pytest.fixture(scope="module")
def openai_python(run_python: RunClient) -> dict[str, Any]:
    return run_python("openai", "openai_tools.py")


@pytest.fixture(scope="module")
def langchain(run_python: RunClient) -> dict[str, Any]:
    return run_python("langchain", "langchain_tools.py")


def is_weather(call: list[Any]) -> bool:
    name, arguments = call
    return (
        name == "weather"
        and isinstance(arguments["city"], str)
        and arguments["unit"] in ("celsius", "fahrenheit")
        and len(arguments) == 2
    )


def test_openais_client_gets_the_calls_that_it_asks_for(openai_python: dict[str, Any]) -> None:
    (required,) = openai_python["required"]
    assert is_weather(required) or required == ["clock", {}]
    assert (openai_python["content"], openai_python["finish_reason"]) == (None, "tool_calls")
    assert openai_python["none"] == []


def test_openais_client_parses_them_into_its_models(openai_python: dict[str, Any]) -> None:
    name, unit = openai_python["parsed"]
    assert name == "Weather"
    assert unit in ("celsius", "fahrenheit")


def test_openais_helper_makes_the_same_of_a_stream(openai_python: dict[str, Any]) -> None:
    # Not of the same call: what is reused of the first prompt is rounded otherwise, and a choice may hang on that.
    (streamed,) = openai_python["streamed"]
    assert is_weather(streamed) or streamed == ["clock", {}]
    assert openai_python["streamed_reason"] == "tool_calls"
    assert openai_python["streamed_deltas"] == openai_python["streamed"][0][1]
    assert openai_python["num_deltas"] > 1
    assert openai_python["num_done"] == 1


def test_a_conversation_goes_on_after_a_call(openai_python: dict[str, Any], langchain: dict[str, Any]) -> None:
    assert openai_python["follow_up"]
    assert langchain["follow_up"]


def test_every_mistake_is_a_400_that_names_the_field(openai_python: dict[str, Any]) -> None:
    assert {mistake: (error["status"], error["param"]) for mistake, error in openai_python["errors"].items()} == {
        "many": (400, "tools"),
        "twice": (400, "tools"),
        "choice": (400, "tool_choice"),
        "unknown": (400, "tool_choice"),
        "without": (400, "tool_choice"),
        "endless": (400, "tools"),
    }


def test_langchain_binds_tools_and_structures_answers(langchain: dict[str, Any]) -> None:
    (required,) = langchain["required"]
    assert is_weather(required)
    (streamed,) = langchain["streamed"]
    assert is_weather(streamed)
    assert langchain["is_final"] == "tool_calls"
    (by_name,) = langchain["by_name"]
    assert is_weather(by_name)
    assert langchain["structured"] == ["Answer", "bool"]


def test_an_agent_of_pydantic_ai_answers_by_a_type(run_python: RunClient) -> None:
    shown = run_python("pydantic_ai", "pydantic_ai_tools.py")

    name, kind = shown["typed"]
    assert name == "Place"
    assert kind in ("town", "country")
    assert set(shown["calls"]) == {"final_result"}
    assert shown["streamed"] == "Place"


def test_instructor_gets_its_models(run_python: RunClient) -> None:
    shown = run_python("instructor", "instructor_client.py")

    name, kind = shown["typed"]
    assert name == shown["called"] == shown["as_json"] == "Place"
    assert kind in ("town", "country")
    num_partial, kind = shown["partial"]
    assert num_partial > 1
    assert kind in ("town", "country")
