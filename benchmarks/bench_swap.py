"""How long a switch from one model to another takes, to the first token, with room for one of them at a time.

Two copies of the same weights are asked by turns over OpenAI's chat completions, their files in the page cache or
dropped from it, while `/health` is asked every 20 ms. Beside it stands how long reading the same bytes takes. Which
servers are measured stands in a YAML file: see `swap.yaml`. Nothing is asserted.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import swap_stages
from hardware import environment
from hostler.bench.chat_stream import Endpoint
from quiet import MAX_OTHERS_CORES, CpuSnapshot, wait_until_quiet
from server_process import STOP_TIMEOUT_S, ServerProcess
from weights_on_disk import NAMES, files_of, forget, prepare, read_s

HEALTH_PROBE = Path(__file__).with_name("health_probe.py")
QUESTION = [{"role": "user", "content": "Name a horse."}]


class Server(msgspec.Struct, forbid_unknown_fields=True):
    """How one server is started and asked. `{folder}` stands for where the models lie."""

    command: str
    url: str
    """Without `/v1`."""
    model: str = "{name}"
    """What this server calls the model that lies under `name`."""
    weights: str = ".safetensors"
    """Suffix of the files that it reads."""
    env: dict[str, str] = {}
    plain: bool = False
    """Leave out `ignore_eos`, which it refuses."""


@dataclass
class Figures:
    """Of one server, in seconds."""

    first_s: float = 0.0
    """To the first token of a server that has just begun to answer."""
    warm_s: list[float] = field(default_factory=list)
    """To the first token of each switch, the file in the page cache."""
    cold_s: list[float] = field(default_factory=list)
    """The same, the file dropped from it."""
    in_memory_s: list[float] = field(default_factory=list)
    """To the first token of a model that is there."""
    read_warm_s: list[float] = field(default_factory=list)
    read_cold_s: list[float] = field(default_factory=list)
    """To read the file's bytes."""
    num_bytes: int = 0
    dropped_by: str = ""
    stages_s: dict[str, float] = field(default_factory=dict)
    """Of a warm switch, medians; what the log tells."""
    health: dict[str, float] = field(default_factory=dict)
    """What `health_probe.py` reports, over all switches."""
    others_cores: float = 0.0
    """How much others used of the machine meanwhile."""


class Switching:
    """One server that is asked for two models by turns."""

    def __init__(self, server: Server, folder: Path, log: Path, pause_s: float) -> None:
        self._server = server
        self._folder = folder
        self._log = log
        self._pause_s = pause_s
        self._endpoint = Endpoint(f"{server.url}/v1", is_plain=server.plain)
        self.figures = Figures()
        self._stages: list[dict[str, float]] = []

    def measure(self, runs: int) -> None:
        """The server answers, and has no model in memory."""
        self.figures.first_s = self._ask(NAMES[0])
        with _HealthProbe(self._server.url) as probe:
            for number in range(runs):
                self._switch(NAMES[(number + 1) % 2], NAMES[number % 2])
            for number in range(runs, 2 * runs):
                self._switch(NAMES[(number + 1) % 2], NAMES[number % 2], is_cold=True)
        self.figures.health = probe.report
        self.figures.stages_s = swap_stages.medians(self._stages)

    def _switch(self, new: str, old: str, *, is_cold: bool = False) -> None:
        files = files_of(self._folder, new, self._server.weights)
        self.figures.num_bytes = sum(path.stat().st_size for path in files)
        # A model stays for as long as its load took, at least; and some servers let go of one after a while only.
        time.sleep(self._pause_s)
        if is_cold:
            self.figures.dropped_by = forget(files)
            self.figures.read_cold_s.append(read_s(files))
            forget(files)
            self.figures.cold_s.append(self._ask(new))
            return
        self.figures.read_warm_s.append(min(read_s(files), read_s(files)))
        began = time.time()
        ttft_s = self._ask(new)
        self.figures.warm_s.append(ttft_s)
        self._stages.append(swap_stages.stages(self._log, old, new, began, began + ttft_s))
        self.figures.in_memory_s.append(self._ask(new))

    def _ask(self, name: str) -> float:
        """Seconds to the first token."""
        model = self._server.model.format(folder=self._folder, name=name)
        return asyncio.run(self._endpoint.ask(model, QUESTION, max_tokens=2)).ttft_s


