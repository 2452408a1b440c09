import asyncio
from typing import Any

import msgspec
import pytest

from hostler.protocol.capabilities import RENDERING
from hostler.protocol.model_answers import Capabilities
from hostler.testing.model import FACTS
from hostler.types import ChatFormat
from tests.server.conftest import Served, serving
from tests.server.test_streaming import until

OF_A_LOAD = {
    "architecture",
    "is_encoder_decoder",
    "max_model_len",
    "dtype",
    "device",
    "revision",
    "chat_format",
    "chat_rendering",
    "tools",
    "has_prompt_logprobs",
    "pooling",
}


async def asked(served: Served, name: str) -> dict[str, Any]:
    response = await served.client.get(f"/models/{name}/capabilities")
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    assert set(answer) == set(Capabilities.__annotations__)
    return answer


async def test_a_model_that_is_not_loaded_is_described_and_stays_so(served: Served) -> None:
    answer = await asked(served, "acme%2FTiny-Chat")
    assert (answer["model_id"], answer["loaded"]) == ("tiny-chat", False)
    assert {name for name, value in answer.items() if value is None} == OF_A_LOAD
    assert served.launcher.workers == []


async def test_a_model_that_loads_is_not_waited_for(served: Served) -> None:
    gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()
    load = asyncio.create_task(served.client.post("/models/tiny-chat/load"))
    await until(lambda: bool(served.launcher.workers))
    assert (await asked(served, "tiny-chat"))["loaded"] is False
    gate.set()
    await load


@pytest.mark.parametrize("chat_format", ChatFormat)
async def test_a_loaded_model_says_how_a_conversation_is_put_to_it(served: Served, chat_format: ChatFormat) -> None:
    facts = msgspec.structs.replace(FACTS, chat_format=chat_format, revision="abc")
    served.launcher.model("tiny-chat").facts = facts
    await served.client.post("/models/tiny-chat/load")
    answer = await asked(served, "tiny-chat")
    assert answer["loaded"] is True
    assert (answer["chat_format"], answer["chat_rendering"]) == (chat_format.value, RENDERING[chat_format])
    assert (answer["architecture"], answer["dtype"], answer["device"]) == ("FakeForCausalLM", "float32", "cpu")
    assert (answer["max_model_len"], answer["revision"]) == (1024, "abc")
    assert answer["has_prompt_logprobs"] is True


@pytest.mark.parametrize(("has_tool_template", "told_by"), [(True, "template"), (False, "instruction")])
async def test_a_loaded_model_says_how_it_is_told_of_tools(
    served: Served, has_tool_template: bool, told_by: str
) -> None:
    served.launcher.model("tiny-chat").facts = msgspec.structs.replace(FACTS, has_tool_template=has_tool_template)
    await served.client.post("/models/tiny-chat/load")

    assert (await asked(served, "tiny-chat"))["tools"] == told_by


async def test_parameters_are_those_of_the_model(served: Served) -> None:
    parameters = (await asked(served, "tiny-chat"))["parameters"]
    assert parameters["chat"]["temperature"]["default"] == 0.5
    assert parameters["generate"]["max_new_tokens"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 4096,
        "default": 100,
    }
    assert parameters["/v1/chat/completions"]["top_p"] == {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0}


async def test_limits_are_those_of_the_model_and_of_the_server() -> None:
    async with serving(max_body_bytes=4096) as served:
        limits = (await asked(served, "other-text"))["limits"]
    assert (limits["max_body_bytes"], limits["max_queued_requests"], limits["max_prompts"]) == (4096, 3, 3)
    assert (limits["max_choices"], limits["max_stop_strings"]) == (128, 32)


async def test_every_route_that_is_told_takes_the_model(served: Served) -> None:
    routes = (await asked(served, "tiny-text"))["routes"]
    assert {
        "POST /models/tiny-text/generate",
        "POST /models/tiny-text/v1/chat/completions",
        "POST /v1/completions",
        "POST /tokenize",
        "GET /models/tiny-text/tokenizer_info",
    } <= set(routes)
    assert not any("{" in route or route in ("GET /models", "POST /chat") for route in routes)


async def test_an_unknown_model_is_a_404(served: Served) -> None:
    response = await served.client.get("/models/none/capabilities")
    assert (response.status_code, response.json()["code"]) == (404, "model_not_found")
