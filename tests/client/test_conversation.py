"""Conversations that the client keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from hostler.errors import ConfigError, EngineDeadError, InvalidRequestError, QueueFullError
from hostler.testing import FakeServer
from tests.client.conftest import Either, done, pieces_of

CHAT, TEXT = "fake-chat", "fake-text"


def said(*contents: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]


async def test_each_message_is_sent_with_all_before(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answers = ["Paris.", "Madrid."]
    talk = either.client.conversation(CHAT, system="Be brief.", temperature=0)
    assert await done(talk.ask("France?")) == "Paris."
    assert await done(talk.ask("Spain?", max_new_tokens=5)) == "Madrid."
    assert talk.messages == [
        {"role": "system", "content": "Be brief."},
        *said("France?", "Paris.", "Spain?", "Madrid."),
    ]
    last = server.requests[-1].json
    assert last["messages"] == talk.messages[:-1]
    assert (last["temperature"], last["max_new_tokens"]) == (0, 5)


async def test_the_model_and_the_system_can_be_changed_in_the_middle(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer, server.model(TEXT).answer = "a", "b"
    talk = either.client.conversation(CHAT, system="Be brief.")
    await done(talk.ask("1"))
    talk.model, talk.system = TEXT, None
    assert await done(talk.ask("2")) == "b"
    assert server.requests[-1].path == "/models/fake-text/chat"
    assert talk.messages == said("1", "a", "2", "b")


async def test_pieces_are_in_the_conversation_as_they_come(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = "one two three"
    talk = either.client.conversation(CHAT)
    stream = talk.stream("Count")
    if hasattr(stream, "__aiter__"):
        seen = [talk.messages[-1]["content"] async for _ in stream]
    else:
        seen = [talk.messages[-1]["content"] for _ in stream]
    assert seen == ["one ", "one two ", "one two three"]
    assert talk.messages == said("Count", "one two three")


async def test_what_came_before_an_error_stays(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = "one two three"
    server.fail_after(CHAT, 2, EngineDeadError("it died"))
    talk = either.client.conversation(CHAT)
    with pytest.raises(EngineDeadError):
        await pieces_of(talk.stream("Count"))
    assert talk.messages == said("Count", "one two ")


async def test_a_message_without_an_answer_leaves_it_as_it_was(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answers = ["Yes."]
    talk = either.client.conversation(CHAT)
    await done(talk.ask("Well?"))
    for again in (lambda: talk.ask("And?"), talk.retry):
        server.fail(QueueFullError("full"))
        with pytest.raises(QueueFullError):
            await done(again())
        assert talk.messages == said("Well?", "Yes.")


async def test_an_empty_answer_is_kept_too(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = ""
    talk = either.client.conversation(CHAT)
    assert await done(talk.ask("Well?")) == ""
    assert talk.messages == said("Well?", "")


async def test_the_last_message_is_answered_anew(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answers = ["a", "b", "c"]
    talk = either.client.conversation(CHAT)
    await done(talk.ask("1"))
    assert await done(talk.retry(seed=2)) == "b"
    assert server.requests[-1].json["seed"] == 2
    assert [piece["text"] for piece in await pieces_of(talk.retry_stream())] == ["c"]
    assert talk.messages == said("1", "c")


async def test_what_was_said_is_taken_back(either: Either, server: FakeServer) -> None:
    talk = either.client.conversation(CHAT, system="Be brief.")
    await done(talk.ask("1"))
    await done(talk.ask("2"))
    assert talk.undo() == "2"
    assert len(talk.messages) == 3
    talk.clear()
    assert talk.messages == [{"role": "system", "content": "Be brief."}]
    with pytest.raises(InvalidRequestError, match="nothing has been asked yet"):
        talk.undo()


async def test_a_saved_conversation_is_gone_on_with(either: Either, server: FakeServer, tmp_path: Path) -> None:
    server.model(CHAT).answer = "Ça va."
    talk = either.client.conversation(CHAT, system="En français.")
    await done(talk.ask("Ça va ?"))
    talk.save(tmp_path / "talk.json")
    assert json.loads((tmp_path / "talk.json").read_text(encoding="utf-8")) == {
        "model": CHAT,
        "messages": talk.messages,
    }
    other = either.client.conversation(path=tmp_path / "talk.json")
    assert (other.model, other.system, other.messages) == (CHAT, "En français.", talk.messages)
    assert either.client.conversation(TEXT, path=tmp_path / "talk.json").model == TEXT
    talk.clear()
    talk.load(tmp_path / "talk.json")
    assert talk.messages == other.messages


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"messages": 3}', '{"messages": ["Hi"]}', '{"messages": [{}]}', '{"messages": [{"role": 1}]}'],
)
async def test_a_file_that_holds_something_else_is_refused_and_nothing_changes(
    either: Either, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "talk.json"
    path.write_text(content)
    talk: Any = either.client.conversation(CHAT, system="Be brief.")
    with pytest.raises(ConfigError, match="is no conversation"):
        talk.load(path)
    assert (talk.model, talk.system) == (CHAT, "Be brief.")
