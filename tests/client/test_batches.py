"""Many prompts at once."""

from typing import Any

import httpx2
import pytest

from hostler.client import AsyncHostler, Hostler
from hostler.errors import ContextLengthError, InvalidRequestError, ModelNotFoundError
from hostler.testing import FakeServer
from tests.client.conftest import Either

CHAT, TEXT = "fake-chat", "fake-text"
PROMPTS = [f"prompt {number}" for number in range(20)]


async def test_items_are_in_the_order_of_the_prompts(either: Either, server: FakeServer) -> None:
    server.model(TEXT).answer = str.upper
    items = await either.ask("batch", TEXT, PROMPTS, concurrency=5, seed=1)
    assert [item.prompt for item in items] == PROMPTS
    assert [item.answer["generated_text"] for item in items] == [[prompt + prompt.upper()] for prompt in PROMPTS]
    assert all(request.json["seed"] == 1 for request in server.requests)


async def test_an_error_is_that_of_its_item_alone(either: Either, server: FakeServer) -> None:
    items = await either.ask("batch", TEXT, ["Hi", "word " * 2000, "Ho"], max_new_tokens=1)
    assert [item.error is None for item in items] == [True, False, True]
    assert isinstance(items[1].error, ContextLengthError)
    with pytest.raises(ContextLengthError):
        _ = items[1].answer


async def test_several_models_are_asked_one_after_the_other(either: Either, server: FakeServer) -> None:
    items = await either.ask("batch", [TEXT, "nobody", CHAT], ["a", "b"], concurrency=1)
    assert [(item.model, item.prompt) for item in items] == [
        (model, prompt) for model in (TEXT, "nobody", CHAT) for prompt in ("a", "b")
    ]
    assert [type(item.error) for item in items[2:4]] == [ModelNotFoundError] * 2
    assert [request.path for request in server.requests[:2]] == ["/models/fake-text/generate"] * 2


async def test_messages_and_conversations_are_answered(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = str.upper
    items = await either.ask("batch_chat", CHAT, ["a", [{"role": "user", "content": "b"}]])
    assert [item.answer["response"] for item in items] == ["A", "B"]


async def test_nothing_to_ask_is_no_items(either: Either) -> None:
    assert await either.ask("batch", TEXT, []) == []


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_a_batch_that_would_never_send_is_refused(either: Either, concurrency: int) -> None:
    with pytest.raises(InvalidRequestError, match="1 or more") as caught:
        await either.ask("batch", TEXT, ["a"], concurrency=concurrency)
    assert caught.value.param == "concurrency"


async def test_the_bar_counts_items_and_failures_on_the_standard_error(
    either: Either, server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    server.fail(ModelNotFoundError("gone"))
    await either.ask("batch", TEXT, ["a", "b", "c"], progress=True, concurrency=1)
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert "1 failed" in shown.err
    assert shown.out == ""


async def test_what_is_no_error_of_the_server_ends_a_batch(kind: type[Hostler] | type[AsyncHostler]) -> None:
    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    transport: Any = httpx2.MockTransport(fail)
    either = Either(kind("http://server", transport=transport))
    with pytest.raises(ZeroDivisionError):
        await either.ask("batch", TEXT, PROMPTS, concurrency=2)
