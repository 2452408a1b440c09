"""What is asked of a server, how it is asked, and what the answers' times amount to."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from hostler.bench.chat_stream import ChatError, Endpoint, Timing
from hostler.bench.percentiles import percentiles

TEXT = "the grey mare stands in her stable and eats some hay while a hostler brushes one horse after another"
WORDS = TEXT.split()
NUM_SHARED_WORDS = 400
WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class Load:
    """Requests of one size. No two prompts of one `Load` are the same."""

    models: list[str]
    """Asked in turn."""
    num_prompt_words: int = 53
    """A word is about a token."""
    max_tokens: int = 64
    is_prefix_shared: bool = False
    """All prompts begin with the same long system message; otherwise they differ from their first word on."""
    seed: int = field(default_factory=lambda: time.time_ns() // 1000 % 10**9)
    """Runs with different seeds have different prompts, so that a server's prefix cache holds none of them."""

    def prompts(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Model and messages of each request, without end."""
        rng = random.Random(self.seed)  # noqa: S311 - words, no secrets
        shared = f"{self.seed} " + " ".join(rng.choices(WORDS, k=NUM_SHARED_WORDS))
        for number, model in enumerate(itertools.cycle(self.models)):
            name = f"{self.seed}-{number}"
            system = shared if self.is_prefix_shared else f"{name} is the name of this conversation."
            words = " ".join(rng.choices(WORDS, k=self.num_prompt_words))
            # The request for length keeps a model going that is free to end: see `Endpoint.is_plain`.
            user = f"{name} {words}. Go on with this story at great length."
            yield model, [{"role": "system", "content": system}, {"role": "user", "content": user}]


@dataclass(frozen=True)
class Measurement:
    """What one level of load gave."""

    level: float
    """Streams at once, or requests per second."""
    elapsed_s: float
    client_cpu_s: float
    """Processor time that the client took while it measured; it has no part in the server's rate on other cores."""
    timings: list[Timing]
    """Of the answers that came to their end."""
    errors: list[str] = field(default_factory=list)
    """What was said of each that did not."""

    def figures(self) -> dict[str, float]:
        """Tokens per second of all streams together, and percentiles of what clients feel; zeros where no answer came
        to its end."""
        timings = self.timings
        num_tokens = sum(timing.num_tokens for timing in timings)
        figures = {
            "level": self.level,
            "tokens_per_s": num_tokens / self.elapsed_s,
            "requests_per_s": len(timings) / self.elapsed_s,
            "mean_prompt_tokens": fmean(timing.num_prompt_tokens for timing in timings) if timings else 0.0,
            "mean_answer_tokens": num_tokens / len(timings) if timings else 0.0,
            "num_errors": len(self.errors),
            "elapsed_s": self.elapsed_s,
            "client_cpu_s": self.client_cpu_s,
        }
        samples = {
            "ttft": [timing.ttft_s for timing in timings],
            "itl": [gap for timing in timings for gap in timing.itl_s],
            "total": [timing.total_s for timing in timings],
        }
        for name, values in samples.items():
            figures |= {f"{name}_p{percent}_ms": value * 1000 for percent, value in percentiles(values).items()}
        return figures

    def record(self) -> dict[str, Any]:
        """Every single time too, for JSON."""
        return {**self.figures(), "errors": self.errors, "timings": [asdict(timing) for timing in self.timings]}


class LoadGenerator:
    """Asks one server; its prompts go on from level to level, so that none comes twice."""

    def __init__(
        self, endpoint: Endpoint, load: Load, *, counts_errors: bool = False, on_end: Callable[[], None] | None = None
    ) -> None:
        """`counts_errors`: a request that fails is counted, and does not end the measurement. `on_end`: called when a
        request that is measured has ended."""
        self._endpoint = endpoint
        self._load = load
        self._prompts = load.prompts()
        self._counts_errors = counts_errors
        self._on_end = on_end

    async def warm_up(self, num_streams: int) -> None:
        """As many short answers at once as there will be, for every model: what is computed first is slow.

        Raises what `Endpoint.ask` raises.
        """
        for _ in self._load.models:
            await asyncio.gather(*(self._ask(WARM_UP_TOKENS) for _ in range(num_streams)))

    async def closed_loop(self, num_streams: int, num_requests: int) -> Measurement:
        """So many streams at once, each asking again when it has its answer."""
        turns = iter(range(num_requests))

        async def keep_asking() -> list[Timing | str]:
            return [await self._answer() for _ in turns]

        began, cpu_began = time.perf_counter(), time.process_time()
        streams = await asyncio.gather(*(keep_asking() for _ in range(num_streams)))
        return _measurement(num_streams, began, cpu_began, list(itertools.chain.from_iterable(streams)))

    async def open_loop(self, requests_per_s: float, num_requests: int) -> Measurement:
        """Requests begin at random times, so many a second on average, whether or not earlier ones have ended."""
        rng = random.Random(self._load.seed)  # noqa: S311 - times of requests, no secrets
        running = []
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(num_requests):
            running.append(asyncio.create_task(self._answer()))
            await asyncio.sleep(rng.expovariate(requests_per_s))
        return _measurement(requests_per_s, began, cpu_began, await asyncio.gather(*running))

    async def _answer(self) -> Timing | str:
        """How long it took, or why there is none."""
        try:
            return await self._ask(self._load.max_tokens)
        except (ChatError, OSError) as exc:
            if not self._counts_errors:
                raise
            return str(exc)
        finally:
            if self._on_end is not None:
                self._on_end()

    async def _ask(self, max_tokens: int) -> Timing:
        model, messages = next(self._prompts)
        return await self._endpoint.ask(model, messages, max_tokens)


def _measurement(level: float, began: float, cpu_began: float, answers: list[Timing | str]) -> Measurement:
    return Measurement(
        level,
        time.perf_counter() - began,
        time.process_time() - cpu_began,
        [answer for answer in answers if isinstance(answer, Timing)],
        [answer for answer in answers if isinstance(answer, str)],
    )
