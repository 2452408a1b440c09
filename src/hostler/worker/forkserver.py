"""The forkserver: a process that does once what every worker needs, and forks one for each byte that it is sent.

It has one thread of Python's, runs no code of a model's repository, and holds no model. Between two forks it reads the
tokenizers that workers have used, so that the next worker of the same model finds its own in memory.
"""

import errno
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from transformers import PreTrainedTokenizerBase

from hostler.logs import configure_logging
from hostler.models.tokenizer import TokenizerCache
from hostler.registry import ModelSpec
from hostler.worker import process
from hostler.worker.forked import INT, NO_PROCESS
from hostler.worker.orphans import adopt_orphans, end_with
from hostler.worker.warm import make_ready


class Forking:
    """Belongs to its process: the one that serves, and in a copy each that it has forked."""

    def __init__(self, gateway: socket.socket) -> None:
        self._gateway = gateway
        self._status_of: dict[int, int] = {}
        """By pid, where to write how it ended."""
        self._tokenizers = TokenizerCache()
        self._used, self._used_here = os.pipe()
        """Folders of tokenizers that workers have used, each with a zero byte behind it."""
        self._woken, self._wake = os.pipe()
        """Gets a byte for each signal."""
        for descriptor in (self._used_here, self._woken, self._wake):
            os.set_blocking(descriptor, False)

    def serve(self) -> None:
        """Returns when the gateway is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake)
        poll = select.poll()
        for descriptor in (self._gateway.fileno(), self._used, self._woken):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._gateway.fileno() in ready:
                _, descriptors, _, _ = socket.recv_fds(self._gateway, 1, 2)
                if len(descriptors) != 2:
                    return
                self._fork(socket.socket(fileno=descriptors[0]), descriptors[1])
            elif self._used in ready:
                # Last, since somebody waits for all else.
                self._keep_tokenizers()

    def _fork(self, gateway_of_worker: socket.socket, status: int) -> None:
        forkserver_pid = os.getpid()
        with gateway_of_worker:
            try:
                pid = os.fork()
            except OSError:
                pid = None
            if pid == 0:
                self._be_worker(gateway_of_worker, status, forkserver_pid)
        if pid is None:
            _write(status, NO_PROCESS)
            os.close(status)
            return
        self._status_of[pid] = status
        _write(status, INT.pack(pid))

    def _be_worker(self, gateway: socket.socket, status: int, forkserver_pid: int) -> NoReturn:
        """In the new process."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            end_with(forkserver_pid)
            self._gateway.close()
            # Were one open here, its reader would not see that the forkserver has ended.
            for descriptor in (status, self._used, self._woken, self._wake, *self._status_of.values()):
                os.close(descriptor)
            process.main(gateway, self._tokenizers.get_or_read, self._tell_used)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _tell_used(self, spec: ModelSpec, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """In a worker. Where the forkserver is behind with much, it is not told."""
        message = os.fsencode(folder) + b"\0"
        if self._tokenizers.takes(spec, folder, tokenizer) and len(message) <= select.PIPE_BUF:
            with suppress(BlockingIOError):
                os.write(self._used_here, message)

    def _keep_tokenizers(self) -> None:
        # No message is split: each is written at once, and there is room for all that the pipe may hold.
        for folder in dict.fromkeys(os.read(self._used, 2**20).split(b"\0")[:-1]):
            self._tokenizers.keep(Path(os.fsdecode(folder)))

    def _reap(self) -> None:
        """Pass on how children have ended. Some are no workers, but what those forked and left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (reader := self._status_of.pop(pid, None)) is not None:
                _write(reader, INT.pack(os.waitstatus_to_exitcode(status)))
                os.close(reader)


def _write(status: int, message: bytes) -> None:
    try:
        os.write(status, message)
    except OSError as exc:
        # The gateway has given this worker up.
        if exc.errno != errno.EPIPE:
            raise


def main() -> None:
    """`python -m hostler.worker.forkserver DESCRIPTOR`, with the number of the socket to the gateway."""
    # A service manager's SIGTERM reaches the whole group. Workers are to live until the gateway ends them, and they end
    # with the forkserver; that ends by itself when the gateway has.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    configure_logging("WARNING")
    make_ready()
    Forking(socket.socket(fileno=int(sys.argv[1]))).serve()
    # Workers end with this process. There is nothing to put away, and what libraries do at the end may take its time.
    os._exit(0)


if __name__ == "__main__":
    main()
