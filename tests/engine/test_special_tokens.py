"""Special tokens as part of an answer, where a request wants them there."""

from collections.abc import Callable

import pytest

from hostler.types import BeamParams, FinishReason, SamplingParams, TextPrompt, TokenLogprobs, TokenPrompt
from tests.engine.harness import Collected, TinyEngine, TinyModel

Tiny = Callable[[str], TinyModel]
FAMILIES = ["gpt2", "opt", "llama", "gemma", "llama_chat", "t5"]


def eager_params(model: TinyModel, **changes: object) -> SamplingParams:
    """Half of what is drawn are special tokens, none of which ends the answer."""
    specials = [token_id for token_id in model.tokenizer.all_special_ids if token_id < model.limits.vocab_size]
    words = model.tokenizer("The mare in the stable", add_special_tokens=False).input_ids
    bias = dict.fromkeys([*specials, *words], 60.0)
    own: dict[str, object] = {"temperature": 2.0, "max_tokens": 12, "logit_bias": bias, "ignore_eos": True}
    return SamplingParams(**(own | {"skip_special_tokens": False} | changes))  # type: ignore[arg-type]


def spelled(model: TinyModel, before: list[int], token_ids: list[int]) -> str:
    """What plain decodes, special tokens included, say that an answer adds."""
    context = [] if model.is_encoder_decoder else before
    decode = model.tokenizer.decode
    return str(decode(context + token_ids)[len(decode(context)) :])


def joined(tokens: list[TokenLogprobs]) -> str:
    return b"".join(token.bytes or b"" for token in tokens).decode(errors="replace")


@pytest.mark.parametrize("family", FAMILIES)
def test_text_and_bytes_have_the_special_tokens_that_were_drawn(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    num_special = 0
    for seed in range(8):
        prompt = model.tokenizer("The grey horse").input_ids
        params = eager_params(model, seed=seed, logprobs=2)
        answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
        whole = spelled(model, prompt, answer.token_ids)
        assert answer.text == whole == joined(answer.logprobs)
        num_special += any(token_id in model.tokenizer.all_special_ids for token_id in answer.token_ids)
        plain = TinyEngine(model).answer(
            TokenPrompt(token_ids=prompt), eager_params(model, seed=seed, logprobs=2, skip_special_tokens=True)
        )
        assert plain.token_ids == answer.token_ids
        assert not any(name in plain.text for name in model.tokenizer.all_special_tokens)
        assert joined(plain.logprobs) == plain.text
    assert num_special


@pytest.mark.parametrize("family", ["opt", "llama", "llama_chat"])
def test_the_prompt_is_spelled_as_the_answer_is(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    text = f"{model.tokenizer.eos_token}The grey horse"
    for skip in (False, True):
        params = SamplingParams(max_tokens=0, prompt_logprobs=0, skip_special_tokens=skip)
        engine = TinyEngine(model)
        admission = engine.add(0, TextPrompt(text=text), params)
        engine.run()
        assert joined(engine.sequences[0, 0].prompt_logprobs) == admission.prompt_text
        assert (model.tokenizer.eos_token in admission.prompt_text) is not skip


@pytest.mark.parametrize("num_beams", [None, 2])
def test_a_stop_string_finds_what_the_caller_would_see(num_beams: int | None, tiny: Tiny) -> None:
    model = tiny("gpt2")
    name = model.tokenizer.eos_token
    end_id = model.tokenizer.eos_token_id
    beams = None if num_beams is None else BeamParams(num_beams=num_beams)

    def answer(*, skip_special_tokens: bool) -> Collected:
        # The end token is no end here, and likely.
        params = SamplingParams(
            temperature=0,
            max_tokens=6,
            ignore_eos=True,
            stop=[name],
            logit_bias={end_id: 100.0},
            beams=beams,
            skip_special_tokens=skip_special_tokens,
        )
        return TinyEngine(model).answer(TokenPrompt(token_ids=[5, 6, 7]), params)

    seen, unseen = answer(skip_special_tokens=False), answer(skip_special_tokens=True)
    assert (seen.text, seen.token_ids, seen.finish_reason) == ("", [end_id], FinishReason.STOP)
    assert (unseen.text, unseen.token_ids, unseen.finish_reason) == ("", [end_id] * 6, FinishReason.LENGTH)


@pytest.mark.parametrize("num_beams", [None, 2])
def test_the_token_that_ends_an_answer_is_never_text(num_beams: int | None, tiny: Tiny) -> None:
    model = tiny("gpt2")
    params = SamplingParams(
        temperature=0,
        max_tokens=6,
        logit_bias={model.tokenizer.eos_token_id: 100.0},
        beams=None if num_beams is None else BeamParams(num_beams=num_beams),
        logprobs=None if num_beams else 0,
        skip_special_tokens=False,
    )
    answer = TinyEngine(model).answer(TokenPrompt(token_ids=[5, 6, 7]), params)
    assert (answer.text, answer.finish_reason) == ("", FinishReason.STOP)
    assert [token.bytes for token in answer.logprobs] == ([] if num_beams else [None])


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_beams_are_spelled_with_their_special_tokens(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompt = model.tokenizer("The grey horse").input_ids
    special_id = model.tokenizer.pad_token_id
    params = SamplingParams(
        n=2,
        temperature=0,
        max_tokens=6,
        ignore_eos=True,
        beams=BeamParams(num_beams=3),
        logit_bias={special_id: 8.0},
        skip_special_tokens=False,
    )
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=prompt), params)
    engine.run()
    for index in range(2):
        answer = engine.sequences[0, index]
        assert "\ufffd" in answer.text or answer.text == spelled(model, prompt, answer.token_ids)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_first_word_after_special_tokens_alone_has_the_bytes_of_its_text(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    special_id = model.tokenizer.eos_token_id
    word_id = model.tokenizer("horse", add_special_tokens=False).input_ids[0]
    for skip in (True, False):
        params = SamplingParams(
            temperature=0,
            max_tokens=2,
            ignore_eos=True,
            logprobs=0,
            logit_bias={word_id: 100.0},
            skip_special_tokens=skip,
        )
        answer = TinyEngine(model).answer(TokenPrompt(token_ids=[special_id]), params)
        assert joined(answer.logprobs) == answer.text != ""
