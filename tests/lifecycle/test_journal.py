"""The journal: what is kept, and what readers are told."""

import asyncio
from contextlib import aclosing

from hostler.lifecycle import journal as module
from hostler.lifecycle.events import Note, NoteKind
from hostler.lifecycle.journal import Journal, JournalEntry
from tests.fake_clock import FakeClock, settle


def note(model_id: str = "a", text: str = "it was loaded") -> Note:
    return Note(NoteKind.LOADED, model_id, text, {"seconds": 1.5})


async def test_entries_have_numbers_and_times() -> None:
    clock = FakeClock()
    journal = Journal(clock)
    journal.add(note())
    assert journal.last() == [
        JournalEntry(1, clock.unix_time(), NoteKind.LOADED, "a", "it was loaded", {"seconds": 1.5})
    ]


async def test_a_page_has_the_newest_of_a_model_after_a_number() -> None:
    journal = Journal(FakeClock())
    for number in range(10):
        journal.add(note("ab"[number % 2]))
    assert [entry.number for entry in journal.last(model_id="a", after=2, limit=3)] == [5, 7, 9]


async def test_a_bounded_number_is_kept() -> None:
    journal = Journal(FakeClock())
    for _ in range(module.KEPT + 5):
        journal.add(note())
    kept = journal.last(limit=2 * module.KEPT)
    assert (len(kept), kept[0].number) == (module.KEPT, 6)


async def test_a_follower_gets_what_is_kept_and_then_what_happens() -> None:
    journal = Journal(FakeClock())
    journal.add(note())
    journal.add(note("b"))
    async with aclosing(journal.follow(model_id="a")) as entries:
        assert (await anext(entries)).number == 1
        coming = asyncio.ensure_future(anext(entries))
        await settle()
        journal.add(note("b"))
        await settle()
        assert not coming.done()
        journal.add(note())
        assert (await coming).number == 4


async def test_a_slow_follower_misses_the_oldest_and_sees_the_gap() -> None:
    journal = Journal(FakeClock())
    async with aclosing(journal.follow()) as entries:
        first = asyncio.ensure_future(anext(entries))
        await settle()
        for _ in range(module.MAX_BEHIND + 10):
            journal.add(note())
        numbers = [(await first).number, (await anext(entries)).number]
    assert numbers[1] - numbers[0] == 1
    assert numbers[0] > 1
