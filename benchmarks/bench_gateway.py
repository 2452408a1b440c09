"""What the gateway costs by itself: its models answer at once, and a bare Starlette route sends the same bytes.

Three servers with the same settings of uvicorn are loaded by turns, in slices of a second: the route, a gateway with
keys, every limit and metrics, and one without keys and limits; for whole answers also a route that checks the request's
body and does nothing else. A ratio is that of two neighbouring slices. Nothing is asserted.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil
import uvloop

from closed_loop import Load, Target, load
from gateway_processes import CHECKED, HOST, STEPPED, STREAMED, WHOLE
from hardware import environment
from hostler.keys import Key, Scope, digest_of, new_secret
from hostler.keys_file import changing
from instant_engine import INSTANT, STEPPING
from quiet import CpuSnapshot, wait_until_quiet
from server_process import ServerProcess

PROCESSES = Path(__file__).with_name("gateway_processes.py")
START_TIMEOUT_S = 60
BARE, GATEWAY, OPEN = "bare", "gateway", "open"
"""The servers; the last one is a gateway without keys and limits. `CHECKED` is a route of the first one."""
NUM_KEYS = 20
"""Of the gateway's file. Each request's key is compared with all of them."""
PATH = "/v1/chat/completions"
TOKENS = {WHOLE: 16, STREAMED: 128, STEPPED: 128}
"""Of an answer, by kind."""
UNITS = {WHOLE: "requests", STREAMED: "chunks", STEPPED: "chunks"}


@dataclass(frozen=True)
class Slice:
    """One server under load for a moment."""

    round: int
    server: str
    kind: str
    num_connections: int
    per_second: float
    """Whole answers, or events of streams."""
    server_cpu_us: float
    """Processor time of the server for each of them."""
    client_cores: float
    """What the client used: near 1, and it was the bottleneck."""
    others_cores: float


class Servers:
    """All of them, from `with` on."""

    def __init__(self, first_port: int, log: Path | None) -> None:
        self._ports = {server: first_port + i for i, server in enumerate((BARE, GATEWAY, OPEN))}
        self._log = log
        self._secret = new_secret()
        self._processes: dict[str, ServerProcess] = {}

    def __enter__(self) -> "Servers":
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with changing(folder / "keys.yaml") as keys:
                for i in range(NUM_KEYS):
                    secret = self._secret if i == NUM_KEYS // 2 else new_secret()
                    keys[f"key{i}"] = Key(f"key{i}", digest_of(secret.encode()), frozenset({Scope.INFERENCE}))
            self._start(stack, GATEWAY, "gateway", "--keys-file", folder / "keys.yaml")
            self._start(stack, OPEN, "gateway")
            for kind in TOKENS:
                (folder / kind).write_bytes(self._answer(kind))
            self._start(stack, BARE, "bare", "--answers", folder)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.close()

    def target(self, server: str, kind: str) -> Target:
        port = self._ports[_process_of(server)]
        path = {BARE: f"/{kind}", CHECKED: f"/{CHECKED}"}.get(server, PATH)
        content = msgspec.json.encode(body_of(kind))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAuthorization: Bearer {self._secret}\r\n"
            "User-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return Target(port, head.encode() + content)

    def process(self, server: str) -> psutil.Process:
        return self._processes[_process_of(server)].tree

    def _start(self, stack: ExitStack, server: str, role: str, *arguments: object) -> None:
        port = self._ports[server]
        command = " ".join(map(str, (sys.executable, PROCESSES, role, "--port", port, *arguments)))
        self._processes[server] = stack.enter_context(ServerProcess(command, {}, self._log))
        self._processes[server].wait_until_ready(f"http://{HOST}:{port}", START_TIMEOUT_S)

    def _answer(self, kind: str) -> bytes:
        """What the gateway sends as the body of an answer."""
        answer = httpx2.post(
            f"http://{HOST}:{self._ports[GATEWAY]}{PATH}",
            json=body_of(kind),
            headers={"authorization": f"Bearer {self._secret}"},
        )
        answer.raise_for_status()
        return answer.content


def _process_of(server: str) -> str:
    return BARE if server == CHECKED else server


def body_of(kind: str) -> dict[str, Any]:
    """Of the request for an answer of that kind."""
    return {
        "model": STEPPING if kind == STEPPED else INSTANT,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Tell me of horses, of their stables and of those who look after them."},
        ],
        "max_tokens": TOKENS[kind],
        "temperature": 0.7,
        "stream": kind != WHOLE,
    }


def measure(servers: Servers, number: int, server: str, kind: str, num_connections: int, seconds: float) -> Slice:
    """One slice, after a tenth of it that is not counted."""
    target, process = servers.target(server, kind), servers.process(server)
    run = uvloop.run
    run(load(target, num_connections, seconds / 10))
    before, server_before, client_before = CpuSnapshot.take(process), cpu_s(process), time.process_time()
    found: Load = run(load(target, num_connections, seconds))
    client_s, server_s = time.process_time() - client_before, cpu_s(process) - server_before
    others_cores = before.others_cores(CpuSnapshot.take(process))
    count = found.num_answers if kind == WHOLE else found.num_events
    if count == 0:
        raise RuntimeError(f"{server} sent nothing within {seconds:g} s; give it more (--slice)")
    return Slice(
        round=number,
        server=server,
        kind=kind,
        num_connections=num_connections,
        per_second=count / found.seconds,
        server_cpu_us=server_s / count * 1e6,
        client_cores=client_s / found.seconds,
        others_cores=others_cores,
    )


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_all(servers: Servers, arguments: argparse.Namespace) -> list[Slice]:
    """Neighbours in time are the servers under the same load; their order is reversed in every second round."""
    slices: list[Slice] = []
    for number in range(arguments.rounds):
        for kind in TOKENS:
            order = servers_of(kind)[:: 1 if number % 2 == 0 else -1]
            for num_connections in arguments.connections:
                slices += [measure(servers, number, server, kind, num_connections, arguments.slice) for server in order]
    return slices


def servers_of(kind: str) -> tuple[str, ...]:
    return (CHECKED, BARE, GATEWAY, OPEN) if kind == WHOLE else (BARE, GATEWAY, OPEN)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Nothing of nothing."""
    known = sorted(values)
    return {"min": known[0], "median": statistics.median(known), "max": known[-1]} if known else {}


