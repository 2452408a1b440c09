"""How fast a running server answers: any that speaks OpenAI's chat completions, so that peers are measured alike.

Closed loop: so many streams at once, each asking again when it has its answer. Open loop (`--rate`): requests begin at
random times, so many a second on average, whether or not earlier ones have ended. Several `--model`s are asked in turn.
Prints a table, and with `--json FILE` writes every single figure. Nothing is asserted.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from hardware import environment
from hostler.bench.chat_stream import Endpoint
from hostler.bench.serving_load import Load, LoadGenerator, Measurement


async def measure(endpoint: Endpoint, load: Load, arguments: argparse.Namespace) -> list[Measurement]:
    """All levels, one after the other."""
    generator = LoadGenerator(endpoint, load)
    if arguments.rate:
        await generator.warm_up(max(arguments.streams))
        return [await generator.open_loop(rate, arguments.requests) for rate in arguments.rate]
    measurements = []
    for num_streams in arguments.streams:
        await generator.warm_up(num_streams)
        measurements.append(await generator.closed_loop(num_streams, max(arguments.requests, num_streams)))
    return measurements


def table(measurements: list[Measurement]) -> str:
    """A line for each level, in Markdown."""
    rows = [measurement.figures() for measurement in measurements]
    lines = ["| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
    lines += ["| " + " | ".join(f"{value:.2f}" for value in row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL of the server's OpenAI interface")
    parser.add_argument("--api-key", default="unused")
    parser.add_argument("--model", action="append", required=True, help="may be given several times")
    parser.add_argument("--plain", action="store_true", help="leave out ignore_eos, which some servers refuse")
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[1, 4, 16, 32], help="closed loop (default: 1 4 16 32)"
    )
    parser.add_argument("--rate", type=float, nargs="+", help="open loop instead: requests per second")
    parser.add_argument("--requests", type=int, default=32, help="in all, at each level (default: 32)")
    parser.add_argument("--prompt-words", type=int, default=Load.num_prompt_words, help="(default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=Load.max_tokens, help="(default: %(default)s)")
    parser.add_argument("--shared-prefix", action="store_true", help="the same long system message in every prompt")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()

    load = Load(arguments.model, arguments.prompt_words, arguments.max_tokens, arguments.shared_prefix)
    endpoint = Endpoint(arguments.url, arguments.api_key, arguments.plain)
    measurements = asyncio.run(measure(endpoint, load, arguments))
    write(table(measurements))
    if arguments.json:
        asked = {name: value for name, value in vars(arguments).items() if name not in ("json", "api_key")}
        results = [measurement.record() for measurement in measurements]
        content = {"environment": environment(), "arguments": asked, "seed": load.seed, "results": results}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
