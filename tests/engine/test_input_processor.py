"""What becomes of a prompt before the engine sees it."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from hostler.engine.text.chat_template import render
from hostler.engine.text.input_processor import InputProcessor
from hostler.errors import ContextLengthError, InvalidRequestError
from hostler.types import ChatFormat, ChatMessage, ChatPrompt, SamplingParams, TextPrompt, TokenPrompt
from tests.engine.harness import TinyModel
from tests.tiny_models import MAX_POSITIONS

Tiny = Callable[[str], TinyModel]


def processor(model: TinyModel, chat_format: ChatFormat | None = None) -> InputProcessor:
    limits = model.limits if chat_format is None else replace(model.limits, chat_format=chat_format)
    return InputProcessor(model.tokenizer, limits, render)


def chat(*turns: str, drop_oldest: bool = False) -> ChatPrompt:
    """User and assistant in turn, the user first."""
    roles = ("user", "assistant")
    messages = [ChatMessage(role=roles[number % 2], content=text) for number, text in enumerate(turns)]  # type: ignore[arg-type]
    return ChatPrompt(messages=messages, drop_oldest=drop_oldest)


def test_text_is_tokenised_as_the_tokenizer_does_it(tiny: Tiny) -> None:
    for family in ("gpt2", "llama", "t5", "opt"):
        model = tiny(family)
        prepared = processor(model).prepare(1, TextPrompt(text="The grey mare"), SamplingParams(max_tokens=3))
        request = prepared.sequences[0]
        expected = model.tokenizer("The grey mare").input_ids
        assert (request.encoder_token_ids or request.prompt_token_ids) == expected
        assert prepared.admission.num_prompt_tokens == len(expected)


def test_a_decoder_begins_with_its_start_token(tiny: Tiny) -> None:
    model = tiny("t5")
    request = processor(model).prepare(1, TextPrompt(text="horse"), SamplingParams()).sequences[0]
    assert request.prompt_token_ids == [model.limits.decoder_start_token_id]


def test_token_ids_are_used_as_they_are(tiny: Tiny) -> None:
    prepared = processor(tiny("llama")).prepare(1, TokenPrompt(token_ids=[7, 8, 9]), SamplingParams())
    assert prepared.sequences[0].prompt_token_ids == [7, 8, 9]


@pytest.mark.parametrize("token_ids", [[], [10**6], [-1]])
def test_token_ids_outside_the_vocabulary_are_refused(token_ids: list[int], tiny: Tiny) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        processor(tiny("llama")).prepare(1, TokenPrompt(token_ids=token_ids), SamplingParams())
    assert caught.value.param == "prompt"


@pytest.mark.parametrize(("missing", "start"), [((), "bos_token_id"), (("bos_token",), "eos_token_id")])
def test_an_empty_text_starts_from_the_begin_token_or_the_end_of_another_text(
    tiny: Tiny, missing: tuple[str, ...], start: str
) -> None:
    model = tiny("bloom")
    tokenizer = copy.deepcopy(model.tokenizer)
    for name in missing:
        setattr(tokenizer, name, None)
    prepared = InputProcessor(tokenizer, model.limits, render).prepare(1, TextPrompt(text=""), SamplingParams())
    assert prepared.sequences[0].prompt_token_ids == [getattr(model.tokenizer, start)]


def test_an_empty_text_is_refused_where_no_token_can_begin(tiny: Tiny) -> None:
    model = tiny("bloom")
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(InvalidRequestError, match="empty"):
        InputProcessor(tokenizer, model.limits, render).prepare(1, TextPrompt(text=""), SamplingParams())


def test_a_prompt_that_fills_the_context_is_refused_with_both_numbers(tiny: Tiny) -> None:
    with pytest.raises(ContextLengthError, match=f"{MAX_POSITIONS} tokens.*maximum context length is {MAX_POSITIONS}"):
        processor(tiny("gpt2")).prepare(1, TokenPrompt(token_ids=[5] * MAX_POSITIONS), SamplingParams())


def test_more_new_tokens_than_there_is_room_for_are_refused_unless_they_may_be_cut(tiny: Tiny) -> None:
    prompt = TokenPrompt(token_ids=[5] * 100)
    inputs = processor(tiny("gpt2"))
    with pytest.raises(ContextLengthError, match=r"100 tokens.*150.*128.*at most 28") as caught:
        inputs.prepare(1, prompt, SamplingParams(max_tokens=50))
    assert caught.value.param == "max_tokens"
    assert inputs.prepare(1, prompt, SamplingParams(max_tokens=50, clamp_max_tokens=True)).admission.max_tokens == 28
    assert inputs.prepare(1, prompt, SamplingParams()).admission.max_tokens == 28


def test_a_limit_that_is_too_large_is_named_as_the_request_names_it(tiny: Tiny) -> None:
    limit = SamplingParams(max_tokens=10_000, max_tokens_field="max_completion_tokens")
    with pytest.raises(ContextLengthError, match="or set max_completion_tokens to at most") as caught:
        processor(tiny("gpt2")).prepare(1, TokenPrompt(token_ids=[5, 6]), limit)
    assert caught.value.param == "max_completion_tokens"


def test_max_length_counts_as_in_transformers(tiny: Tiny) -> None:
    ten = TokenPrompt(token_ids=[5] * 10)
    for family, new_tokens in (("gpt2", 20), ("t5", 29)):
        admission = processor(tiny(family)).prepare(1, ten, SamplingParams(max_length=30)).admission
        assert admission.max_tokens == new_tokens
    assert processor(tiny("gpt2")).prepare(1, ten, SamplingParams(max_length=4000)).admission.max_tokens == 118
    with pytest.raises(ContextLengthError, match=r"max_length is 10 .* 10 tokens"):
        processor(tiny("gpt2")).prepare(1, ten, SamplingParams(max_length=10))


def test_a_conversation_goes_through_the_template(tiny: Tiny) -> None:
    model = tiny("llama_chat")
    prepared = processor(model).prepare(1, chat("Hello"), SamplingParams())
    text = model.tokenizer.decode(prepared.sequences[0].prompt_token_ids)
    assert text.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("chat_format", "expected"),
    [
        (ChatFormat.EOS_TURNS, "Hello{eos}Good day{eos}How?{eos}"),
        (ChatFormat.HUMAN_ASSISTANT, "Human: Hello\nAssistant: Good day\nHuman: How?\nAssistant:"),
        (ChatFormat.PLAIN, "Hello\nGood day\nHow?"),
    ],
)
def test_a_model_without_template_is_prompted_in_its_format(chat_format: ChatFormat, expected: str, tiny: Tiny) -> None:
    model = tiny("gpt2")
    prepared = processor(model, chat_format).prepare(1, chat("Hello", "Good day", "How?"), SamplingParams())
    text = model.tokenizer.decode(prepared.sequences[0].prompt_token_ids)
    assert text == expected.format(eos=model.tokenizer.eos_token)


def test_the_oldest_turns_leave_until_the_rest_fits_and_the_answer_has_room(tiny: Tiny) -> None:
    inputs = processor(tiny("llama_chat"))
    system = ChatMessage(role="system", content="short")
    turns = chat(*["some words of a turn"] * 11, drop_oldest=True).messages
    prompt = ChatPrompt(messages=[system, *turns], drop_oldest=True)
    prepared = inputs.prepare(1, prompt, SamplingParams(max_tokens=500, clamp_max_tokens=True))
    assert 0 < prepared.admission.num_dropped_messages < len(turns)
    assert prepared.admission.num_dropped_messages % 2 == 0, "the rest begins with the user"
    assert prepared.admission.max_tokens >= MAX_POSITIONS // 4
    assert "short" in prepared.admission.prompt_text


def test_a_conversation_that_may_not_be_cut_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ContextLengthError):
        processor(tiny("llama_chat")).prepare(1, chat(*["some words of a turn"] * 21), SamplingParams())


def test_a_last_message_that_does_not_fit_alone_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ContextLengthError):
        processor(tiny("llama_chat")).prepare(1, chat("word " * 500, drop_oldest=True), SamplingParams())


def test_a_conversation_that_the_template_refuses_is_the_callers_mistake(tiny: Tiny) -> None:
    model = tiny("llama_chat")
    original = model.tokenizer.chat_template
    model.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    try:
        with pytest.raises(InvalidRequestError, match="roles must alternate") as caught:
            processor(model).prepare(1, chat("Hello"), SamplingParams())
    finally:
        model.tokenizer.chat_template = original
    assert caught.value.param == "messages"
