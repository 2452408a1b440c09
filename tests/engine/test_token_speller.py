"""The bytes of tokens join to the UTF-8 of the text."""

from collections.abc import Callable

import pytest

from hostler.engine.request import TokenScore
from hostler.engine.text.token_speller import TokenSpeller
from hostler.types import SamplingParams, TokenLogprobs, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel

Tiny = Callable[[str], TinyModel]
TEXT = "The mare 🐴 is größer, 馬は馬小屋に  and 'quoted'\n\tdef f(x): return x"


def joined(tokens: list[TokenLogprobs]) -> bytes:
    return b"".join(token.bytes or b"" for token in tokens)


def spell(tiny: TinyModel, token_ids: list[int], *, begins_text: bool) -> list[TokenLogprobs]:
    scores = [TokenScore(token_id, -1.0, []) for token_id in token_ids]
    return TokenSpeller(tiny.tokenizer).spell(scores, begins_text=begins_text)


@pytest.mark.parametrize(
    "family", ["gpt2", "opt", "codegen", "bloom", "gpt_neox", "llama", "gemma", "llama_chat", "t5"]
)
def test_the_bytes_of_a_texts_tokens_are_its_utf8(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    token_ids = model.tokenizer(TEXT if family != "t5" else "The mare is in the stable, größer").input_ids
    text = model.tokenizer.decode(token_ids, skip_special_tokens=True)
    assert joined(spell(model, token_ids, begins_text=True)).decode() == text


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma"])
def test_a_character_that_is_split_over_tokens_comes_byte_by_byte(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    token_ids = model.tokenizer("馬 ☃", add_special_tokens=False).input_ids
    tokens = spell(model, token_ids, begins_text=True)
    assert joined(tokens).decode() == "馬 ☃"
    assert any(token.text.startswith(r"bytes:\x") for token in tokens)


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "gemma"])
def test_the_bytes_of_an_answer_are_those_of_its_text(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    num_compared = 0
    for seed in range(20):
        prompt = TokenPrompt(token_ids=model.tokenizer("The grey horse").input_ids)
        params = SamplingParams(max_tokens=6, seed=seed, logprobs=2)
        answer = TinyEngine(model).answer(prompt, params)
        if "\ufffd" not in answer.text:
            assert joined(answer.logprobs).decode() == answer.text
            num_compared += 1
    assert num_compared


def test_special_tokens_have_a_name_and_no_bytes(tiny: Tiny) -> None:
    model = tiny("llama")
    (token,) = spell(model, [model.tokenizer.bos_token_id], begins_text=True)
    assert (token.text, token.bytes) == ("<s>", None)


def test_a_row_of_the_output_without_a_token_is_spelled_as_nothing(tiny: Tiny) -> None:
    assert TokenSpeller(tiny("gpt2").tokenizer).bytes_of(1_000_000) == b""