class _HealthProbe:
    """`health_probe.py` in a process of its own, as long as the `with` lasts."""

    def __init__(self, url: str) -> None:
        self._command = [sys.executable, str(HEALTH_PROBE), url]
        self.report: dict[str, float] = {}

    def __enter__(self) -> "_HealthProbe":
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_raised: object) -> None:
        reported, _ = self._process.communicate(timeout=STOP_TIMEOUT_S)
        self.report = json.loads(reported)


def measure(server: Server, folder: Path, log: Path, arguments: argparse.Namespace) -> Figures:
    """Start a server, measure it and stop it."""
    wait_until_quiet(arguments.patience)
    with ServerProcess(server.command.format(folder=folder), server.env, log) as process:
        process.wait_until_ready(f"{server.url}/v1", arguments.start_timeout)
        switching = Switching(server, folder, log, arguments.pause)
        before = CpuSnapshot.take(process.tree)
        switching.measure(arguments.runs)
        figures = switching.figures
        figures.others_cores = before.others_cores(CpuSnapshot.take(process.tree))
    return figures


def table(measured: dict[str, Figures]) -> str:
    """A row for each figure, a column for each server, in Markdown."""
    rows: dict[str, Callable[[Figures], object]] = {
        "file, MB": lambda figures: f"{figures.num_bytes / 1e6:.0f}",
        "first load of a server, s": lambda figures: f"{figures.first_s:.2f}",
        "switch, file in the page cache, s": lambda figures: _median(figures.warm_s),
        "reading it from there, s": lambda figures: _median(figures.read_warm_s),
        "switch, file dropped, s": lambda figures: _median(figures.cold_s),
        "reading it from disk, s": lambda figures: _median(figures.read_cold_s),
        "first token of a model in memory, s": lambda figures: _median(figures.in_memory_s),
        "`/health`, p99, ms": lambda figures: figures.health["p99_ms"],
        "`/health`, longest, ms": lambda figures: figures.health["max_ms"],
        "others used, cores": lambda figures: f"{figures.others_cores:.2f}{_doubt(figures)}",
    }
    lines = ["| | " + " | ".join(measured) + " |", "|---" * (len(measured) + 1) + "|"]
    lines += [
        f"| {label} | " + " | ".join(str(cell(figures)) for figures in measured.values()) + " |"
        for label, cell in rows.items()
    ]
    for name, figures in measured.items():
        if len(figures.stages_s) > 1:
            lines += ["", f"{name}: a warm switch, medians of its stages, ms", ""]
            lines += [f"- {stage}: {seconds * 1000:.0f}" for stage, seconds in figures.stages_s.items()]
    return "\n".join(lines) + "\n"


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f}"


def _doubt(figures: Figures) -> str:
    return " NOT QUIET" if figures.others_cores > MAX_OTHERS_CORES else ""


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    """Measure the servers of the file and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", type=Path, help="YAML file, as swap.yaml")
    parser.add_argument("--weights", type=Path, required=True, help="folder of a chat model in safetensors")
    parser.add_argument("--gguf", type=Path, help="GGUF file of the same model, for servers that read such")
    parser.add_argument("--only", nargs="*", help="names of servers (default: all)")
    parser.add_argument("--runs", type=int, default=6, help="warm switches, and as many cold ones (default: 6)")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds before each switch (default: 4)")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for a quiet machine")
    parser.add_argument("--start-timeout", type=float, default=120, help="seconds that a server may take to start")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()

    servers = msgspec.yaml.decode(arguments.servers.read_bytes(), type=dict[str, Server])
    measured: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-swap-") as temporary:
        folder = Path(temporary)
        prepare(folder, arguments.weights, arguments.gguf)
        for name in arguments.only or servers:
            measured[name] = measure(servers[name], folder, folder / f"{name}.log", arguments)
    write(table(measured))
    if arguments.json:
        figures: dict[str, Any] = {name: asdict(of_one) for name, of_one in measured.items()}
        arguments.json.write_text(json.dumps({"environment": environment(), "servers": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
