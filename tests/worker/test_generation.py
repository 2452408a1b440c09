"""What a reader gets of a request that a worker answers, and when."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hostler.errors import EngineDeadError
from hostler.types import FinishReason, TokenDelta
from hostler.worker.generation import MAX_AT_ONCE, WorkerGeneration


def make_generation(num_sequences: int = 1) -> WorkerGeneration:
    return WorkerGeneration(num_sequences, abort=lambda: None)


def deltas_of(num_deltas: int) -> list[TokenDelta]:
    """A whole answer."""
    last = TokenDelta(text="end", finish_reason=FinishReason.STOP)
    return [*(TokenDelta(text=str(i)) for i in range(num_deltas - 1)), last]


async def test_what_has_come_is_read_at_once_and_then_the_end() -> None:
    generation, deltas = make_generation(), deltas_of(3)
    assert [generation.feed(delta) for delta in deltas] == [False, False, True]
    assert await generation.next_deltas() == deltas
    assert await generation.next_deltas() == []
    assert await generation.next_deltas() == []


async def test_a_reader_waits_for_the_next_delta() -> None:
    generation, deltas = make_generation(), deltas_of(2)
    for delta in deltas:
        reading = asyncio.create_task(generation.next_deltas())
        await asyncio.sleep(0)
        assert not reading.done()
        generation.feed(delta)
        assert await reading == [delta]
    assert await generation.next_deltas() == []


async def test_a_reader_that_gives_up_misses_nothing() -> None:
    generation, deltas = make_generation(), deltas_of(1)
    reading = asyncio.create_task(generation.next_deltas())
    await asyncio.sleep(0)
    reading.cancel()
    generation.feed(deltas[0])
    await asyncio.gather(reading, return_exceptions=True)
    assert await generation.next_deltas() == deltas


async def test_a_pile_is_read_in_pieces_and_others_run_in_between() -> None:
    generation, deltas = make_generation(), deltas_of(3 * MAX_AT_ONCE)
    for delta in deltas:
        generation.feed(delta)
    num_turns = 0

    async def count_turns() -> None:
        nonlocal num_turns
        while True:
            num_turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    pieces = [piece async for piece in _pieces(generation)]
    counting.cancel()
    assert [len(piece) for piece in pieces] == [MAX_AT_ONCE] * 3
    assert [delta for piece in pieces for delta in piece] == deltas
    assert num_turns >= len(pieces) - 1


async def test_an_error_comes_after_what_had_come_before_it() -> None:
    generation, deltas = make_generation(num_sequences=2), deltas_of(1)
    generation.feed(deltas[0])
    generation.fail(EngineDeadError("gone"))
    assert await generation.next_deltas() == deltas
    with pytest.raises(EngineDeadError):
        await generation.next_deltas()


async def _pieces(generation: WorkerGeneration) -> AsyncIterator[list[TokenDelta]]:
    while piece := await generation.next_deltas():
        yield piece
