import json
import re
from typing import Any

import msgspec
import openai
import pytest
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from hostler.server import openai_formats
from hostler.testing.model import FACTS
from tests.server.conftest import Served

CHAT: dict[str, Any] = {"model": "tiny-chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
COMPLETION: dict[str, Any] = {"model": "tiny-text", "prompt": "a b c", "max_tokens": 2}
USAGE = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}


def events(transcript: str) -> list[Any]:
    """The JSON of each event; checks the framing on the way."""
    *parts, end = transcript.split("\n\n")
    assert end == ""
    assert parts[-1] == "data: [DONE]"
    assert all(part.startswith("data: ") for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-1]]


def golden(event: dict[str, Any]) -> dict[str, Any]:
    """The event without what differs from run to run."""
    return {key: value for key, value in event.items() if key not in ("id", "created", "system_fingerprint")}


async def test_a_whole_chat_answer_has_every_key_that_openai_promises(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT)
    body = response.json()
    assert golden(body) == {
        "object": "chat.completion",
        "model": "tiny-chat",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word0 word1 ", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3} | USAGE,
    }
    assert body["id"].startswith("chatcmpl-")
    assert body["system_fingerprint"].startswith("fp_")
    ChatCompletion.model_validate_json(response.text, strict=True)


async def test_a_chat_stream_is_as_openai_sends_it(served: Served) -> None:
    asked = CHAT | {"n": 2, "stream": True, "stream_options": {"include_usage": True}}
    response = await served.client.post("/v1/chat/completions", json=asked)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = events(response.text)

    def chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {"object": "chat.completion.chunk", "model": "tiny-chat", "choices": [choice], "usage": None}

    first = {"role": "assistant", "content": "", "refusal": None}
    assert [golden(event) for event in chunks] == [
        chunk(0, first),
        chunk(1, first),
        chunk(0, {"content": "word0 "}),
        chunk(1, {"content": "word0 "}),
        chunk(0, {"content": "word1 "}),
        chunk(0, {}, "length"),
        chunk(1, {"content": "word1 "}),
        chunk(1, {}, "length"),
        {
            "object": "chat.completion.chunk",
            "model": "tiny-chat",
            "choices": [],
            "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5} | USAGE,
        },
    ]
    assert len({(event["id"], event["created"]) for event in chunks}) == 1
    for event in chunks:
        ChatCompletionChunk.model_validate_json(json.dumps(event), strict=True)


async def test_a_stream_without_include_usage_has_no_usage_at_all(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    assert all("usage" not in event for event in events(response.text))


@pytest.mark.parametrize(("asked", "used"), [({}, 0.5), ({"temperature": None}, 0.5), ({"temperature": 0}, 0.0)])
async def test_a_request_without_temperature_gets_the_models_own(
    asked: dict[str, Any], used: float, served: Served
) -> None:
    await served.client.post("/v1/chat/completions", json=CHAT | asked)
    _, params = served.launcher.worker("tiny-chat").requests[0]
    assert params.temperature == used


async def test_several_prompts_give_choices_prompt_by_prompt(served: Served) -> None:
    asked = COMPLETION | {"prompt": ["a", "b c"], "n": 2, "max_tokens": 1}
    response = await served.client.post("/v1/completions", json=asked)
    body = response.json()
    assert golden(body) == {
        "object": "text_completion",
        "model": "tiny-text",
        "choices": [{"index": i, "text": "word0 ", "logprobs": None, "finish_reason": "length"} for i in range(4)],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7} | USAGE,
    }
    assert body["id"].startswith("cmpl-")
    Completion.model_validate_json(response.text, strict=True)
    assert len(served.launcher.worker("tiny-text").requests) == 2


async def test_more_prompts_than_may_wait_are_refused_with_both_numbers(served: Served) -> None:
    body = COMPLETION | {"model": "other-text", "prompt": ["a"] * 4}
    response = await served.client.post("/v1/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("prompt", "invalid_value")
    assert "4 prompts, and at most 3 requests" in error["message"]
    assert (await served.client.get("/models/loaded")).json() == {"loaded_models": []}


async def test_a_completion_stream_is_as_openai_sends_it(served: Served) -> None:
    asked = COMPLETION | {"stream": True, "stream_options": {"include_usage": True}}
    chunks = events((await served.client.post("/v1/completions", json=asked)).text)

    def chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return {"object": "text_completion", "model": "tiny-text", "choices": [choice], "usage": None}

    assert [golden(event) for event in chunks] == [
        chunk("word0 "),
        chunk("word1 "),
        chunk("", "length"),
        {
            "object": "text_completion",
            "model": "tiny-text",
            "choices": [],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5} | USAGE,
        },
    ]


async def test_streamed_choices_of_several_prompts_carry_their_indices(served: Served) -> None:
    asked = COMPLETION | {"prompt": [[1, 2], [3]], "n": 2, "stream": True}
    chunks = events((await served.client.post("/v1/completions", json=asked)).text)
    texts = dict.fromkeys(range(4), "")
    for event in chunks:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == dict.fromkeys(range(4), "word0 word1 ")
    assert sum(choice["finish_reason"] == "length" for event in chunks for choice in event["choices"]) == 4


