"""No worker outlives its gateway, whatever it is doing when that is gone.

A worker whose threads run sees its socket close. One that is held up in a library's code, with the interpreter's lock,
sees nothing, so the kernel ends it: with the process that forked it, the forkserver. That in turn ends when the gateway
has, for then nobody holds the write end of a pipe that it watches. multiprocessing gives that end to every worker too,
which must therefore let go of it.
"""

import ctypes
import os
import signal
import sys
import warnings
from multiprocessing import forkserver
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""Both of `linux/prctl.h`."""
_IMPORTED_IN = os.getpid()
"""The forkserver, which imports this for all workers; or the worker itself, where there is none."""


def end_with_parent() -> None:
    """To be called first in a new worker. Does not return where the parent has ended already."""
    _let_go_of_forkserver()
    if os.getpid() != _IMPORTED_IN:
        end_with(_IMPORTED_IN)


def end_with(parent_pid: int) -> None:
    """Have the kernel end this process with the one that forked it; where that has ended already, end now."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(0)


def adopt_orphans() -> None:
    """For the forkserver: what a worker forked and did not wait for is waited for here, once the worker has ended.

    Else it would be for the first process of the machine or container to do, which may be a gateway.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # It waits for all its children, and is surprised at those that it has not forked.
    warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")


def _let_go_of_forkserver() -> None:
    # There is no public name for it. A worker starts no processes by it, which is all that it would be needed for.
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None
