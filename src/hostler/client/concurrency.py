"""What differs between the two clients: how to wait, and how to do several things at once.

Each function is there twice, for asyncio and, by the same name without `_async`, with threads. The threads are daemons,
so that an interrupt of the caller's ends the program and does not wait for them.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import TypeVar

import httpx2

Item = TypeVar("Item")
Result = TypeVar("Result")


async def sleep_async(seconds: float) -> None:
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


async def map_bounded_async(
    ask: Callable[[Item], Awaitable[Result]], items: Sequence[Item], concurrency: int, on_done: Callable[[Result], None]
) -> list[Result]:
    """The results in the order of the items, `concurrency` of which are worked on at a time.

    `on_done` is called with each result as it comes. What is raised ends all of it.
    """
    results: dict[int, Result] = {}
    places = iter(enumerate(items))

    async def work() -> None:
        for place, item in places:
            results[place] = await ask(item)
            on_done(results[place])

    tasks = [asyncio.ensure_future(work()) for _ in range(min(concurrency, len(items)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[place] for place in range(len(items))]


def map_bounded(
    ask: Callable[[Item], Result], items: Sequence[Item], concurrency: int, on_done: Callable[[Result], None]
) -> list[Result]:
    """As above; `on_done` is called in the caller's thread."""
    places = iter(enumerate(items))
    turn = threading.Lock()
    is_over = threading.Event()
    ended: SimpleQueue[tuple[int, Callable[[], Result]]] = SimpleQueue()

    def work() -> None:
        while not is_over.is_set():
            with turn:
                taken = next(places, None)
            if taken is None:
                return
            ended.put((taken[0], _outcome(ask, taken[1])))

    for _ in range(min(concurrency, len(items))):
        threading.Thread(target=work, name="hostler-batch", daemon=True).start()
    results: dict[int, Result] = {}
    try:
        for _ in items:
            place, outcome = ended.get()
            results[place] = outcome()
            on_done(results[place])
    finally:
        is_over.set()
    return [results[place] for place in range(len(items))]


async def work_beside_async(
    work: Callable[[], Awaitable[Result]], response: httpx2.Response, on_line: Callable[[str], None]
) -> Result:
    """Have the lines of an open response told while `work` is done; what befalls the response does not concern it."""
    failed: list[Exception] = []

    async def listen() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            async for line in response.aiter_lines():
                try:
                    on_line(line)
                except Exception as exc:
                    failed.append(exc)
                    working.cancel()
                    return

    working = asyncio.ensure_future(work())
    listening = asyncio.ensure_future(listen())
    try:
        return await working
    except asyncio.CancelledError:
        if failed:
            raise failed[0] from None
        raise
    finally:
        working.cancel()
        listening.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


def work_beside(work: Callable[[], Result], response: httpx2.Response, on_line: Callable[[str], None]) -> Result:
    """As above; `on_line` is called in the caller's thread."""
    told: SimpleQueue[str | Callable[[], Result]] = SimpleQueue()

    def listen() -> None:
        with contextlib.suppress(httpx2.HTTPError, OSError, ValueError):  # the last two: it was hung up meanwhile
            for line in response.iter_lines():
                told.put(line)

    threading.Thread(
        target=lambda: told.put(_outcome(lambda _: work(), None)), name="hostler-work", daemon=True
    ).start()
    listening = threading.Thread(target=listen, name="hostler-listen", daemon=True)
    listening.start()
    try:
        while isinstance(said := told.get(), str):
            on_line(said)
        return said()
    finally:
        _hang_up(response)
        listening.join()


def _outcome(ask: Callable[[Item], Result], item: Item) -> Callable[[], Result]:
    """What gives the result, or raises what was raised instead, in whichever thread it is called."""
    try:
        result = ask(item)
    except BaseException as exc:
        failure = exc

        def fail() -> Result:
            raise failure

        return fail
    return lambda: result


def _hang_up(response: httpx2.Response) -> None:
    """Wake the thread that reads it: closing a socket alone does not."""
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
