"""The text of an answer is what plain transformers would make of it: piece by piece, and up to a stop string."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.decoders import DecodeStream

from hostler.engine.text.detokenizer import IncrementalDetokenizer
from hostler.types import FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel

Tiny = Callable[[str], TinyModel]

BYTE_LEVEL = ["gpt2", "bloom", "gpt_neox"]
BYTE_FALLBACK = ["llama", "gemma"]
PIECES_OF_TEXT = ["t5"]
"""SentencePiece's unigrams, without bytes."""
EVERY_KIND = [*BYTE_LEVEL, *BYTE_FALLBACK, *PIECES_OF_TEXT]
HALF = "\ufffd"

WORDS = [
    "The",
    "mare",
    "größer",
    " a  b",
    "\n\t",
    "🐴",
    "馬は",
    "don't",
    "e\u0301",
    "10.5",
    " ",
    "”x“",
    "Привет",
    "👩‍🌾",
    "_",
    "#!",
]


def pieces_of(tiny: TinyModel, token_ids: list[int], context: list[int] | None = None) -> list[str]:
    """One for each token, and what comes out at the end."""
    detokenizer = IncrementalDetokenizer(tiny.tokenizer, context or [])
    return [*(detokenizer.add(token_id) for token_id in token_ids), detokenizer.flush()]


def ordinary_ids(tiny: TinyModel) -> list[int]:
    return sorted(set(range(len(tiny.tokenizer))) - set(tiny.tokenizer.all_special_ids))


@pytest.mark.parametrize("family", EVERY_KIND)
@given(words=st.lists(st.sampled_from(WORDS), max_size=8), data=st.data())
def test_a_text_streams_in_whole_characters_with_its_own_spaces(
    family: str, words: list[str], data: st.DataObject, tiny: Tiny
) -> None:
    model = tiny(family)
    token_ids = model.tokenizer(" ".join(words), add_special_tokens=False).input_ids
    whole = model.tokenizer.decode(token_ids, skip_special_tokens=True)
    pieces = pieces_of(model, token_ids)
    assert "".join(pieces) == whole
    assert HALF in whole or not any(HALF in piece for piece in pieces)
    stream = DecodeStream(skip_special_tokens=True)
    backend = model.tokenizer.backend_tokenizer
    assert "".join(pieces) == "".join(stream.step(backend, token_id) or "" for token_id in token_ids)
    # After a part of it as the prompt, the rest continues where that ends.
    cut = data.draw(st.integers(0, len(token_ids)))
    prompt = model.tokenizer.decode(token_ids[:cut], skip_special_tokens=True)
    if HALF not in prompt:
        assert prompt + "".join(pieces_of(model, token_ids[cut:], token_ids[:cut])) == whole


@pytest.mark.parametrize("family", EVERY_KIND)
@given(data=st.data())
def test_any_tokens_stream_to_the_text_that_they_have_as_a_whole(family: str, data: st.DataObject, tiny: Tiny) -> None:
    model = tiny(family)
    token_ids = data.draw(st.lists(st.sampled_from(ordinary_ids(model)), max_size=14))
    whole = model.tokenizer.decode(token_ids)
    pieces = pieces_of(model, token_ids)
    if HALF not in whole:
        assert not any(HALF in piece for piece in pieces)
    # Byte-fallback decoders give up a whole run of bytes, valid ones before included, when one turns out to be wrong.
    if HALF not in whole or family not in BYTE_FALLBACK:
        assert "".join(pieces) == whole


def text_after(tiny: TinyModel, prompt: list[int], token_ids: list[int]) -> str:
    """What tokens add to the text of a prompt, taken from two plain decodes."""
    if tiny.is_encoder_decoder:
        return str(tiny.tokenizer.decode(token_ids, skip_special_tokens=True))
    before = tiny.tokenizer.decode(prompt, skip_special_tokens=True)
    return str(tiny.tokenizer.decode(prompt + token_ids, skip_special_tokens=True)[len(before) :])


def ordinary_prompts(tiny: TinyModel) -> list[list[int]]:
    texts = ["The grey mare", "What is the capital of France?", "def count_horses(", "Größe", "How many legs has"]
    texts += ["I am well, thank you.", "class Horse:\n", "0 1 2 3", "Привет", "Every morning the hostler", "She was"]
    return [tiny.tokenizer(text).input_ids for text in texts]


@pytest.mark.parametrize("family", EVERY_KIND)
def test_an_answer_ends_where_generates_text_has_the_stop_string(family: str, tiny: Tiny) -> None:
    model, rng = tiny(family), random.Random(4)
    num_compared = num_across_tokens = 0
    for prompt in ordinary_prompts(model):
        reference = model.reference(prompt, 24)
        # These models make up bytes that are no text; what comes before them is.
        whole = text_after(model, prompt, reference).split(HALF)[0]
        if len(whole) < 6:
            continue
        for _ in range(6):
            start = rng.randrange(1, len(whole) - 2)
            stop = whole[start : start + rng.randint(1, 5)]
            params = SamplingParams(temperature=0, max_tokens=24, stop=[stop, "never said \x00"])
            answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
            assert answer.text == whole[: whole.find(stop)]
            assert answer.finish_reason is FinishReason.STOP
            # It ends with the first token that completes the string.
            num_tokens = len(answer.token_ids)
            assert answer.token_ids == reference[:num_tokens]
            assert stop in text_after(model, prompt, reference[:num_tokens])
            assert stop not in text_after(model, prompt, reference[: num_tokens - 1])
            num_compared += 1
            num_across_tokens += stop not in "".join(text_after(model, prompt, reference[num_tokens - 1 : num_tokens]))
    assert num_compared > 5
    assert num_across_tokens
