"""What the forkserver does before it forks the first worker. It imports this module, and nothing else does."""

import atexit
import gc
import os
import shutil
import signal

import hostler.worker.process  # noqa: F401  (so that workers find it imported)
from hostler.worker.launcher import FORKSERVER_FOLDER
from hostler.worker.orphans import adopt_orphans


def _make_ready() -> None:
    # A service manager's SIGTERM reaches the whole group. Workers are to live until the gateway ends them, and they end
    # with the forkserver; that ends by itself when the gateway has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    adopt_orphans()
    if folder := os.environ.get(FORKSERVER_FOLDER):
        # Not run in workers: a forked process leaves by `os._exit`.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # A collection writes into every object that it looks at, and so copies the pages that workers share with this one.
    gc.collect()
    gc.freeze()


_make_ready()
