"""A request says until when its answer is of use."""

import asyncio
from dataclasses import replace

import pytest
import uvloop

from hostler.errors import DeadlineError
from hostler.lifecycle.plan import Plan
from hostler.registry import ModelSpec
from hostler.server.request_context import MAX_DEADLINE_MS, Deadline, _within
from tests.server.conftest import Served, serving
from tests.server.test_openai import CHAT, events
from tests.server.test_streaming import until

CHAT_PATH = "/v1/chat/completions"
SOON = {"x-request-deadline-ms": "30"}
LATER = {"x-request-deadline-ms": "60000"}


async def test_an_answer_in_time_is_one_like_any_other(served: Served) -> None:
    plain = await served.client.post(CHAT_PATH, json=CHAT)
    hurried = await served.client.post(CHAT_PATH, json=CHAT, headers=LATER)
    assert hurried.status_code == 200
    assert hurried.json()["choices"] == plain.json()["choices"]


@pytest.mark.parametrize("value", ["0", "-5"])
async def test_a_request_that_comes_too_late_is_refused_and_loads_nothing(served: Served, value: str) -> None:
    answer = await served.client.post(CHAT_PATH, json=CHAT, headers={"x-request-deadline-ms": value})
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert answer.headers["x-should-retry"] == "false"
    assert served.launcher.workers == []


def test_a_deadline_that_has_passed_is_told_as_one_however_the_clock_is_rounded() -> None:
    async def run_out_of_time() -> None:
        loop = asyncio.get_running_loop()
        for tenths in range(40):
            with pytest.raises(DeadlineError):
                async with _within(Deadline(at=loop.time() + 0.001 + tenths / 10_000, asked_ms=1)):
                    await asyncio.Event().wait()

    uvloop.run(run_out_of_time())


async def test_when_the_time_of_something_else_runs_out_it_is_not_the_deadline() -> None:
    deadline = Deadline(at=asyncio.get_running_loop().time() + 60, asked_ms=60_000)
    with pytest.raises(TimeoutError):
        async with _within(deadline):
            raise TimeoutError


@pytest.mark.parametrize("value", ["soon", "1.5", "", "٣", str(MAX_DEADLINE_MS + 1), "9" * 5000])
async def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(served: Served, value: str) -> None:
    headers = [(b"x-request-deadline-ms", value.encode())]
    answer = await served.client.post(CHAT_PATH, json=CHAT, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-request-deadline-ms"
    assert len(answer.content) < 1024


async def test_a_request_that_ends_before_its_model_could_be_there_is_refused_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = served.manager.plan

    async def slow(spec: ModelSpec) -> Plan:
        return replace(await plan(spec), expected_s=90.0)

    monkeypatch.setattr(served.manager, "plan", slow)
    answer = await served.client.post(CHAT_PATH, json=CHAT, headers=LATER)
    assert answer.status_code == 504
    assert "takes 90.0 s" in answer.json()["error"]["message"]
    assert served.launcher.workers == []


async def test_a_load_goes_on_when_the_request_that_caused_it_has_run_out_of_time(served: Served) -> None:
    gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()
    answer = await served.client.post(CHAT_PATH, json=CHAT, headers=SOON)
    assert answer.status_code == 504
    gate.set()
    await until(lambda: served.manager.loaded_ids() == ["tiny-chat"])


@pytest.mark.parametrize("path", [CHAT_PATH, "/models/tiny-chat/chat", "/models/tiny-chat/generate"])
async def test_an_answer_that_takes_too_long_is_stopped_in_the_engine(served: Served, path: str) -> None:
    model = served.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 1
    body = {"message": "a"} if path.endswith("/chat") else {"text": "a"}
    answer = await served.client.post(path, json=CHAT if path == CHAT_PATH else body, headers=SOON)
    assert answer.status_code == 504
    assert not served.launcher.worker("tiny-chat").running


async def test_a_stream_says_what_came_in_time_and_ends_with_the_error(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 1
    await served.client.post("/models/tiny-chat/load")
    answer = await served.client.post(CHAT_PATH, json=CHAT | {"stream": True}, headers={"x-request-deadline-ms": "500"})
    assert answer.status_code == 200
    told = events(answer.text)
    assert "word0" in answer.text
    assert told[-1]["error"]["code"] == "deadline_exceeded"
    assert not served.launcher.worker("tiny-chat").running


async def test_what_asks_a_tokenizer_has_a_deadline_too() -> None:
    async with serving() as served:
        served.launcher.model("tiny-chat").load_gate = asyncio.Event()
        answer = await served.client.post("/models/tiny-chat/tokenize", json={"prompt": "a"}, headers=SOON)
        assert answer.status_code == 504
