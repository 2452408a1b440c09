"""Text leaves in whole characters and ends before the stop string."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hostler.engine.request import Request
from hostler.engine.text.detokenizer import IncrementalDetokenizer
from hostler.engine.text.output_processor import OutputProcessor
from hostler.engine.text.stop_strings import StopStrings
from hostler.types import BeamParams, FinishReason, SamplingParams, TextPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.tiny_models import build_tiny_model

Tiny = Callable[[str], TinyModel]

TEXT = "The mare 🐴 is größer, 馬は馬小屋に  and 'quoted'\n\tdef f(x): return x"


@pytest.mark.parametrize("family", ["gpt2", "opt", "codegen", "bloom", "gpt_neox", "llama", "gemma", "llama_chat"])
def test_the_pieces_are_whole_characters_and_join_to_the_text(family: str, tiny: Tiny) -> None:
    tokenizer = tiny(family).tokenizer
    token_ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    detokenizer = IncrementalDetokenizer(tokenizer, [])
    pieces = [detokenizer.add(token_id) for token_id in token_ids]
    assert detokenizer.flush() == ""
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == tokenizer.decode(token_ids, skip_special_tokens=True)


def test_a_continuation_keeps_its_leading_space(tiny: Tiny) -> None:
    tokenizer = tiny("llama").tokenizer
    whole = tokenizer("The grey mare", add_special_tokens=False).input_ids
    for cut in range(1, len(whole)):
        detokenizer = IncrementalDetokenizer(tokenizer, whole[:cut])
        continuation = "".join(detokenizer.add(token_id) for token_id in whole[cut:])
        assert tokenizer.decode(whole[:cut]) + continuation == tokenizer.decode(whole)


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_a_prompt_that_ends_among_many_bytes_is_continued_without_breaking_a_character(family: str, tiny: Tiny) -> None:
    tokenizer = tiny(family).tokenizer
    whole = tokenizer("👩\u200d🌾", add_special_tokens=False).input_ids
    for prompt in ("👩", "👩\u200d"):
        cut = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        detokenizer = IncrementalDetokenizer(tokenizer, whole[:cut])
        continuation = "".join(detokenizer.add(token_id) for token_id in whole[cut:])
        assert prompt + continuation == "👩\u200d🌾"


def test_no_space_is_tidied_away_behind_the_back_of_a_stream(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build_tiny_model("t5", tmp_path), clean_up_tokenization_spaces=True)
    token_ids = tokenizer("The mare , the horse ! do n't", add_special_tokens=False).input_ids
    detokenizer = IncrementalDetokenizer(tokenizer, [])
    pieces = [detokenizer.add(token_id) for token_id in token_ids]
    assert "".join(pieces) + detokenizer.flush() == "The mare , the horse ! do n't"


def test_bytes_that_never_become_a_character_come_out_at_the_end(tiny: Tiny) -> None:
    tokenizer = tiny("gpt2").tokenizer
    half = tokenizer("🐴").input_ids[:-1]
    detokenizer = IncrementalDetokenizer(tokenizer, [])
    assert [detokenizer.add(token_id) for token_id in half] == [""] * len(half)
    assert set(detokenizer.flush()) == {"\ufffd"}


@given(
    text=st.text(alphabet="abc", max_size=40),
    stop=st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(1, 5), max_size=40),
)
def test_a_text_in_pieces_stops_where_the_whole_text_stops(text: str, stop: list[str], cuts: list[int]) -> None:
    matcher = StopStrings(stop)
    given_out, position, is_stopped = "", 0, False
    for cut in [*cuts, len(text) + 1]:
        if is_stopped or position >= len(text):
            break
        piece, is_stopped = matcher.add(text[position : position + cut])
        position += cut
        given_out += piece
    if not is_stopped:
        given_out += matcher.flush()
    earliest = min((text.find(string) for string in stop if string in text), default=len(text))
    # A stop string is noticed with the piece that completes it, so an earlier start found later cannot win.
    assert given_out == text[:earliest] or (is_stopped and any(text.startswith(s, len(given_out)) for s in stop))
    assert is_stopped == any(string in text for string in stop)
    assert is_stopped == (matcher.matched is not None)
    assert matcher.matched is None or text.startswith(matcher.matched, len(given_out))


def make_request(stop: list[str], max_tokens: int = 99) -> Request:
    return Request(
        request_id=1,
        index=0,
        params=SamplingParams(stop=stop),
        prompt_token_ids=[1],
        max_tokens=max_tokens,
        stop_token_ids=frozenset([0]),
    )


def test_a_stop_string_across_tokens_ends_the_sequence_and_is_not_sent(tiny: Tiny) -> None:
    tokenizer = tiny("gpt2").tokenizer
    processor, request = OutputProcessor(tokenizer), make_request(["horse in"])
    deltas = []
    for token_id in tokenizer("The grey horse in the stable").input_ids:
        deltas.append(processor.process(request, token_id, None))
        if deltas[-1].finish_reason:
            break
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert [delta.stop for delta in deltas if delta.stop] == [deltas[-1].stop] == ["horse in"]
    assert "".join(delta.text for delta in deltas) == "The grey "


def test_what_was_held_back_is_sent_when_the_sequence_ends_by_length(tiny: Tiny) -> None:
    tokenizer = tiny("gpt2").tokenizer
    processor, request = OutputProcessor(tokenizer), make_request(["horse in"])
    token_ids = tokenizer("The grey horse").input_ids
    reasons = [None] * (len(token_ids) - 1) + [FinishReason.LENGTH]
    deltas = [processor.process(request, token, reason) for token, reason in zip(token_ids, reasons, strict=True)]
    assert "".join(delta.text for delta in deltas) == "The grey horse"


def test_the_token_that_ends_a_sequence_is_counted_and_is_no_text(tiny: Tiny) -> None:
    tokenizer = tiny("gpt2").tokenizer
    word = tokenizer("horse").input_ids[0]
    delta = OutputProcessor(tokenizer).process(make_request([]), word, FinishReason.STOP)
    assert (delta.text, delta.token_ids) == ("", [word])


def test_the_first_delta_of_a_sequence_and_no_other_says_how_long_it_waited(tiny: Tiny) -> None:
    engine = TinyEngine(tiny("gpt2"), max_num_seqs=2)
    for request_id in range(2):
        engine.add(request_id, TextPrompt(text="The grey mare"), SamplingParams(n=2, max_tokens=4))
    engine.run()
    for collected in engine.sequences.values():
        first, *others = collected.deltas
        assert first.queued_s is not None
        assert all(delta.queued_s is None for delta in others)


def test_the_answers_of_a_beam_search_waited_as_one(tiny: Tiny) -> None:
    engine = TinyEngine(tiny("gpt2"))
    beams = BeamParams(num_beams=2)
    engine.add(0, TextPrompt(text="The grey mare"), SamplingParams(n=2, max_tokens=4, beams=beams))
    engine.run()
    waits = [delta.queued_s for index in range(2) for delta in engine.sequences[0, index].deltas]
    assert [wait is None for wait in waits] == [False, True]
