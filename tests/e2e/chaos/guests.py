"""Clients that ask again and again, and not always as they should; what became of each request is counted."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx2

END_S = 240.0
"""Far above what any request takes; one that has no end by then is stuck."""
HUNG_UP = "hung up"
ANSWERED = "200"
STUCK = "STUCK"
PROMPT = "The hostler"


class Kind(StrEnum):
    """What a request is, and so what may come of it."""

    USUAL = "usual"
    HANGING_UP = "hanging up"
    BAD = "bad"
    WRONG_KEY = "wrong key"
    LIMITED = "with a key of few requests"
    NARROW = "with a key for one model"


ALLOWED: dict[Kind, frozenset[str]] = {
    Kind.USUAL: frozenset({ANSWERED}),
    Kind.HANGING_UP: frozenset({ANSWERED, HUNG_UP}),
    Kind.BAD: frozenset({"400", "404", "405", "422"}),
    Kind.WRONG_KEY: frozenset({"401"}),
    Kind.LIMITED: frozenset({ANSWERED, "429"}),
    Kind.NARROW: frozenset({ANSWERED, "404"}),
}
"""How a request of each kind may end: by a status, or by its client."""
WEIGHTS = {
    Kind.USUAL: 10,
    Kind.HANGING_UP: 4,
    Kind.BAD: 3,
    Kind.WRONG_KEY: 1,
    Kind.LIMITED: 2,
    Kind.NARROW: 1,
}


@dataclass(frozen=True)
class Keys:
    """Secrets of the keys that guests use."""

    usual: str
    limited: str
    narrow: str

    def of(self, kind: Kind) -> str:
        named = {Kind.LIMITED: self.limited, Kind.NARROW: self.narrow, Kind.WRONG_KEY: f"{self.usual}x"}
        return named.get(kind, self.usual)


@dataclass(frozen=True)
class Question:
    """One request."""

    kind: Kind
    path: str
    content: bytes
    key: str
    method: str = "POST"
    patience_s: float = END_S
    """Its client hangs up after so long."""
    is_streamed: bool = False


@dataclass
class Tally:
    """How requests have ended."""

    ends: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    """What the others were told that may not happen: kind, end, and the beginning of the answer."""

    def by_status(self) -> Counter[str]:
        """Those that got one."""
        found: Counter[str] = Counter()
        for (_, end), count in self.ends.items():
            found[end] += count
        return found

    def add(self, question: Question, end: str, told: bytes = b"") -> None:
        self.ends[question.kind, end] += 1
        if end not in ALLOWED[question.kind]:
            self.unexpected.append(f"{question.kind} {question.path}: {end} {told[:300]!r}")


def questions(model_ids: Sequence[str], keys: Keys, draw: random.Random, first: Kind) -> Iterator[Question]:
    """Without end; the same for the same seed. `first`: what the first one is."""
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    for kind in itertools.chain([first], (draw.choices(kinds, weights)[0] for _ in itertools.count())):
        model_id, is_streamed = draw.choice(model_ids), draw.random() < 0.5
        path, body = _answerable(model_id, draw.randint(1, 40), is_streamed, is_native=draw.random() < 0.3)
        if kind is Kind.BAD:
            yield _bad(model_id, keys.of(kind), draw)
            continue
        patience_s = draw.choice((0.01, 0.2, 1.0)) * draw.random() if kind is Kind.HANGING_UP else END_S
        content = json.dumps(body).encode()
        yield Question(kind, path, content, keys.of(kind), patience_s=patience_s, is_streamed=is_streamed)


def _answerable(model_id: str, num_tokens: int, is_streamed: bool, *, is_native: bool) -> tuple[str, dict[str, Any]]:
    if is_native:
        body = {"text": PROMPT, "max_new_tokens": num_tokens, "stream": is_streamed}
        return f"/models/{model_id}/generate", body
    return "/v1/completions", {
        "model": model_id,
        "prompt": PROMPT,
        "max_tokens": num_tokens,
        "temperature": 0.8,
        "stream": is_streamed,
    }


def _bad(model_id: str, key: str, draw: random.Random) -> Question:
    body = {"model": model_id, "prompt": PROMPT}
    bad: list[tuple[str, str, bytes]] = [
        ("POST", "/v1/completions", b'{"model": "gpt2", "prompt'),
        ("POST", "/v1/completions", b"[" * 1000),
        ("POST", "/v1/completions", json.dumps(body | {"temperature": 99}).encode()),
        ("POST", "/v1/completions", json.dumps(body | {"max_tokens": 10**7}).encode()),
        ("POST", "/v1/completions", json.dumps(body | {"model": "nobody"}).encode()),
        ("POST", "/v1/completions", json.dumps(body | {"prompt": "word " * 9000}).encode()),
        ("POST", f"/models/{model_id}/generate", b'{"text": 5}'),
        ("POST", "/v1/chat/completions", json.dumps({"model": model_id, "messages": []}).encode()),
        ("GET", "/v1/completions", b""),
        ("POST", "/nowhere", b"{}"),
    ]
    method, path, content = draw.choice(bad)
    return Question(Kind.BAD, path, content, key, method=method)


class Guests:
    """So many clients, each with a connection of its own that it keeps."""

    def __init__(self, url: str, model_ids: Sequence[str], keys: Keys, *, pause_s: float) -> None:
        """`pause_s`: for how long a client thinks before it asks again."""
        self._url = url
        self._model_ids = model_ids
        self._keys = keys
        self._pause_s = pause_s

    async def ask(self, num_clients: int, seconds: float, seed: int) -> Tally:
        """For so long; what is asked by then is waited for."""
        tally = Tally()
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(num_clients):
                asked = questions(
                    self._model_ids, self._keys, random.Random(f"{seed}/{number}"), list(Kind)[number % len(Kind)]
                )
                group.create_task(self._ask_again(tally, until, asked))
        return tally

    async def _ask_again(self, tally: Tally, until: float, asked: Iterator[Question]) -> None:
        async with httpx2.AsyncClient(base_url=self._url, timeout=None, trust_env=False) as client:
            for question in asked:
                if time.monotonic() >= until:
                    return
                try:
                    async with asyncio.timeout(question.patience_s):
                        end, told = await _end_of(client, question)
                except TimeoutError:
                    end, told = (HUNG_UP if question.kind is Kind.HANGING_UP else STUCK), b""
                tally.add(question, end, told)
                await asyncio.sleep(self._pause_s)


async def _end_of(client: httpx2.AsyncClient, question: Question) -> tuple[str, bytes]:
    headers = {"authorization": f"Bearer {question.key}", "content-type": "application/json"}
    try:
        async with client.stream(question.method, question.path, content=question.content, headers=headers) as answer:
            told = await answer.aread()
    except httpx2.TransportError as exc:
        return f"{type(exc).__name__}", str(exc).encode()
    if answer.status_code != 200:
        return str(answer.status_code), told
    return (ANSWERED if _is_whole(question, told) else "incomplete"), told


def _is_whole(question: Question, told: bytes) -> bool:
    """Whether an answer is complete, and no error inside a stream."""
    if not question.is_streamed:
        answer = json.loads(told)
        return bool(answer.get("choices") or answer.get("generated_text"))
    return told.endswith(b"data: [DONE]\n\n") and b'"finish_reason":"' in told and b'"error"' not in told