def summarise(slices: list[Slice]) -> list[dict[str, Any]]:
    """One row for each kind and number of connections."""
    rows = []
    loads = dict.fromkeys((each.kind, each.num_connections) for each in slices)
    for kind, num_connections in loads:
        of_load = [each for each in slices if (each.kind, each.num_connections) == (kind, num_connections)]
        by_server = {name: [each for each in of_load if each.server == name] for name in servers_of(kind)}
        rates = {name: [each.per_second for each in found] for name, found in by_server.items()}
        cpu_us = {name: [each.server_cpu_us for each in found] for name, found in by_server.items()}
        pairs = list(zip(rates[BARE], rates[GATEWAY], rates[OPEN], strict=True))
        rows.append(
            {
                "kind": kind,
                "connections": num_connections,
                "per_second": {name: spread(found) for name, found in rates.items()},
                "server_cpu_us": {name: spread(found) for name, found in cpu_us.items()},
                "ratio": spread(gateway / bare for bare, gateway, _ in pairs),
                "checked_ratio": spread(
                    checked / bare for checked, bare in zip(rates.get(CHECKED, ()), rates[BARE], strict=False)
                ),
                "open_ratio": spread(opened / bare for bare, _, opened in pairs),
                "keys_and_limits_us": spread((1 / gateway - 1 / opened) * 1e6 for _, gateway, opened in pairs),
                "keys_and_limits_cpu_us": spread(
                    on - off for on, off in zip(cpu_us[GATEWAY], cpu_us[OPEN], strict=True)
                ),
                "most_client_cores": max(each.client_cores for each in of_load),
                "most_others_cores": max(each.others_cores for each in of_load),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| answers | connections | route, per s | gateway, per s | ratio: min, median, max | of the checking route"
        " | keys and limits add |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates, ratio, added = row["per_second"], row["ratio"], row["keys_and_limits_us"]
        unit = UNITS[row["kind"]]
        is_whole = row["kind"] == WHOLE
        added_text = f"{added['median'] / 1000:.3f} ms" if is_whole else ""
        checked_text = f"{row['checked_ratio']['median']:.2f}" if is_whole else ""
        lines.append(
            f"| {row['kind']} | {row['connections']} | {rates[BARE]['median']:.0f} {unit}"
            f" | {rates[GATEWAY]['median']:.0f} | {ratio['min']:.2f} {ratio['median']:.2f} {ratio['max']:.2f}"
            f" | {checked_text} | {added_text} |"
        )
    return "\n".join(lines) + "\n"


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], help="(default: 1 16 64)")
    parser.add_argument("--rounds", type=int, default=7, help="slices of each load and server (default: %(default)s)")
    parser.add_argument("--slice", type=float, default=1.0, help="seconds of each (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8310, help="the first of three (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds to wait for a quiet machine (default: 0)")
    parser.add_argument("--log", type=Path, help="file that what the servers print is added to")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()
    with Servers(arguments.port, arguments.log) as servers:
        others_cores = wait_until_quiet(arguments.patience)
        slices = measure_all(servers, arguments)
    rows = summarise(slices)
    write(table(rows))
    write(
        f"\nothers used {others_cores:.2f} cores before, the client {max(each.client_cores for each in slices):.2f}\n"
    )
    if arguments.json:
        content = {"environment": environment(), "rows": rows, "slices": [asdict(each) for each in slices]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
