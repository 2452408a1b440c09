"""The gateway's hold on the forkserver, and on the processes that it forks."""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress

FORK = b"f"
"""Asks the forkserver for a process. Two descriptors come with it: the process's socket, and where to write its pid
and, later, how it ended."""
INT = struct.Struct("=i")
NO_PROCESS = INT.pack(0)
"""Instead of a pid."""

_MODULE = "hostler.worker.forkserver"
"""Named, not imported: what is imported there has no place in the gateway."""

_ENVIRONMENT = {
    # libgomp reads these when it is loaded. With its default, threads that wait spin, and two busy workers on two cores
    # slow each other down by an order of magnitude (docs/architecture.md has the figures). A wait as short as that
    # between two operations of a step, a millisecond at most, is spun: to wake a thread takes longer.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "20000",
    # glibc reads these. Weights lie in huge pages where the kernel has them to give (`madvise`), so that a step that
    # reads all of them misses fewer translations; all threads allocate from the one heap that has such pages; what a
    # step allocates and frees stays with the process, instead of being returned, page by page, to be asked for again
    # by the next.
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.hugetlb=1",
            "glibc.malloc.arena_max=1",
            "glibc.malloc.mmap_threshold=33554432",
            "glibc.malloc.trim_threshold=268435456",
        )
    ),
    # oneDNN, and torch's layer over it, each keep what they compiled for a product: 0.4 to 0.7 MB together. Each number
    # of tokens in a step makes a product of its own of each shape of layer, so with their default of 1024 a worker grew
    # by 600 MB. The numbers of sequences that decode at a time in a row of steps have room in this.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "LRU_CACHE_CAPACITY": "128",
    # The Rust tokenizers would warn of the fork that follows and would not use their threads anyway.
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class ForkedProcess:
    """A process that the forkserver has forked, and waits for in our place."""

    def __init__(self, pid: int, status: int) -> None:
        """`status`: the descriptor from which can be read how the process ended; closed by `wait` and `abandon`."""
        self.pid = pid
        self.sentinel = status
        """Can be read once the process has ended."""
        self._is_over = False

    def wait(self) -> int | None:
        """How the process ended, negative for a signal; `None` where the forkserver ended, and so this one too.
        Blocks until then; called once."""
        self._is_over = True
        with os.fdopen(self.sentinel, "rb", buffering=0) as status:
            written = status.read(INT.size)
        return INT.unpack(written)[0] if written else None

    def kill(self) -> None:
        # The number of one that has ended may be another's.
        if not self._has_ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def abandon(self) -> None:
        """Kill it, and never `wait`."""
        self.kill()
        self._is_over = True
        os.close(self.sentinel)

    def _has_ended(self) -> bool:
        if self._is_over:
            return True
        poll = select.poll()
        poll.register(self.sentinel, select.POLLIN)
        return bool(poll.poll(0))


class Forkserver:
    """A warm process with torch and transformers imported. When it ends, what it has forked ends; the next fork starts
    another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Guards the three below."""
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._is_closed = False

    def start(self) -> None:
        """Begin the imports, which take seconds. Returns at once; without effect where it runs."""
        self._connect()

    def fork(self, gateway: socket.socket) -> ForkedProcess:
        """Start a worker that speaks to its gateway over this socket. Waits for the imports; for one thread at a time.

        Raises:
            OSError: there is no process to be had, or the forkserver was closed.
        """
        # The forkserver may have ended since the last fork.
        process = self._try_to_fork(gateway) or self._try_to_fork(gateway)
        if process is None:
            raise OSError("the process that forks workers ends before it has forked one; the log may say why")
        return process

    def close(self) -> None:
        """End it, and with it what it has forked. From any thread; whoever waits for a fork gets an error."""
        with self._lock:
            self._is_closed = True
            self._end()

    def _try_to_fork(self, gateway: socket.socket) -> ForkedProcess | None:
        """`None`: the forkserver has ended; the next attempt starts another."""
        requests = self._connect()
        status, of_forkserver = os.pipe()
        with suppress(OSError):
            socket.send_fds(requests, [FORK], [gateway.fileno(), of_forkserver])
        os.close(of_forkserver)
        written = os.read(status, INT.size)
        if written and written != NO_PROCESS:
            return ForkedProcess(INT.unpack(written)[0], status)
        os.close(status)
        if written:
            raise OSError("the system has no room for another process")
        self._forget(requests)
        return None

    def _connect(self) -> socket.socket:
        """Requests to a forkserver that was started."""
        with self._lock:
            if self._is_closed:
                raise OSError("no worker is started any more")
            if self._requests is None:
                self._requests, theirs = socket.socketpair()
                with theirs:
                    self._process = subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours
                        [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())],
                        stdin=subprocess.DEVNULL,
                        env=_ENVIRONMENT | os.environ,
                        pass_fds=[theirs.fileno()],
                    )
            return self._requests

    def _forget(self, requests: socket.socket) -> None:
        with self._lock:
            if self._requests is requests:
                self._end()

    def _end(self) -> None:
        """Under the lock."""
        if self._process is not None and self._requests is not None:
            self._requests.close()
            self._process.kill()
            self._process.wait()
        self._process = self._requests = None
