"""Asks a server for `/health` at a steady pace, from a process of its own, until its standard input is closed.

Then prints one line of JSON: how many probes, how many of them failed, and what the others took.
"""

import argparse
import http.client
import json
import select
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from hostler.bench.percentiles import percentiles

TIMEOUT_S = 30.0


class Probe:
    """One connection, kept open as a load balancer keeps its own, and what was measured over it."""

    def __init__(self, url: str, every_s: float) -> None:
        address = urlsplit(url)
        assert address.hostname, url
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT_S)
        self._every_s = every_s
        self._seconds: list[float] = []
        self._num_sent = 0
        self._num_failed = 0

    def send(self) -> None:
        self._num_sent += 1
        began = time.perf_counter()
        try:
            self._connection.request("GET", "/health")
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._num_failed += 1
            self._connection.close()
            return
        if answer.status != 200:
            self._num_failed += 1
        self._record(time.perf_counter() - began)

    def _record(self, seconds: float) -> None:
        """With those that were due in the meantime and would have waited for the rest of it: a stall that delays the
        probes themselves would else count once."""
        while seconds > 0:
            self._seconds.append(seconds)
            seconds -= self._every_s

    def report(self) -> dict[str, float]:
        measured = {"num_probes": self._num_sent, "num_failed": self._num_failed}
        shares = {f"p{share}_ms": round(seconds * 1000, 2) for share, seconds in percentiles(self._seconds).items()}
        return {**measured, **shares, "max_ms": round(max(self._seconds, default=0.0) * 1000, 2)}


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    """Probe until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the server")
    parser.add_argument("--every", type=float, default=0.02, help="seconds from one probe to the next (default: 0.02)")
    arguments = parser.parse_args()
    probe = Probe(arguments.url, arguments.every)
    due = time.perf_counter()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.perf_counter()))[0]:
        probe.send()
        due = max(due + arguments.every, time.perf_counter())
    write(json.dumps(probe.report()) + "\n")


if __name__ == "__main__":
    main()
