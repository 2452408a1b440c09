"""How long it takes until a server answers, and how fast it answers: measured on a real one, with the embedded model.

Prints a table, and with `--json FILE` writes every single figure with versions and hardware. Nothing is asserted.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai

from hardware import environment

MODEL = "smollm2-135m"
QUESTION: Any = [{"role": "user", "content": "Tell a long story about a horse."}]
NUM_STREAMS = 4
NUM_TOKENS = 128
"""Of each measured answer; end-of-sequence tokens are ignored."""

ROWS = {
    "first_health_s": "start to first /health, s",
    "cold_first_token_s": "cold load to first token, s",
    "reload_first_token_s": "second load to first token, s",
    "warm_first_token_s": "warm first token, s",
    "alone_tokens_per_s": "tokens per second, one stream",
    "four_tokens_per_s": "tokens per second, four streams together",
}


class Server:
    """`hostler serve` on a free port, and the moment at which it was started."""

    def __init__(self) -> None:
        self.started_at = time.perf_counter()
        command: list[str | Path] = [
            Path(sys.executable).with_name("hostler"),
            "serve",
            "--port",
            "0",
            "--log-level",
            "warning",
        ]
        environment = {name: value for name, value in os.environ.items() if name != "DEFAULT_MODEL"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        found = re.search(r"serves on (\S+)", self.process.stdout.readline())
        assert found, "the server did not start"
        self.url = found[1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


async def stream(client: openai.AsyncOpenAI, num_tokens: int) -> tuple[float, float, int]:
    """One streamed answer: seconds to its first token, seconds from there to its last, tokens after the first."""
    began = time.perf_counter()
    first = last = 0.0
    num_completion_tokens = 0
    chunks = await client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=num_tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    async for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            last = time.perf_counter()
            first = first or last
        if chunk.usage:
            num_completion_tokens = chunk.usage.completion_tokens
    return first - began, last - first, num_completion_tokens - 1


async def measure(server: Server) -> dict[str, float]:
    """All figures of one fresh server."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        httpx2.get(f"{server.url}/health").raise_for_status()
        figures = {"first_health_s": time.perf_counter() - server.started_at}
        figures["cold_first_token_s"], *_ = await stream(client, 2)
        httpx2.post(f"{server.url}/models/{MODEL}/unload").raise_for_status()
        figures["reload_first_token_s"], *_ = await stream(client, 2)
        figures["warm_first_token_s"], *_ = await stream(client, 2)
        _, seconds, num_tokens = await stream(client, NUM_TOKENS)
        figures["alone_tokens_per_s"] = num_tokens / seconds
        began = time.perf_counter()
        answers = await asyncio.gather(*(stream(client, NUM_TOKENS) for _ in range(NUM_STREAMS)))
        together = time.perf_counter() - began - min(first for first, _, _ in answers)
        figures["four_tokens_per_s"] = sum(num_tokens for _, _, num_tokens in answers) / together
        return figures


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    """Measure as often as asked and show the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="fresh servers to measure (default: 5)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()

    runs = []
    for _ in range(arguments.runs):
        server = Server()
        try:
            runs.append(asyncio.run(measure(server)))
        finally:
            server.stop()
    write(f"| medians of {len(runs)} | |\n|---|---|\n")
    for name, label in ROWS.items():
        write(f"| {label} | {statistics.median(run[name] for run in runs):.2f} |\n")
    if arguments.json:
        measured = {"model": MODEL, "tokens": NUM_TOKENS, "runs": runs}
        arguments.json.write_text(json.dumps({"environment": environment(), **measured}, indent=2) + "\n")


if __name__ == "__main__":
    main()
