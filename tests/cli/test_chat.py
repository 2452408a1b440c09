"""`hostler chat` and `generate`, against a server that answers from memory."""

import builtins
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import hostler.errors
from hostler.cli import chatting
from hostler.cli.chat_session import HELP, ChatSession
from hostler.cli.waiting import WaitLine
from hostler.client import Hostler
from tests.cli.conftest import ROW, Answer, Run

ANSWER = {"response": "Hi there", "model_id": "a", "model_name": "org/a", "context": "c"}
GENERATED = {
    "generated_text": ["Hi there"],
    "model_id": "a",
    "model_name": "org/a",
    "input_length": 1,
    "output_length": [2],
    "generation_params": {
        "max_length": 64,
        "max_new_tokens": 63,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "do_sample": True,
        "num_return_sequences": 1,
        "seed": None,
        "stop": [],
    },
}


class Server:
    """Answers every message with `Hi there`, in two pieces after a wait."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.error: dict[str, Any] | None = None
        """What the stream ends with instead of its second piece."""

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.paths.append(request.url.path)
        if request.method == "GET":
            return self._tell(request.url.path)
        body = json.loads(request.content)
        self.bodies.append(body)
        if not body.get("stream"):
            return httpx2.Response(200, json=GENERATED)
        pieces: list[dict[str, Any]] = [
            {"index": 0, "text": "Hi ", "finish_reason": None},
            {"index": 0, "text": "there", "finish_reason": "stop"},
        ]
        whole = ANSWER if request.url.path.endswith("/chat") else GENERATED
        events = [*pieces, whole] if self.error is None else [pieces[0], {"error": self.error}]
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return httpx2.Response(200, text=f": loading 43% eta=6s\n\n{lines}data: [DONE]\n\n")

    def _tell(self, path: str) -> httpx2.Response:
        if path == "/models":
            return httpx2.Response(200, json={"a": ROW, "b": {**ROW, "loaded": False}})
        if path == "/health":
            return httpx2.Response(200, json={"status": "healthy"})
        model_id = path.split("/")[2]
        if model_id not in ("a", "b"):
            return httpx2.Response(404, json={"detail": f"no model {model_id!r}", "code": "model_not_found"})
        return httpx2.Response(200, json={**ROW, "model_id": model_id})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def run(run: Run, answer_with: Callable[[Answer], None], server: Server) -> Run:
    answer_with(server.answer)
    return run


@pytest.fixture
def told() -> list[str]:
    """What the one who waits is told."""
    return []


@pytest.fixture
def session(server: Server, told: list[str]) -> Iterator[ChatSession]:
    with Hostler("http://server", transport=httpx2.MockTransport(server.answer)) as connected:
        yield ChatSession(connected, connected.conversation("a"), told.append)


def enter(session: ChatSession, line: str) -> str:
    return "".join(session.enter(line))


def test_a_text_is_continued_as_it_comes(run: Run, server: Server) -> None:
    result = run("generate", "Hi", "--model", "a", "--seed", "1", "--max-new-tokens", "2")
    assert (result.exit_code, result.stdout) == (0, "Hi there\n")
    assert server.bodies == [{"text": "Hi", "max_new_tokens": 2, "seed": 1, "stream": True}]


def test_a_text_may_be_piped_in_and_the_answer_be_json(run: Run, server: Server) -> None:
    result = run("generate", "-", "--json", typed="Hi")
    assert json.loads(result.stdout) == GENERATED
    assert server.bodies[0]["text"] == "Hi"


def test_what_is_piped_into_a_chat_is_one_message(run: Run, server: Server) -> None:
    result = run("chat", "a", "--system", "Be brief", "--temperature", "0", typed="Hello\nyou\n")
    assert (result.exit_code, result.stdout) == (0, "Hi there\n")
    assert server.bodies[0]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hello\nyou"},
    ]
    assert server.bodies[0]["temperature"] == 0


def test_a_model_that_is_not_there_is_told_before_anything_is_typed(run: Run) -> None:
    result = run("chat", "nobody", typed="Hello")
    assert result.exit_code == 1
    assert "no model 'nobody'" in result.stderr


def test_a_message_is_asked_with_all_that_was_said(session: ChatSession, server: Server) -> None:
    enter(session, "Hello")
    enter(session, "And?")
    assert server.bodies[1]["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi there"},
        {"role": "user", "content": "And?"},
    ]


def test_another_model_goes_on_with_the_same_conversation(session: ChatSession, server: Server) -> None:
    enter(session, "Hello")
    assert enter(session, "/model b") == "b"
    enter(session, "And?")
    assert server.paths[-1] == "/models/b/chat"
    assert len(server.bodies[-1]["messages"]) == 3


def test_a_system_message_can_be_taken_back(session: ChatSession, server: Server) -> None:
    enter(session, "/system Be brief")
    enter(session, "Hello")
    enter(session, "/system")
    enter(session, "Hello")
    roles = [[message["role"] for message in body["messages"]] for body in server.bodies]
    assert roles == [["system", "user"], ["user", "assistant", "user"]]


def test_retry_asks_the_last_message_again(session: ChatSession, server: Server) -> None:
    enter(session, "Hello")
    enter(session, "/retry")
    assert server.bodies[0]["messages"] == server.bodies[1]["messages"]
    assert len(session.conversation.messages) == 2


def test_an_answer_that_breaks_off_keeps_what_came(session: ChatSession, server: Server) -> None:
    server.error = {"detail": "the model was unloaded", "code": "model_unloaded"}
    with pytest.raises(hostler.errors.HostlerError, match="unloaded"):
        enter(session, "Hello")
    assert session.conversation.messages[-1] == {"role": "assistant", "content": "Hi "}


def test_a_conversation_can_be_saved_and_cleared(session: ChatSession, tmp_path: Path) -> None:
    enter(session, "/system Be brief")
    enter(session, "Hello")
    enter(session, f"/save {tmp_path / 'talk.json'}")
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert (saved["model"], [message["role"] for message in saved["messages"]]) == (
        "a",
        ["system", "user", "assistant"],
    )
    enter(session, "/clear")
    assert [message["role"] for message in session.conversation.messages] == ["system"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("/modle b", "did you mean 'model'"),
        ("/retry", "nothing has been asked"),
        ("/save", "name the file"),
        ("/save /nowhere/at/all", "could not be written"),
        ("/model nobody", "no model 'nobody'"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(session: ChatSession, line: str, problem: str) -> None:
    with pytest.raises(hostler.errors.HostlerError, match=problem):
        enter(session, line)


def test_the_models_in_memory_are_marked(session: ChatSession) -> None:
    assert enter(session, "/models") == "* a\n  b"


def test_who_waits_is_told_for_what(session: ChatSession, told: list[str]) -> None:
    enter(session, "Hello")
    assert told == ["loading 43% eta=6s"]


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str | BaseException) -> None:
    """Each as one `input`; then Ctrl-D."""
    waiting = iter(lines)

    def read(_: str) -> str:
        line = next(waiting, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr(builtins, "input", read)


def test_a_terminal_answers_until_the_user_leaves(
    session: ChatSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "Hello", "", "/help", KeyboardInterrupt(), "/nothing", "/quit", "never read")
    chatting.talk(session, WaitLine(), None)
    output = capsys.readouterr()
    assert output.out == f"Hi there\n{HELP}\n"
    assert "Ctrl-D or /quit leaves" in output.err
    assert "there is no command /nothing" in output.err


def test_an_answer_that_is_stopped_leaves_the_conversation_open(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupts = iter([KeyboardInterrupt()])

    def interrupt_once(_: str) -> None:
        for interrupt in interrupts:
            raise interrupt

    type_in(monkeypatch, "Hello", "Again")
    with Hostler("http://server", transport=httpx2.MockTransport(server.answer)) as connected:
        chatting.talk(ChatSession(connected, connected.conversation("a"), interrupt_once), WaitLine(), None)
    output = capsys.readouterr()
    assert "stopped" in output.err
    assert output.out.strip() == "Hi there"


def test_a_saved_conversation_goes_on(run: Run, session: ChatSession, server: Server, tmp_path: Path) -> None:
    enter(session, "Hello")
    path = tmp_path / "talk.json"
    enter(session, f"/save {path}")
    assert enter(session, f"/load {path}") == "2 messages; a goes on"
    assert run("chat", "--resume", str(path), typed="And?").exit_code == 0
    assert (server.paths[-1], len(server.bodies[-1]["messages"])) == ("/models/a/chat", 3)


def test_a_piped_chat_is_json_for_programs(run: Run) -> None:
    answered = json.loads(run("chat", "--json", typed="Hello").stdout)
    assert answered["model"] == "a"
    assert answered["messages"][-1] == {"role": "assistant", "content": "Hi there"}


def test_a_slash_that_is_piped_in_is_a_message(run: Run, server: Server) -> None:
    run("chat", "a", typed="/etc/passwd is what?")
    assert server.bodies[0]["messages"][0]["content"] == "/etc/passwd is what?"
