import asyncio
from typing import Any

import pytest

from hostler.errors import EngineRequestError, ModelLoadError
from hostler.protocol.model_answers import ComparedAnswer
from hostler.server.streaming import StreamTiming
from hostler.types import ChatMessage, ChatPrompt, TextPrompt
from tests.server.conftest import Served, serving
from tests.server.test_openai import events
from tests.server.test_streaming import listening, post, until

BOTH = {"models": ["tiny-text", "acme/Tiny-Chat"], "text": "once upon", "max_new_tokens": 2}
NUMBERS = ("prompt_tokens", "completion_tokens", "load_s", "ttft_s", "total_s", "tokens_per_second")


async def compare(served: Served, **asked: Any) -> list[dict[str, Any]]:
    response = await served.client.post("/compare", json=asked)
    assert response.status_code == 200
    answers: list[dict[str, Any]] = response.json()["answers"]
    return answers


def nothing_runs(served: Served) -> bool:
    return not any(served.manager.status(model_id).num_leases for model_id in served.manager.registry)


async def test_every_model_answers_the_same_in_the_order_in_which_it_was_named(served: Served) -> None:
    first, second = await compare(served, **BOTH)
    assert (first["model_id"], first["model_name"]) == ("tiny-text", "tiny")
    assert (second["model_id"], second["model_name"]) == ("tiny-chat", "acme/Tiny-Chat")
    for answer in (first, second):
        assert set(answer) == set(ComparedAnswer.__annotations__)
        assert (answer["answer"], answer["finish_reason"], answer["error"]) == ("word0 word1 ", "length", None)
        assert (answer["prompt_tokens"], answer["completion_tokens"]) == (2, 2)
        assert 0 <= answer["load_s"] <= answer["load_s"] + answer["ttft_s"] <= answer["total_s"] + 0.001
        assert answer["tokens_per_second"] > 0
    assert nothing_runs(served)


async def test_parameters_and_prompt_reach_every_model(served: Served) -> None:
    await compare(served, models=["tiny-text", "tiny-chat"], message="hi", seed=3, stop=["x"], max_new_tokens=4)
    for model_id, temperature in (("tiny-text", 0.7), ("tiny-chat", 0.5)):
        ((prompt, params),) = served.launcher.worker(model_id).requests
        assert prompt == ChatPrompt(messages=[ChatMessage(role="user", content="hi")])
        assert (params.seed, params.stop, params.max_tokens, params.temperature) == (3, ["x"], 4, temperature)


async def test_a_text_is_put_to_every_model_as_it_is(served: Served) -> None:
    await compare(served, **BOTH)
    assert served.launcher.worker("tiny-chat").requests[0][0] == TextPrompt(text="once upon")


async def test_a_stream_has_the_pieces_of_all_and_ends_each_with_its_answer(served: Served) -> None:
    response = await served.client.post("/compare", json=BOTH | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response.text)
    for model_id in ("tiny-text", "tiny-chat"):
        *pieces, last = [event for event in told if event["model_id"] == model_id]
        assert pieces == [
            {"model_id": model_id, "text": "word0 ", "finish_reason": None},
            {"model_id": model_id, "text": "word1 ", "finish_reason": "length"},
        ]
        assert (last["answer"], last["completion_tokens"]) == ("word0 word1 ", 2)
    assert response.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_model_that_fails_is_an_error_in_its_own_place(served: Served, is_streamed: bool) -> None:
    served.launcher.model("tiny-text").load_error = ModelLoadError("the file is cut short")
    broken = served.launcher.model("other-text")
    broken.generation_error, broken.num_free_words = EngineRequestError("lost"), 1
    asked = BOTH | {"models": ["tiny-text", "other-text", "tiny-chat"], "stream": is_streamed}
    response = await served.client.post("/compare", json=asked)
    told = events(response.text) if is_streamed else response.json()["answers"]
    ended = {event["model_id"]: event for event in told if "answer" in event}
    assert ended["tiny-text"]["error"] == {"detail": "the file is cut short", "code": "model_load_failed"}
    assert ended["other-text"]["error"] == {"detail": "lost", "code": "engine_error"}
    assert all(ended["tiny-text"][name] is None for name in ("answer", "finish_reason", *NUMBERS))
    assert (ended["tiny-chat"]["answer"], ended["tiny-chat"]["error"]) == ("word0 word1 ", None)
    assert nothing_runs(served)


