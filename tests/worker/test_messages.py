"""What crosses the process border arrives as it was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.errors import HostlerError, ModelLoadError, ServiceError, subclasses_by_code
from hostler.types import ChatMessage, ChatPrompt, FinishReason, SamplingParams, TextPrompt, TokenDelta, TokenPrompt
from hostler.worker.framing import encode
from hostler.worker.messages import (
    Abort,
    ErrorReport,
    Generate,
    Output,
    Outputs,
    RequestFailed,
    ToWorker,
    decoder_of_gateway,
    decoder_of_worker,
)

REQUESTS: list[ToWorker] = [
    Generate(
        request_id=1, prompt=TextPrompt(text="größer 🐴"), params=SamplingParams(stop=["\n"], logit_bias={7: -1.5})
    ),
    Generate(request_id=2, prompt=TokenPrompt(token_ids=[1, 2]), params=SamplingParams(temperature=0, seed=2**62)),
    Generate(
        request_id=3,
        prompt=ChatPrompt(messages=[ChatMessage(role="user", content="Hello")], drop_oldest=True),
        params=SamplingParams(),
        priority=-100,
    ),
    Abort(request_id=2),
]


@given(cuts=st.lists(st.integers(1, 400), max_size=30))
def test_messages_survive_however_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = b"".join(encode(message) for message in REQUESTS)
    decoder = decoder_of_worker()
    received: list[ToWorker] = []
    for cut in [*cuts, len(stream)]:
        received += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert received == REQUESTS


def test_deltas_keep_their_finish_reason() -> None:
    delta = TokenDelta(index=1, text="x", token_ids=[4], finish_reason=FinishReason.LENGTH)
    message = Outputs(outputs=[Output(request_id=9, delta=delta)])
    assert list(decoder_of_gateway().feed(encode(message))) == [message]


@pytest.mark.parametrize("error_class", subclasses_by_code().values())
def test_every_error_is_the_same_class_on_the_other_side(error_class: type[HostlerError]) -> None:
    message = RequestFailed(request_id=1, error=ErrorReport.of(error_class("what", param="where", retry_after_s=2.5)))
    (received,) = decoder_of_gateway().feed(encode(message))
    assert isinstance(received, RequestFailed)
    rebuilt = received.error.rebuild()
    assert (type(rebuilt), rebuilt.message, rebuilt.param) == (error_class, "what", "where")
    assert rebuilt.retry_after_s == 2.5


def test_an_unknown_code_becomes_a_service_error() -> None:
    assert type(ErrorReport(code="from_the_future", message="x").rebuild()) is ServiceError
    assert ModelLoadError.code in subclasses_by_code()


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x00\x00\x00\x02\xc1\xc1"])
def test_bytes_that_are_no_frames_are_an_error_and_no_crash(garbage: bytes) -> None:
    with pytest.raises(ServiceError):
        list(decoder_of_gateway().feed(garbage))
