import pytest

from hostler.errors import InvalidRequestError
from hostler.protocol.turns import Turns
from hostler.tools import ToolCall
from hostler.types import ChatMessage

CALL = ToolCall(id="call_1", name="weather", arguments="{}")


def test_thoughts_text_and_calls_of_one_answer_are_one_message() -> None:
    turns = Turns()
    turns.say("user", "hi")
    turns.think("hm")
    turns.answer("I look.")
    turns.call(CALL)
    turns.call(ToolCall(id="call_2", name="time", arguments="{}"))

    assistant = turns.messages()[1]
    assert (assistant.reasoning_content, assistant.content) == ("hm", "I look.")
    assert [call.id for call in assistant.tool_calls] == ["call_1", "call_2"]


def test_what_comes_after_a_call_begins_another_message() -> None:
    turns = Turns()
    turns.call(CALL)
    turns.answer("And now.")
    turns.think("Then")
    turns.answer("this.")

    assert [message.content for message in turns.messages()] == ["", "And now.", "this."]


def test_a_result_has_the_name_of_its_function() -> None:
    turns = Turns()
    turns.call(CALL)
    turns.result("call_1", "rain", "input")

    assert turns.messages()[1] == ChatMessage(role="tool", content="rain", name="weather", tool_call_id="call_1")


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="'call_9'") as caught:
        Turns().result("call_9", "rain", "input")

    assert caught.value.param == "input"


def test_texts_of_the_same_role_in_a_row_are_one_message() -> None:
    turns = Turns()
    for text in ("a", "b"):
        turns.say("system", text)
    turns.say("user", "c")

    assert [(message.role, message.content) for message in turns.messages()] == [("system", "a\nb"), ("user", "c")]


def test_texts_without_number_are_joined_once() -> None:
    """Joined one by one they would take hours, in which nobody else is served."""
    turns = Turns()
    for _ in range(300_000):
        turns.say("user", "a" * 100)

    (message,) = turns.messages()
    assert len(message.content) == 300_000 * 101 - 1


def test_what_another_says_ends_what_the_assistant_has_begun() -> None:
    turns = Turns()
    for piece in ("think", "answer"):
        turns.say("user", "hi")
        getattr(turns, piece)("hm")
    turns.say("user", "so")
    turns.call(CALL)

    roles = [message.role for message in turns.messages()]
    assert roles == ["user", "assistant", "user", "assistant", "user", "assistant"]
