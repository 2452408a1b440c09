"""Waits for the end of processes that are nobody's children here, and need not be reaped by anybody."""

import os
import select
from collections.abc import Iterable
from contextlib import ExitStack


def not_ended(pids: Iterable[int], timeout_s: float) -> set[int]:
    """Those that run on after that time."""
    with ExitStack() as open_files:
        running: dict[int, int] = {}
        for pid in pids:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            open_files.callback(os.close, pidfd)
            running[pidfd] = pid
        poll = select.poll()
        for pidfd in running:
            poll.register(pidfd, select.POLLIN)
        while running and (ended := poll.poll(timeout_s * 1000)):
            for pidfd, _ in ended:
                poll.unregister(pidfd)
                del running[pidfd]
        return set(running.values())