async def test_a_prompt_that_is_too_long_for_one_model_is_answered_by_the_others(served: Served) -> None:
    chat, text = await compare(served, models=["tiny-chat", "tiny-text"], text="a " * 1020, max_new_tokens=100)
    assert chat["error"]["code"] == text["error"]["code"] == "context_length_exceeded"


async def test_an_unknown_model_is_a_404_before_anything_starts(served: Served) -> None:
    for is_streamed in (False, True):
        asked = BOTH | {"models": ["tiny-text", "tiny-texd"], "stream": is_streamed}
        response = await served.client.post("/compare", json=asked)
        assert (response.status_code, response.json()["code"]) == (404, "model_not_found")
    assert served.launcher.workers == []


async def test_a_model_that_is_named_twice_is_a_400(served: Served) -> None:
    response = await served.client.post("/compare", json=BOTH | {"models": ["tiny-chat", "acme/tiny-chat"]})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")
    assert "tiny-chat" in response.json()["detail"]
    assert served.launcher.workers == []


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_with_room_for_one_model_all_are_answered_one_after_the_other(is_streamed: bool) -> None:
    async with serving(max_concurrent_models=1) as served:
        asked = BOTH | {"models": ["tiny-chat", "tiny-text", "other-text"], "stream": is_streamed}
        response = await served.client.post("/compare", json=asked)
        told = events(response.text) if is_streamed else response.json()["answers"]
        assert [event["error"] for event in told if "answer" in event] == [None] * 3
        assert len(served.launcher.workers) == 3
        assert len(served.launcher.alive) == 1


async def test_two_comparisons_of_the_same_models_do_not_hold_each_other_up() -> None:
    async with serving(max_concurrent_models=1) as served:
        names = ["tiny-chat", "tiny-text"]
        both = await asyncio.gather(
            compare(served, **BOTH | {"models": names}), compare(served, **BOTH | {"models": names[::-1]})
        )
        assert all(answer["error"] is None for answers in both for answer in answers)


async def test_a_fast_model_does_not_wait_for_a_slow_one() -> None:
    async with listening() as (port, launcher, manager):
        gate = launcher.model("tiny-text").load_gate = asyncio.Event()
        reader, writer = await post(port, "/compare", BOTH | {"stream": True})
        await reader.readuntil(b'"model_id":"tiny-chat","model_name":"acme/Tiny-Chat","answer":"word0 word1 "')
        assert manager.status("tiny-chat").num_leases == 0
        gate.set()
        await reader.readuntil(b'"answer":"word0 word1 "')
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()


async def test_a_silent_comparison_says_what_each_model_waits_for() -> None:
    timing = StreamTiming(comment_every_s=0.001)
    async with listening(timing) as (port, launcher, _):
        gate = launcher.model("tiny-text").load_gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        reader, writer = await post(port, "/compare", BOTH | {"stream": True})
        await reader.readuntil(b": tiny-text: loading\n: tiny-chat: loading\n\n")
        gate.set()
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_ends_all_of_it(is_streamed: bool) -> None:
    async with listening() as (port, launcher, manager):
        launcher.model("tiny-text").load_gate = asyncio.Event()
        launcher.model("tiny-chat").token_gate = asyncio.Event()
        _, writer = await post(port, "/compare", BOTH | {"stream": is_streamed})
        await until(lambda: manager.status("tiny-chat").num_leases == 1)
        await until(lambda: manager.status("tiny-text").num_waiting == 1)
        await until(lambda: bool(launcher.worker("tiny-chat").running))
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_leases == 0)
        assert manager.status("tiny-text").num_waiting == 0
        assert launcher.worker("tiny-chat").num_aborted == 1
