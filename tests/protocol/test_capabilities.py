from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from hostler.protocol import capabilities
from hostler.protocol.model_answers import Parameter
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.types import ChatFormat

Parameters = dict[str, dict[str, Parameter]]

REQUESTS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "generate": (GenerateRequest, {"text": "a"}),
    "chat": (ChatRequest, {"message": "a"}),
    "/v1/chat/completions": (ChatCompletionRequest, {"model": "m", "messages": [{"role": "user", "content": "a"}]}),
    "/v1/completions": (CompletionRequest, {"model": "m", "prompt": "a"}),
}

ABOUT_THE_PROMPT = (
    *("model", "texts", "context", "messages", "stream_options", "add_generation_prompt", "continue_final_message"),
    *("tools", "tool_choice", "parallel_tool_calls"),
)


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    adapters: list[Any] = [(model, "validation", TypeAdapter(model)) for model, _ in REQUESTS.values()]
    _, schemas = TypeAdapter.json_schemas(adapters)
    return capabilities.parameters(schemas["$defs"], default_max_length=77, suggested_temperature=0.4)


def test_every_parameter_of_every_request_is_told(parameters: Parameters) -> None:
    for route, (model, content) in REQUESTS.items():
        without = {*content, *ABOUT_THE_PROMPT}
        assert set(parameters[route]) == set(model.model_fields) - without


@pytest.mark.parametrize(
    ("route", "name", "default"),
    [
        ("generate", "temperature", 0.7),
        ("generate", "top_p", 0.9),
        ("generate", "top_k", 50),
        ("generate", "do_sample", True),
        ("generate", "max_length", None),
        ("generate", "max_new_tokens", 77),
        ("generate", "num_return_sequences", 1),
        ("generate", "stop", []),
        ("generate", "stream", False),
        ("chat", "temperature", 0.4),
        ("chat", "max_new_tokens", None),
        ("/v1/chat/completions", "temperature", 0.4),
        ("/v1/chat/completions", "max_completion_tokens", None),
        ("/v1/chat/completions", "logprobs", False),
        ("/v1/chat/completions", "num_beams", 1),
        ("/v1/completions", "max_tokens", 16),
        ("/v1/completions", "n", 1),
        ("/v1/completions", "logit_bias", {}),
        ("/v1/completions", "logprobs", None),
    ],
)
def test_a_default_is_what_a_request_comes_to_without_the_field(
    parameters: Parameters, route: str, name: str, default: object
) -> None:
    assert parameters[route][name]["default"] == default


def test_a_default_may_be_sent(parameters: Parameters) -> None:
    for route, (model, content) in REQUESTS.items():
        for name, parameter in parameters[route].items():
            model.model_validate({**content, name: parameter["default"]})


def test_what_is_outside_a_range_is_refused(parameters: Parameters) -> None:
    num_bounds = 0
    for route, (model, content) in REQUESTS.items():
        for name, parameter in parameters[route].items():
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in parameter:
                    num_bounds += 1
                    with pytest.raises(ValidationError):
                        model.model_validate({**content, name: parameter[bound] + step})
    assert num_bounds > 20


def test_a_native_temperature_is_0_or_at_least_a_tenth(
    parameters: Parameters,
) -> None:
    assert parameters["chat"]["temperature"]["anyOf"] == [
        {"const": 0},
        {"type": "number", "minimum": 0.1, "maximum": 2},
    ]


def test_every_chat_format_is_told_in_words() -> None:
    assert set(capabilities.RENDERING) == set(ChatFormat)


def test_images_and_functions_of_old_are_not_among_what_is_supported() -> None:
    assert capabilities.message_content() == ["text"]
    assert {"functions", "function_call"} <= set(capabilities.not_supported()["chat_completions"])
    assert capabilities.not_supported()["completions"] == ["suffix"]
    assert "user" in capabilities.without_effect()
