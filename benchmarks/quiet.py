"""Whether a machine is quiet enough to measure on: other work spoils figures tenfold."""

import time
from dataclasses import dataclass

import psutil

MAX_OTHERS_CORES = 0.1
"""Cores that others may keep busy before a figure is doubted."""


@dataclass(frozen=True)
class CpuSnapshot:
    """Processor seconds used until one moment."""

    at_s: float
    busy_s: float
    """By everything on the machine, and by its host where that takes time away."""
    ours_s: float
    """By this process, the server that it measures, and the processes that these two have started."""

    @classmethod
    def take(cls, server: psutil.Process | None) -> "CpuSnapshot":
        times = psutil.cpu_times()
        # guest time is part of user time already.
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        counted = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        ours_s = _cpu_s(psutil.Process())
        if server is not None:
            ours_s += sum(_cpu_s(process) for process in [server, *server.children(recursive=True)])
        return cls(time.perf_counter(), counted - idle_s, ours_s)

    def others_cores(self, later: "CpuSnapshot") -> float:
        """How many cores others kept busy, on average, from this moment to a later one."""
        others_s = (later.busy_s - self.busy_s) - (later.ours_s - self.ours_s)
        return max(0.0, others_s / (later.at_s - self.at_s))


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def wait_until_quiet(patience_s: float, sample_s: float = 2.0) -> float:
    """Return as soon as others leave the machine alone, or when patience is at its end; cores that they still use."""
    deadline = time.monotonic() + patience_s
    while True:
        before = CpuSnapshot.take(None)
        time.sleep(sample_s)
        others_cores = before.others_cores(CpuSnapshot.take(None))
        if others_cores <= MAX_OTHERS_CORES or time.monotonic() >= deadline:
            return others_cores