async def test_models_are_listed_and_described_as_openai_does(served: Served) -> None:
    response = await served.client.get("/v1/models")
    assert response.json()["object"] == "list"
    rows = response.json()["data"]
    assert [row["id"] for row in rows] == ["tiny-chat", "tiny-text", "other-text", "tiny-gated"]
    assert [row["owned_by"] for row in rows] == ["acme", "huggingface", "acme", "acme"]
    for row in rows:
        assert set(row) == {"id", "object", "created", "owned_by"}
        Model.model_validate_json(json.dumps(row), strict=True)
    for name in ("tiny-chat", "acme/Tiny-Chat", "acme%2FTiny-Chat"):
        assert (await served.client.get(f"/v1/models/{name}")).json() == rows[0]


async def test_an_unknown_model_is_a_404_with_the_nearest_names(served: Served) -> None:
    for response in (
        await served.client.get("/v1/models/tiny-chta"),
        await served.client.post("/v1/chat/completions", json=CHAT | {"model": "tiny-chta"}),
    ):
        assert response.status_code == 404
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
        assert "tiny-chat" in error["message"]


async def test_a_base_url_that_names_the_model_makes_the_field_needless(served: Served) -> None:
    messages = CHAT["messages"]
    chat = await served.client.post("/models/acme/Tiny-Chat/v1/chat/completions", json={"messages": messages})
    assert chat.json()["model"] == "tiny-chat"
    asked = {"messages": messages, "model": "dummy"}
    assert (await served.client.post("/models/tiny-chat/v1/chat/completions", json=asked)).status_code == 200
    completion = await served.client.post("/models/tiny-text/v1/completions", json={"prompt": "a"})
    assert completion.json()["model"] == "tiny-text"
    refused = await served.client.post("/models/tiny-text/v1/completions", json={"prompt": 5})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (CHAT | {"temperature": 3}, "temperature"),
        (CHAT | {"messages": []}, "messages"),
        (CHAT | {"messages": [{"role": "user"}]}, "messages"),
        (CHAT | {"tools": [{}]}, "tools"),
        (CHAT | {"max_token": 1}, "max_token"),
        ({"messages": CHAT["messages"]}, "model"),
        (CHAT | {"model": None}, "model"),
        (CHAT | {"max_tokens": 5000}, "max_tokens"),
        (CHAT | {"stream": True, "max_tokens": 5000}, "max_tokens"),
    ],
)
async def test_a_mistake_is_a_400_that_names_the_field(served: Served, body: dict[str, Any], param: str) -> None:
    response = await served.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert param in response.json()["error"]["message"] or "tokens" in response.json()["error"]["message"]


@pytest.mark.parametrize("content", [None, 5, {}, []])
async def test_a_mistake_in_a_message_is_located(served: Served, content: object) -> None:
    messages = [*CHAT["messages"], {"role": "user", "content": content}]
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"messages": messages})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("messages[1].content: ")


async def test_an_unknown_field_is_refused_with_the_nearest_known_one(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"max_token": 1})
    assert "did you mean 'max_tokens'" in response.json()["error"]["message"]


async def test_an_error_echoes_little_of_the_input(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"stream": "x" * 100_000, "y" * 9000: 1})
    assert response.status_code == 400
    assert len(response.content) < 1000


async def test_openais_own_client_needs_nothing_but_the_base_url(served: Served) -> None:
    async with openai.AsyncOpenAI(api_key="-", base_url="http://localhost/v1", http_client=served.client) as client:
        assert "tiny-chat" in [model.id async for model in client.models.list()]
        whole = await client.chat.completions.create(**CHAT)
        assert whole.choices[0].message.content == "word0 word1 "
        stream = await client.chat.completions.create(**CHAT, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "word0 word1 "
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(**CHAT | {"model": "nobody"})
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(**CHAT | {"temperature": 9})


async def fingerprint(served: Served, **facts: Any) -> str:
    """Of an answer by a model of those facts."""
    served.launcher.model("tiny-text").facts = msgspec.structs.replace(FACTS, **facts)
    await served.client.post("/models/tiny-text/load", json={"force_reload": True})
    response = await served.client.post("/v1/completions", json=COMPLETION)
    found: str = response.json()["system_fingerprint"]
    return found


async def test_the_fingerprint_changes_with_whatever_may_change_an_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = await fingerprint(served)
    assert await fingerprint(served) == usual
    others = [
        await fingerprint(served, revision="1234"),
        await fingerprint(served, dtype="bfloat16"),
        await fingerprint(served, architecture="OtherForCausalLM"),
    ]
    monkeypatch.setattr(openai_formats, "__version__", "999")
    others.append(await fingerprint(served))
    assert len({usual, *others}) == 5
    assert all(re.fullmatch("fp_[0-9a-f]{12}", found) for found in (usual, *others))
