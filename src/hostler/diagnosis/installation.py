"""Python, the packages, and what torch says of this machine."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import psutil

from hostler import __version__
from hostler.accelerators import ask_nvml
from hostler.diagnosis.advisories import ADVISORIES, CHECKED_ON, installed, open_advisories
from hostler.diagnosis.findings import Finding, problem, warning
from hostler.quantities import format_bytes
from hostler.telemetry.tracing import is_asked_for

_PROBE_TIMEOUT_S = 120.0
"""A first import of torch from a slow disk takes a minute."""
_PROBE = """
import json, torch
devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "cuda": torch.version.cuda or torch.version.hip,
    "threads": torch.get_num_threads(),
    "devices": [[device.name, device.total_memory] for device in devices],
}))
"""
_ENGINE = ("torch", "transformers", "tokenizers", "safetensors")


def check_python() -> Iterator[Finding]:
    yield Finding(topic="hostler", text=__version__)
    yield Finding(topic="python", text=f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    memory = psutil.virtual_memory()
    yield Finding(
        topic="machine",
        text=f"{psutil.cpu_count() or 1} cores, {format_bytes(memory.total)},"
        f" of which {format_bytes(memory.available)} are free",
    )


def check_engine() -> Iterator[Finding]:
    """Imports torch in a process of its own."""
    versions = {package: installed(package) for package in _ENGINE}
    if missing := [package for package, found in versions.items() if found is None]:
        yield problem(
            "engine", f"The engine is not installed: {', '.join(missing)}.", "Run pip install 'hostler[engine]'."
        )
        return
    yield Finding(topic="engine", text=", ".join(f"{package} {found}" for package, found in versions.items()))
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True)  # noqa: S603
    except (subprocess.SubprocessError, OSError) as exc:
        lines = (getattr(exc, "stderr", None) or "").strip().splitlines()
        reason = lines[-1][:200] if lines else type(exc).__name__
        yield problem("devices", f"torch cannot be imported ({reason}).", "Install it anew, as its site says.")
        return
    yield from devices_of(json.loads(done.stdout.splitlines()[-1]), [gpu.name for gpu in ask_nvml()])


def devices_of(said: Mapping[str, Any], gpus: list[str]) -> Iterator[Finding]:
    """`said`: by torch; `gpus`: names of those that the driver knows."""
    if gpus and not said["devices"]:
        build = "was built without CUDA" if said["cuda"] is None else "sees none of them"
        yield warning(
            "devices",
            f"This machine has {len(gpus)} GPUs ({', '.join(gpus)}), and torch {build}.",
            "Install torch for your CUDA version, and see that CUDA_VISIBLE_DEVICES names them.",
        )
        return
    names = [f"{name} ({format_bytes(num_bytes)})" for name, num_bytes in said["devices"]]
    yield Finding(topic="devices", text=", ".join(names) or f"CPU, {said['threads']} threads")


def check_advisories() -> Iterator[Finding]:
    found = open_advisories()
    for advisory in found:
        yield problem(
            "advisories",
            f"{advisory.package} {installed(advisory.package)} has {advisory.id}: {advisory.meaning}.",
            f"Run pip install '{advisory.package}>={advisory.fixed_in}'.",
        )
    if not found:
        yield Finding(topic="advisories", text=f"none of {len(ADVISORIES)} known ones (table of {CHECKED_ON})")


def check_tracing(environment: Mapping[str, str]) -> Iterator[Finding]:
    if not is_asked_for(environment):
        yield Finding(topic="tracing", text="off")
    elif find_spec("opentelemetry") is None or installed("opentelemetry-exporter-otlp-proto-http") is None:
        yield warning(
            "tracing", "OTEL_* variables ask for traces, and none are made.", "Run pip install 'hostler[tracing]'."
        )
    else:
        yield Finding(topic="tracing", text="on")
