"""Several servers side by side: one at a time, in turn, several times, and the medians in one table.

Which servers, and how each is started, stands in a YAML file: see `peers.yaml`. Each run starts a server, waits until
it answers, warms it, measures it in a closed loop at each number of streams, and stops it. The order is reversed from
round to round, so that a machine that slows down does not favour anyone. A run beside which others used the machine is
marked. Nothing is asserted.
"""

import argparse
import asyncio
import json
import shlex
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from hardware import environment
from hostler.bench.chat_stream import Endpoint
from hostler.bench.serving_load import Load, LoadGenerator
from medians import Runs, tables
from quiet import MAX_OTHERS_CORES, CpuSnapshot, wait_until_quiet
from server_process import ServerProcess


class Server(msgspec.Struct, forbid_unknown_fields=True):
    """How one server is started and asked."""

    command: str
    url: str
    """Base URL of its OpenAI interface."""
    model: str
    """As this server calls it."""
    env: dict[str, str] = {}
    """Added to the environment."""
    plain: bool = False
    """Leave out `ignore_eos`, which it refuses."""
    streams: list[int] | None = None
    """Only these levels: for one whose time does not suffice for all."""
    requests_per_stream: int | None = None
    version: str = ""
    """A command that prints the version; what it prints is recorded."""


def measure(server: Server, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """One run of one server: a record for each level."""
    others_cores_before = wait_until_quiet(arguments.patience)
    records = []
    with ServerProcess(server.command, server.env, arguments.log) as process:
        process.wait_until_ready(server.url, arguments.start_timeout)
        load = Load([server.model], arguments.prompt_words, arguments.max_tokens, arguments.shared_prefix)
        generator = LoadGenerator(Endpoint(server.url, is_plain=server.plain), load)
        for num_streams in server.streams or arguments.streams:
            num_requests = num_streams * (server.requests_per_stream or arguments.requests_per_stream)
            figures, others_cores = asyncio.run(_level(generator, process.tree, num_streams, num_requests))
            records.append({**figures, "others_cores": others_cores, "others_cores_before": others_cores_before})
    return records


async def _level(
    generator: LoadGenerator, server: psutil.Process, num_streams: int, num_requests: int
) -> tuple[dict[str, float], float]:
    """What was measured, and the cores that neither server nor client used meanwhile."""
    await generator.warm_up(num_streams)
    before = CpuSnapshot.take(server)
    measurement = await generator.closed_loop(num_streams, num_requests)
    return measurement.figures(), before.others_cores(CpuSnapshot.take(server))


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    arguments = _arguments()
    # Ended from outside, the server that runs just then must be ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    servers = msgspec.yaml.decode(arguments.servers.read_bytes(), type=dict[str, Server])
    names = arguments.only or list(servers)
    runs: Runs = defaultdict(list)
    for number in range(arguments.runs):
        for name in names if number % 2 == 0 else reversed(names):
            records = measure(servers[name], arguments)
            runs[name].append(records)
            for record in records:
                note = " (NOT QUIET)" if record["others_cores"] > MAX_OTHERS_CORES else ""
                write(
                    f"run {number + 1} of {name}: {record['level']} streams, {record['tokens_per_s']:.1f} tokens/s,"
                    f" others used {record['others_cores']:.2f} cores{note}\n"
                )
            if arguments.json:
                arguments.json.write_text(_json(arguments, servers, runs))
    write("\n" + tables(runs))


def _json(arguments: argparse.Namespace, servers: dict[str, Server], runs: Runs) -> str:
    asked = {name: value for name, value in vars(arguments).items() if name not in ("json", "log", "servers")}
    versions = {name: _version(servers[name]) for name in runs}
    content = {"environment": environment(), "arguments": asked, "servers": versions, "runs": runs}
    return json.dumps(content, indent=1) + "\n"


def _version(server: Server) -> str:
    if not server.version:
        return ""
    asked = subprocess.run(shlex.split(server.version), capture_output=True, text=True, check=False)
    lines = asked.stdout.strip().splitlines()
    return lines[-1] if lines else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", type=Path, help="YAML file that says how each server is started")
    parser.add_argument("--only", nargs="+", help="names of servers in the file (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="of each server (default: %(default)s)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16, 32], help="(default: 1 4 16 32)")
    parser.add_argument("--requests-per-stream", type=int, default=4, help="at each level (default: %(default)s)")
    parser.add_argument("--prompt-words", type=int, default=Load.num_prompt_words, help="(default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=Load.max_tokens, help="(default: %(default)s)")
    parser.add_argument("--shared-prefix", action="store_true", help="the same long system message in every prompt")
    parser.add_argument(
        "--patience", type=float, default=600, help="seconds to wait for a quiet machine (default: %(default)s)"
    )
    parser.add_argument("--start-timeout", type=float, default=900, help="seconds (default: %(default)s)")
    parser.add_argument("--log", type=Path, help="file for what the servers print (default: nowhere)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
