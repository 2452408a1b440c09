"""Events as a stream, over a socket: what comes, and how it ends."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from hostler.server.streaming import StreamTiming
from hostler.types import LoadProgress
from tests.server.conftest import Served
from tests.server.test_streaming import listening, until

QUICK = StreamTiming(progress_every_s=0.0, keep_alive_every_s=0.01)


@dataclass
class Frame:
    """One server-sent event, or a comment."""

    id: str | None
    event: str | None
    data: Any
    comment: str | None


class Reader:
    """A client of one stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._content = b""
        self.writer = writer
        self.head = head

    async def frame(self) -> Frame:
        while b"\n\n" not in self._content:
            num_bytes = int(await self._reader.readuntil(b"\r\n"), 16)
            self._content += (await self._reader.readexactly(num_bytes + 2))[:-2]
        frame, _, self._content = self._content.partition(b"\n\n")
        fields = dict(map(_field, frame.decode().split("\n")))
        data = fields.get("data")
        return Frame(fields.get("id"), fields.get("event"), data and json.loads(data), fields.get("comment"))

    async def event(self) -> Frame:
        """The next that is no comment."""
        while (frame := await self.frame()).event is None:
            pass
        return frame


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name or "comment", value


async def follow(port: int, path: str, **headers: str) -> Reader:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    given = {"Host": "localhost", "Accept": "text/event-stream", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return Reader(reader, writer, head)


async def test_a_stream_tells_what_was_and_then_what_comes() -> None:
    async with listening() as (port, _, manager):
        await manager.load(manager.registry["tiny-chat"])
        stream = await follow(port, "/events")
        assert "200 OK" in stream.head
        assert "text/event-stream" in stream.head
        before = [await stream.event() for _ in manager.journal.last()]
        assert {frame.data["model_id"] for frame in before} == {"tiny-chat"}
        assert [frame.id for frame in before] == [str(frame.data["number"]) for frame in before]
        assert [frame.event for frame in before] == [frame.data["kind"] for frame in before]
        await manager.load(manager.registry["tiny-text"])
        after = await stream.event()
        assert (after.data["model_id"], after.id) == ("tiny-text", str(len(before) + 1))
        stream.writer.close()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/events?after=2", {}),
        ("/events?stream=1&after=2", {"Accept": "*/*"}),
        ("/events", {"Last-Event-ID": "2"}),
        ("/events?after=1", {"Last-Event-ID": "2"}),
        ("/models/tiny-chat/events?after=2", {}),
    ],
)
async def test_a_client_that_comes_back_goes_on_where_it_was(path: str, headers: dict[str, str]) -> None:
    async with listening() as (port, _, manager):
        await manager.load(manager.registry["tiny-chat"])
        stream = await follow(port, path, **headers)
        assert (await stream.event()).id == "3"
        stream.writer.close()


async def test_a_load_tells_how_far_it_has_come() -> None:
    async with listening(QUICK) as (port, launcher, manager):
        model = launcher.model("tiny-chat")
        model.progress = [LoadProgress(stage="loading", done_bytes=3, total_bytes=10)]
        gate = model.load_gate = asyncio.Event()
        stream = await follow(port, "/events")
        load = asyncio.create_task(manager.load(manager.registry["tiny-chat"]))
        while (frame := await stream.event()).event != "progress" or frame.data["facts"]["stage"] != "loading":
            pass
        assert frame.id is None
        assert (frame.data["number"], frame.data["model_id"]) == (None, "tiny-chat")
        facts = frame.data["facts"]
        assert (facts["done_bytes"], facts["total_bytes"], facts["percent"], facts["eta_s"]) == (3, 10, 30, None)
        assert frame.data["text"] == "tiny-chat: loading 30%"
        gate.set()
        await load
        while (await stream.event()).event != "loaded":
            pass
        stream.writer.close()


async def test_the_stream_of_one_model_tells_nothing_of_others() -> None:
    async with listening(QUICK) as (port, _, manager):
        stream = await follow(port, "/models/tiny-text/events")
        await manager.load(manager.registry["tiny-chat"])
        await manager.load(manager.registry["tiny-text"])
        while (frame := await stream.event()).event != "loaded":
            assert frame.data["model_id"] == "tiny-text"
        stream.writer.close()


async def test_a_quiet_stream_is_kept_alive_by_comments() -> None:
    async with listening(QUICK) as (port, _, _manager):
        stream = await follow(port, "/events")
        assert (await stream.frame()).comment == "connected"
        assert (await stream.frame()).comment == "still here"
        stream.writer.close()


async def test_a_client_that_hangs_up_is_forgotten() -> None:
    async with listening() as (port, _, manager):
        streams = [await follow(port, "/events") for _ in range(3)]
        for stream in streams:
            await stream.frame()
        await until(lambda: manager.journal.num_readers == 3)
        for stream in streams:
            stream.writer.close()
        await until(lambda: manager.journal.num_readers == 0)


async def test_a_stream_ends_when_the_server_is_leaving(served: Served) -> None:
    stream = asyncio.create_task(served.client.get("/events", params={"stream": True}))
    await until(lambda: served.manager.journal.num_readers == 1)
    served.services.drain.begun.set()
    response = await stream
    assert (response.status_code, response.text) == (200, ": connected\n\n")
    assert served.manager.journal.num_readers == 0
