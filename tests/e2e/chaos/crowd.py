"""Many clients at once, some of whom hang up; what became of each is counted."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

END_S = 240.0
"""Far above what any request of a crowd takes; one that has no end by then counts as lost."""
ANSWERED = "answered"
HUNG_UP = "hung up"
NOT_ACCEPTED = "not accepted"
"""The server listened no more."""
LOST = "LOST"
"""How the end of every request begins that had none: neither an answer nor an error that says why."""


@dataclass(frozen=True)
class Visit:
    """One request, and how long its client has patience."""

    model_id: str
    is_native: bool
    is_streamed: bool
    num_tokens: int
    arrives_s: float = 0.0
    patience_s: float | None = None
    """It hangs up after so long; `None`: it stays for the answer."""


def random_visits(
    model_ids: Sequence[str], count: int, seed: int, *, spread_s: float, leaving: float = 0.4
) -> list[Visit]:
    """The same for the same seed. `spread_s`: all arrive within that time; `leaving`: share of those who hang up."""
    draw = random.Random(seed)
    return [
        Visit(
            model_id=draw.choice(model_ids),
            is_native=draw.random() < 0.5,
            is_streamed=draw.random() < 0.5,
            num_tokens=draw.randint(1, 60),
            arrives_s=draw.uniform(0, spread_s),
            patience_s=draw.choice((0.01, 0.3, 2.0, 8.0)) * draw.random() if draw.random() < leaving else None,
        )
        for _ in range(count)
    ]


class Crowd:
    """Runs visits, all at once, and counts how they end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ends: Counter[str] = Counter()
        """`answered`, `hung up`, the code of an error, or a text that begins with `LOST`."""
        self._ended = asyncio.Condition()

    async def run(self, visits: Sequence[Visit]) -> Counter[str]:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        async with (
            httpx2.AsyncClient(base_url=self.url, timeout=None, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for visit in visits:
                group.create_task(self._count(client, visit))
        return self.ends

    async def until(self, num_ends: int) -> None:
        """Wait until so many visits have ended."""
        async with self._ended:
            await self._ended.wait_for(lambda: self.ends.total() >= num_ends)

    @property
    def lost(self) -> dict[str, int]:
        return {end: count for end, count in self.ends.items() if end.startswith(LOST)}

    async def _count(self, client: httpx2.AsyncClient, visit: Visit) -> None:
        await asyncio.sleep(visit.arrives_s)
        end = await _end_of(client, visit)
        async with self._ended:
            self.ends[end] += 1
            self._ended.notify_all()


async def _end_of(client: httpx2.AsyncClient, visit: Visit) -> str:
    try:
        async with asyncio.timeout(END_S if visit.patience_s is None else visit.patience_s):
            return await (_stream(client, visit) if visit.is_streamed else _whole(client, visit))
    except TimeoutError:
        return HUNG_UP if visit.patience_s is not None else f"{LOST}: no end within {END_S:.0f} s ({visit.model_id})"
    except httpx2.ConnectError:
        return NOT_ACCEPTED
    except httpx2.TransportError as exc:
        return f"{LOST}: {type(exc).__name__} ({visit.model_id}, streamed={visit.is_streamed})"


def request_of(visit: Visit) -> tuple[str, dict[str, Any]]:
    """Path and body."""
    if visit.is_native:
        text = {"text": "The hostler", "max_new_tokens": visit.num_tokens, "stream": visit.is_streamed}
        return f"/models/{visit.model_id}/generate", text
    return "/v1/completions", {
        "model": visit.model_id,
        "prompt": "The hostler",
        "max_tokens": visit.num_tokens,
        "ignore_eos": True,
        "stream": visit.is_streamed,
    }


async def _whole(client: httpx2.AsyncClient, visit: Visit) -> str:
    path, body = request_of(visit)
    answer = await client.post(path, json=body)
    if answer.status_code != 200:
        return _refusal(answer.status_code, answer.content)
    return ANSWERED if "generated_text" in answer.json() or answer.json()["choices"] else f"{LOST}: empty answer"


def _refusal(status: int, body: bytes) -> str:
    """The code of a documented error."""
    try:
        return error_code(json.loads(body))
    except (ValueError, KeyError, AttributeError):
        return f"{LOST}: status {status} with {body[:60]!r}"


async def _stream(client: httpx2.AsyncClient, visit: Visit) -> str:
    events = [event async for event in stream_events(client, visit)]
    for event in events:
        if "error" in event:
            return error_code(event)
    is_complete = any(
        event.get("finish_reason") or (event.get("choices") or [{}])[0].get("finish_reason") for event in events
    )
    return ANSWERED if is_complete else f"{LOST}: the stream broke off ({visit.model_id})"


async def stream_events(client: httpx2.AsyncClient, visit: Visit) -> AsyncIterator[dict[str, Any]]:
    """What comes before `[DONE]`; a refusal is the only event of its stream."""
    path, body = request_of(visit)
    async with client.stream("POST", path, json=body) as answer:
        if answer.status_code != 200:
            code = _refusal(answer.status_code, await answer.aread())
            yield {"error": {"code": code}}
            return
        is_done = False
        async for line in answer.aiter_lines():
            is_done = line == "data: [DONE]"
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))
            if is_done:
                return
        raise httpx2.RemoteProtocolError("a stream without [DONE]")


def error_code(body: dict[str, Any]) -> str:
    """Of a native body or OpenAI's, alone or as an event of a stream."""
    error = body.get("error", body)
    return str(error["code"])
