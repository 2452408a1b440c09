"""How fast a running server answers: any that speaks OpenAI's chat completions, so that peers are measured alike.

Closed loop: so many streams at once, each asking again when it has its answer. Open loop (`--rate`): requests begin at
random times, so many a second on average, whether or not earlier ones have ended. Several `--model`s are asked in turn.
Prints a table, and with `--json FILE` writes every single figure. Nothing is asserted.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openai

from hardware import environment

TEXT = "the grey mare stands in her stable and eats some hay while a hostler brushes one horse after another"
WORDS = TEXT.split()


@dataclass(frozen=True)
class Timing:
    """One answer, in seconds."""

    ttft_s: float
    """To the first piece of text."""
    itl_s: list[float]
    """Between one piece and the next."""
    total_s: float
    num_tokens: int
    """Of the answer, as the server counts them."""


@dataclass(frozen=True)
class Load:
    """What is asked of the server."""

    models: list[str]
    num_prompt_words: int
    """A word is about a token."""
    max_tokens: int
    num_requests: int

    def prompts(self) -> Iterator[tuple[str, str]]:
        """Model and text of each request; all texts differ from their first word on, so no prefix can be reused."""
        rng = random.Random(0)
        for number, model in zip(range(self.num_requests), itertools.cycle(self.models)):
            yield model, f"{number} " + " ".join(rng.choices(WORDS, k=self.num_prompt_words))


async def answer(client: openai.AsyncOpenAI, model: str, text: str, max_tokens: int) -> Timing:
    began = time.perf_counter()
    arrivals: list[float] = []
    num_tokens = 0
    chunks = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        max_tokens=max_tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    async for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            arrivals.append(time.perf_counter())
        if chunk.usage:
            num_tokens = chunk.usage.completion_tokens
    ended = time.perf_counter()
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    # A server without usage in its streams sends a piece for a token, or nearly so.
    return Timing((arrivals or [ended])[0] - began, gaps, ended - began, num_tokens or len(arrivals))


async def closed_loop(client: openai.AsyncOpenAI, load: Load, num_streams: int) -> list[Timing]:
    prompts = load.prompts()
    timings: list[Timing] = []

    async def keep_asking() -> None:
        for model, text in prompts:
            timings.append(await answer(client, model, text, load.max_tokens))

    await asyncio.gather(*(keep_asking() for _ in range(num_streams)))
    return timings


async def open_loop(client: openai.AsyncOpenAI, load: Load, requests_per_s: float) -> list[Timing]:
    rng = random.Random(0)
    running = []
    for model, text in load.prompts():
        running.append(asyncio.create_task(answer(client, model, text, load.max_tokens)))
        await asyncio.sleep(rng.expovariate(requests_per_s))
    return await asyncio.gather(*running)


def summary(timings: list[Timing], elapsed_s: float) -> dict[str, float]:
    """Tokens per second of all streams together, and the 50th, 95th and 99th percentiles of what clients feel."""
    figures = {"tokens_per_s": sum(timing.num_tokens for timing in timings) / elapsed_s}
    samples = {
        "ttft": [timing.ttft_s for timing in timings],
        "itl": [gap for timing in timings for gap in timing.itl_s],
        "total": [timing.total_s for timing in timings],
    }
    for name, values in samples.items():
        cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
        figures |= {f"{name}_p{percent}_ms": cuts[percent - 1] * 1000 for percent in (50, 95, 99)}
    return figures


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    load = Load(arguments.model, arguments.prompt_words, arguments.max_tokens, arguments.requests)
    results: list[dict[str, Any]] = []
    async with openai.AsyncOpenAI(
        base_url=arguments.url, api_key=arguments.api_key, max_retries=0, timeout=900
    ) as client:
        for model in arguments.model:
            await answer(client, model, "warm up", 4)
        for level in [arguments.rate] if arguments.rate else arguments.streams:
            began = time.perf_counter()
            loop = open_loop if arguments.rate else closed_loop
            timings = await loop(client, load, level)
            figures = summary(timings, time.perf_counter() - began)
            results.append({"level": level, **figures, "timings": [asdict(timing) for timing in timings]})
    return results


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL of the server's OpenAI interface")
    parser.add_argument("--api-key", default="unused")
    parser.add_argument("--model", action="append", required=True, help="may be given several times")
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[1, 4, 16, 32], help="closed loop (default: 1 4 16 32)"
    )
    parser.add_argument("--rate", type=float, help="open loop instead: requests per second")
    parser.add_argument("--requests", type=int, default=32, help="in all, at each level (default: 32)")
    parser.add_argument("--prompt-words", type=int, default=85, help="(default: 85, about 110 tokens with a template)")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()

    results = asyncio.run(measure(arguments))
    write("| " + " | ".join(name for name in results[0] if name != "timings") + " |\n")
    write("|---" * (len(results[0]) - 1) + "|\n")
    for result in results:
        write("| " + " | ".join(f"{value:.1f}" for name, value in result.items() if name != "timings") + " |\n")
    if arguments.json:
        content = {"environment": environment(), "arguments": vars(arguments) | {"json": None}, "results": results}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
