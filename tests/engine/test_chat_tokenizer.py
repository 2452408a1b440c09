"""What becomes of a conversation without a template, and of one that is too long."""

from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.engine.text.chat_template import MAX_CPU_S, Rendered, TemplateCall
from hostler.engine.text.chat_tokenizer import ChatTokenizer
from hostler.errors import InvalidRequestError
from hostler.tools import ToolCall
from hostler.types import ChatFormat, ChatMessage, ChatPrompt

Role = Literal["system", "user", "assistant", "tool"]


class Words:
    """Tokenises by words; counts what is rendered."""

    def __init__(self, chat_format: ChatFormat = ChatFormat.PLAIN, *, cpu_s: float = 0.0) -> None:
        self.texts: list[str] = []
        self.limits_s: list[float] = []
        self._cpu_s = cpu_s
        self._chats = ChatTokenizer(FakeTokenizer(self), chat_format, self.tokenize_text, self.render)

    def tokenize_text(self, text: str) -> list[int]:
        self.texts.append(text)
        return [len(word) for word in text.split()]

    def render(self, call: TemplateCall) -> Rendered:
        self.limits_s.append(call.cpu_limit_s)
        return Rendered(text="\n".join(message.content for message in call.messages), cpu_s=self._cpu_s)

    def tokenize(self, prompt: ChatPrompt, max_tokens: int = 10**9) -> tuple[list[int], int]:
        return self._chats.tokenize(prompt, max_tokens)

    def spell(self, messages: list[ChatMessage], **options: Any) -> str:
        self.tokenize(ChatPrompt(messages=messages, **options))
        return self.texts[-1]


class FakeTokenizer:
    eos_token = "</s>"
    special_tokens_map: dict[str, str] = {}

    def __init__(self, words: Words) -> None:
        self._words = words

    def get_chat_template(self, *, tools: Any) -> str:
        assert tools is None
        return "a template"

    def __call__(self, text: str, *, add_special_tokens: bool) -> Any:
        assert not add_special_tokens
        return SimpleNamespace(input_ids=self._words.tokenize_text(text))


CONVERSATION = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content="Weather?", name="Anna"),
    ChatMessage(
        role="assistant",
        content="",
        reasoning_content="hm",
        tool_calls=[ToolCall(id="call_1", name="weather", arguments="{}")],
    ),
    ChatMessage(role="tool", content="sun", tool_call_id="call_1", name="weather"),
    ChatMessage(role="assistant", content="It is", tool_calls=[ToolCall(id="call_2", name="f", arguments="(")]),
]
CALL, SECOND_CALL = '{"name":"weather","arguments":"{}"}', '{"name":"f","arguments":"("}'


@pytest.mark.parametrize(
    ("chat_format", "text"),
    [
        (ChatFormat.PLAIN, f"Be brief.\nWeather?\n{CALL}\nsun\nIt is\n{SECOND_CALL}"),
        (ChatFormat.EOS_TURNS, f"Be brief.</s>Weather?</s>{CALL}</s>sun</s>It is\n{SECOND_CALL}</s>"),
        (
            ChatFormat.HUMAN_ASSISTANT,
            f"Be brief.\nHuman: Weather?\nAssistant: {CALL}\nTool: sun\nAssistant: It is\n{SECOND_CALL}\nAssistant:",
        ),
    ],
)
def test_calls_and_what_they_gave_are_text_where_there_is_no_template(chat_format: ChatFormat, text: str) -> None:
    assert Words(chat_format).spell(CONVERSATION) == text


@pytest.mark.parametrize(
    ("chat_format", "closed", "going_on"),
    [
        (ChatFormat.PLAIN, "Hi\nOnce", "Hi\nOnce"),
        (ChatFormat.EOS_TURNS, "Hi</s>Once</s>", "Hi</s>Once"),
        (ChatFormat.HUMAN_ASSISTANT, "Human: Hi\nAssistant: Once", "Human: Hi\nAssistant: Once"),
    ],
)
def test_the_last_message_goes_on_or_stands_alone_in_every_format(
    chat_format: ChatFormat, closed: str, going_on: str
) -> None:
    turns = [ChatMessage(role="user", content="Hi"), ChatMessage(role="assistant", content="Once")]
    assert Words(chat_format).spell(turns, add_generation_prompt=False) == closed
    assert Words(chat_format).spell(turns, continue_last=True) == going_on


def turn_by_turn(messages: list[ChatMessage], max_words: int) -> list[ChatMessage]:
    """What is left when the oldest turn is taken away again and again; the slow way."""
    messages = list(messages)
    first = 1 if messages[0].role == "system" else 0
    while sum(len(message.content.split()) for message in messages) > max_words and first < len(messages) - 1:
        del messages[first]
        while messages[first].role in ("assistant", "tool") and first < len(messages) - 1:
            del messages[first]
    return messages


@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["user", "user", "assistant", "tool", "system"]), st.integers(1, 30)),
        min_size=1,
        max_size=60,
    ),
    max_words=st.integers(0, 400),
)
def test_the_oldest_turns_leave_as_if_one_after_the_other(turns: list[tuple[Role, int]], max_words: int) -> None:
    messages = [
        ChatMessage(role=role, content=" ".join(["w" * (i + 1)] * length)) for i, (role, length) in enumerate(turns)
    ]
    left = turn_by_turn(messages, max_words)
    token_ids, num_dropped = Words().tokenize(ChatPrompt(messages=messages, drop_oldest=True), max_words)
    assert num_dropped == len(messages) - len(left)
    assert token_ids == [len(word) for message in left for word in message.content.split()]


@pytest.mark.parametrize("num_kept", [1, 7, 1000, 3999])
def test_a_conversation_of_thousands_of_turns_is_rendered_a_few_times(num_kept: int) -> None:
    messages = [ChatMessage(role="user", content=f"turn {i}") for i in range(4000)]
    words = Words()
    _, num_dropped = words.tokenize(ChatPrompt(messages=messages, drop_oldest=True), 2 * num_kept)
    assert num_dropped == 4000 - num_kept
    assert len(words.texts) <= 26
    # After the whole conversation, about what fits and not what does not.
    assert sum(len(text.split()) for text in words.texts[1:]) <= 2 * num_kept * 26


def test_all_renderings_of_a_request_share_what_they_may_compute() -> None:
    messages = [ChatMessage(role="user", content="one two") for _ in range(100)]
    words = Words(ChatFormat.TEMPLATE, cpu_s=MAX_CPU_S / 4.5)
    with pytest.raises(InvalidRequestError, match="chat template is at fault"):
        words.tokenize(ChatPrompt(messages=messages, drop_oldest=True), 100)
    assert len(words.limits_s) == 5
    assert words.limits_s == sorted(words.limits_s, reverse=True)
    assert words.limits_s[0] == MAX_CPU_S


def test_a_conversation_without_a_message_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least one message"):
        Words().tokenize(ChatPrompt(messages=[]))
