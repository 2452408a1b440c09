"""Long texts are refused by their beginning, and no text that fits is."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hostler.engine.text.chat_template import render
from hostler.engine.text.input_processor import InputProcessor
from hostler.engine.text.length_probe import CHARS_PER_TOKEN, MIN_CHARS, LengthProbe
from hostler.errors import ContextLengthError
from hostler.types import ChatMessage, ChatPrompt, Prompt, SamplingParams, TextPrompt
from tests.engine.harness import TinyModel

Tiny = Callable[[str], TinyModel]


class Words:
    """A word is a token; remembers how much it was given."""

    def __init__(self) -> None:
        self.num_chars = 0

    def __call__(self, text: str) -> Any:
        self.num_chars += len(text)
        return SimpleNamespace(input_ids=text.split())


def test_a_text_that_its_beginning_shows_to_be_too_long_is_not_looked_at_further() -> None:
    words = Words()
    with pytest.raises(
        ContextLengthError, match=r"first 131072 of its 8000000 .* 32768 tokens.* 1000 tokens"
    ) as caught:
        LengthProbe(words, 1000).check("one " * 2_000_000, "messages")
    assert caught.value.param == "messages"
    assert words.num_chars == MIN_CHARS // 2


def test_what_may_fit_is_left_to_be_counted() -> None:
    words = Words()
    probe = LengthProbe(words, 10_000)
    probe.check("one " * (CHARS_PER_TOKEN * 10_000 // 4), "prompt")
    assert words.num_chars == 0
    probe.check(" " * 8_000_000 + "one", "prompt")
    probe.check("a-very-long-word-of-twenty-nine-chars " * 20_000, "prompt")


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (TextPrompt(text="mare " * 100_000), "prompt"),
        (ChatPrompt(messages=[ChatMessage(role="user", content="mare " * 100_000)]), "messages"),
    ],
)
def test_texts_and_conversations_are_probed_before_they_are_tokenised(prompt: Prompt, param: str, tiny: Tiny) -> None:
    model = tiny("llama_chat")
    with pytest.raises(ContextLengthError, match="is too long: the first 131072 of its") as caught:
        InputProcessor(model.tokenizer, model.limits, render).prepare(1, prompt, SamplingParams())
    assert caught.value.param == param


def test_a_conversation_that_may_be_cut_is_cut_however_long_it_is(tiny: Tiny) -> None:
    model = tiny("llama_chat")
    turns = [ChatMessage(role="user", content="mare " * 60_000), ChatMessage(role="user", content="mare")]
    prepared = InputProcessor(model.tokenizer, model.limits, render).prepare(
        1, ChatPrompt(messages=turns, drop_oldest=True), SamplingParams()
    )
    assert prepared.admission.num_dropped_messages == 1
