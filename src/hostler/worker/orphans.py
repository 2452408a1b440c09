"""No worker outlives its gateway, whatever it is doing when that is gone.

A worker whose threads run sees its socket close. One that is held up in a library's code, with the interpreter's lock,
sees nothing, so the kernel ends it: with the process that forked it, the forkserver. That in turn ends when the gateway
has and its socket closes.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""Both of `linux/prctl.h`."""


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
