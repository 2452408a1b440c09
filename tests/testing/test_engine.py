"""The fake engine, on which many other tests stand."""

import asyncio

import pytest

from hostler.engine_client import EngineClient, Generation
from hostler.errors import ContextLengthError, EngineDeadError
from hostler.testing.admission import admit
from hostler.testing.engine import FakeEngine
from hostler.testing.model import FACTS, FakeModel
from hostler.types import (
    ChatMessage,
    ChatPrompt,
    FinishReason,
    SamplingParams,
    TextPrompt,
    TokenDelta,
)
from tests.fake_clock import FakeClock, settle

HELLO = TextPrompt(text="hello to you")


async def collect(generation: Generation) -> list[TokenDelta]:
    return [delta async for delta in generation]


async def test_an_answer_has_as_many_words_as_were_asked_for() -> None:
    engine: EngineClient = FakeEngine()
    generation = await engine.generate(HELLO, SamplingParams(max_tokens=2, n=2))
    deltas = await collect(generation)
    assert [(delta.index, delta.text) for delta in deltas] == [
        (0, "word0 "),
        (1, "word0 "),
        (0, "word1 "),
        (1, "word1 "),
    ]
    assert [delta.finish_reason for delta in deltas] == [None, None, FinishReason.LENGTH, FinishReason.LENGTH]
    assert generation.admission.num_prompt_tokens == 3


async def test_an_answer_that_was_not_cut_ends_with_stop() -> None:
    engine = FakeEngine(FakeModel(answer="Paris, of course."))
    deltas = await collect(await engine.generate(HELLO, SamplingParams()))
    assert "".join(delta.text for delta in deltas) == "Paris, of course."
    assert deltas[-1].finish_reason is FinishReason.STOP
    assert not engine.running


async def test_abort_ends_a_waiting_answer_and_is_counted_once() -> None:
    engine = FakeEngine(FakeModel(token_gate=asyncio.Event(), num_free_words=1))
    generation = await engine.generate(HELLO, SamplingParams())
    deltas = asyncio.create_task(collect(generation))
    await settle()
    generation.abort()
    generation.abort()
    assert [delta.finish_reason for delta in await deltas] == [None, FinishReason.ABORT]
    assert engine.num_aborted == 1
    assert not engine.running


async def test_a_dead_engine_fails_running_and_new_requests() -> None:
    engine = FakeEngine(FakeModel(token_gate=asyncio.Event()))
    deltas = asyncio.create_task(collect(await engine.generate(HELLO, SamplingParams())))
    await settle()
    engine.dead.set()
    with pytest.raises(EngineDeadError):
        await deltas
    with pytest.raises(EngineDeadError):
        await engine.generate(HELLO, SamplingParams())


async def test_words_take_time_on_the_given_clock() -> None:
    clock = FakeClock()
    engine = FakeEngine(FakeModel(token_pause_s=2.0), clock.sleep)
    deltas = asyncio.create_task(collect(await engine.generate(HELLO, SamplingParams(max_tokens=3))))
    await settle()
    await clock.advance(5.9)
    assert not deltas.done()
    await clock.advance(0.1)
    assert len(await deltas) == 3


def test_a_prompt_beyond_the_context_is_refused() -> None:
    with pytest.raises(ContextLengthError):
        admit(TextPrompt(text="word " * FACTS.max_model_len), SamplingParams(), FACTS)
    with pytest.raises(ContextLengthError):
        admit(HELLO, SamplingParams(max_tokens=FACTS.max_model_len - 2), FACTS)
    with pytest.raises(ContextLengthError):
        admit(HELLO, SamplingParams(max_length=3), FACTS)


def test_max_length_is_clamped_and_counts_the_prompt() -> None:
    assert admit(HELLO, SamplingParams(max_length=10), FACTS).max_tokens == 7
    assert admit(HELLO, SamplingParams(max_length=4096), FACTS).max_tokens == FACTS.max_model_len - 3


def test_the_oldest_turns_are_dropped_until_a_conversation_fits() -> None:
    turns = [ChatMessage(role="user", content="word " * 400) for _ in range(4)]
    system = ChatMessage(role="system", content="be kind")
    admission = admit(ChatPrompt(messages=[system, *turns], drop_oldest=True), SamplingParams(), FACTS)
    assert admission.num_dropped_messages == 2
    assert admission.num_prompt_tokens == 802
