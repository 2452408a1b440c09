import msgspec
import pytest
from transformers import GenerationConfig

from hostler.engine.beams.limits import BeamLimits
from hostler.engine.beams.search import Candidate
from hostler.engine.request import Request
from hostler.errors import InvalidRequestError
from hostler.types import BeamParams, FinishReason, SamplingParams

LIMITS = BeamLimits(max_num_seqs=8, cache_tokens=1024)


def make_request(num_prompt_tokens: int = 10, max_tokens: int = 20, n: int = 1) -> Request:
    return Request(0, 0, SamplingParams(n=n), [1] * num_prompt_tokens, max_tokens, frozenset([2]))


def test_a_search_takes_the_models_own_defaults_where_the_request_says_nothing() -> None:
    config = GenerationConfig(length_penalty=2.0, early_stopping=True, num_beams=4)
    limits = BeamLimits.of(config, max_num_seqs=8, cache_tokens=1024)
    assert (limits.length_penalty, limits.early_stopping) == (2.0, True)
    search = limits.new_search(make_request(), BeamParams(num_beams=1))
    assert search.advance([Candidate(0, 2, -4.0)], [FinishReason.STOP])
    told = limits.new_search(make_request(), BeamParams(num_beams=1, early_stopping=False, length_penalty=0.0))
    assert told.advance([Candidate(0, 2, -4.0), Candidate(0, 3, -3.0)], [FinishReason.STOP, None]) is False


def test_a_config_that_says_nothing_means_transformers_defaults() -> None:
    limits = BeamLimits.of(GenerationConfig(), max_num_seqs=8, cache_tokens=1024)
    assert (limits.length_penalty, limits.early_stopping) == (1.0, False)


def test_more_beams_than_sequences_are_refused_with_both_numbers() -> None:
    assert LIMITS.new_search(make_request(), BeamParams(num_beams=8)).num_beams == 8
    with pytest.raises(InvalidRequestError, match="num_beams is 9, and this model computes at most 8") as caught:
        LIMITS.new_search(make_request(), BeamParams(num_beams=9))
    assert caught.value.param == "num_beams"


def test_beams_that_the_cache_can_never_hold_are_refused_with_the_numbers() -> None:
    # Four beams have 256 tokens each, in blocks of 16.
    beams = BeamParams(num_beams=4)
    LIMITS.new_search(make_request(100, 156), beams)
    with pytest.raises(InvalidRequestError, match=r"4 beams of 257 tokens.* 1024 tokens") as caught:
        LIMITS.new_search(make_request(100, 157), beams)
    assert caught.value.param == "num_beams"


def test_a_long_encoder_input_counts_once_for_every_beam() -> None:
    request = make_request(1, 20)
    request.encoder_token_ids = [5] * 257
    with pytest.raises(InvalidRequestError, match="4 beams of 257 tokens"):
        LIMITS.new_search(request, BeamParams(num_beams=4))


def test_more_answers_than_beams_are_refused() -> None:
    request = make_request(n=3)
    assert LIMITS.new_search(request, BeamParams(num_beams=3)).num_beams == 3
    request.params = msgspec.structs.replace(request.params, n=4)
    with pytest.raises(InvalidRequestError, match="4 answers cannot be the best of 3 beams"):
        LIMITS.new_search(request, BeamParams(num_beams=3))
