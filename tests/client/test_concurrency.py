"""Doing several things at once, with tasks and with threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from hostler.client.concurrency import map_bounded, map_bounded_async, work_beside, work_beside_async


class Count:
    """How many are under way, and how many were at most."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._now = 0
        self.most = 0

    def enter(self) -> None:
        with self._turn:
            self._now += 1
            self.most = max(self.most, self._now)

    def leave(self) -> None:
        with self._turn:
            self._now -= 1


async def test_tasks_are_as_many_at_once_as_is_allowed() -> None:
    count, three = Count(), asyncio.Barrier(3)

    async def ask(number: int) -> int:
        count.enter()
        await three.wait()
        count.leave()
        return -number

    told: list[int] = []
    assert await map_bounded_async(ask, range(12), 3, told.append) == [-number for number in range(12)]
    assert (count.most, sorted(told)) == (3, sorted(-number for number in range(12)))


def test_threads_are_as_many_at_once_as_is_allowed() -> None:
    count, three = Count(), threading.Barrier(3, timeout=30)

    def ask(number: int) -> int:
        count.enter()
        three.wait()
        count.leave()
        return -number

    told_in: set[str] = set()
    told: list[int] = []

    def tell(result: int) -> None:
        told.append(result)
        told_in.add(threading.current_thread().name)

    assert map_bounded(ask, range(12), 3, tell) == [-number for number in range(12)]
    assert (count.most, sorted(told)) == (3, sorted(-number for number in range(12)))
    assert told_in == {threading.current_thread().name}


async def test_what_is_raised_ends_the_tasks() -> None:
    asked: list[int] = []

    async def ask(number: int) -> int:
        asked.append(number)
        if number == 0:
            raise ZeroDivisionError
        await asyncio.Event().wait()
        return number

    with pytest.raises(ZeroDivisionError):
        await map_bounded_async(ask, range(9), 2, lambda _: None)
    assert asked == [0, 1]


def test_what_is_raised_is_not_waited_for_by_the_caller() -> None:
    never = threading.Event()

    def ask(number: int) -> int:
        if number == 0:
            raise ZeroDivisionError
        never.wait()
        return number

    with pytest.raises(ZeroDivisionError):
        map_bounded(ask, range(9), 2, lambda _: None)
    never.set()


async def test_the_last_line_need_not_come_before_the_work_is_done() -> None:
    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"first\n"
            await asyncio.Event().wait()

    heard = asyncio.Event()
    told: list[str] = []

    async def work() -> int:
        await heard.wait()
        return 7

    def tell(line: str) -> None:
        told.append(line)
        heard.set()

    assert await work_beside_async(work, httpx2.Response(200, stream=Endless()), tell) == 7
    assert told == ["first"]


def test_lines_are_told_in_the_callers_thread_until_the_work_is_done() -> None:
    heard = threading.Event()
    told_in: list[threading.Thread] = []

    class Two(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"first\n"
            yield b"second\n"

    def tell(_: str) -> None:
        told_in.append(threading.current_thread())
        heard.set()

    def work() -> int:
        heard.wait()
        return 7

    assert work_beside(work, httpx2.Response(200, stream=Two()), tell) == 7
    assert set(told_in) == {threading.current_thread()}
