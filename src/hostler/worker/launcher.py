"""Starts workers by forking them from one warm process that has torch and transformers imported."""

import asyncio
import atexit
import importlib
import logging
import multiprocessing
import multiprocessing.util
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from hostler.config import Settings
from hostler.errors import ModelLoadError, ServiceError
from hostler.registry import ModelSpec
from hostler.worker.client import WorkerClient
from hostler.worker.messages import WorkerConfig

logger = logging.getLogger(__name__)

_WORKER_MODULE = "hostler.worker.process"
_WARM_MODULE = "hostler.worker.warm"
"""Named, not imported: what is imported there has no place in the gateway."""
FORKSERVER_FOLDER = "HOSTLER_FORKSERVER_FOLDER"
"""Environment variable that tells the forkserver where its socket is: in a folder that it removes where the gateway was
killed and could not."""

_WORKER_ENVIRONMENT = {
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
    # The Rust tokenizers would warn of the fork that follows and would not use their threads anyway.
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class ForkserverLauncher:
    """Implements `hostler.lifecycle.ports.Launcher`."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ServiceError` where the engine is not installed: workers could be started, but none would load."""
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise ServiceError("the engine is not installed: run pip install 'hostler[engine]'")
        self._config = WorkerConfig(
            cache_dir=str(settings.cache_dir) if settings.cache_dir else None,
            hostler_cache_dir=str(settings.hostler_cache_dir),
            hf_token=settings.hf_token.get_secret_value() if settings.hf_token else None,
            log_level=settings.log_level,
            num_threads=settings.total_threads,
        )
        # One thread: multiprocessing's start is not meant for several, and the first one waits for the imports.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
        self._context = _context()
        self._processes: set[BaseProcess] = set()
        self._is_closed = False
        self._lock = threading.Lock()
        """Guards the two above: a process may come up in the executor after `close`, when no loop is left to end it."""

    async def start(self) -> None:
        """Begin the imports in the background; nothing here waits for them."""
        for name, value in _WORKER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        # Registered after multiprocessing's own handler and so run before it: that one would wait for workers which
        # wait for this process to close their sockets.
        atexit.register(self._kill_all)
        if isinstance(self._context, ForkServerContext):
            self._context.set_forkserver_preload([_WARM_MODULE])
            os.environ[FORKSERVER_FOLDER] = multiprocessing.util.get_temp_dir()
            self._executor.submit(_warm_up)

    async def launch(self, spec: ModelSpec) -> WorkerClient:
        starting = asyncio.get_running_loop().run_in_executor(self._executor, self._start, spec)
        try:
            gateway_end, process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The start itself cannot be called back, only what came of it.
            starting.add_done_callback(self._discard)
            raise
        try:
            client = await WorkerClient.connect(gateway_end, process, spec, self._config)
        except BaseException:
            self._give_up(gateway_end, process)
            raise
        client.on_exit(lambda: self._processes.discard(process))
        logger.info("worker_started model=%s pid=%d", spec.id, client.pid)
        return client

    def _start(self, spec: ModelSpec) -> tuple[socket.socket, BaseProcess]:
        """Runs in the executor: the gateway's end of a new socket pair, and the process that has the other."""
        gateway_end, worker_end = socket.socketpair()
        with worker_end:
            process = self._context.Process(target=run_worker, args=(worker_end,), name=f"hostler-{spec.id}")
            try:
                process.start()
            except (OSError, EOFError) as exc:
                gateway_end.close()
                raise ModelLoadError(f"no process could be started for {spec.id}: {exc}") from exc
        with self._lock:
            self._processes.add(process)
            if self._is_closed:
                process.kill()
        return gateway_end, process

    def _discard(self, started: "asyncio.Future[tuple[socket.socket, BaseProcess]]") -> None:
        if not started.cancelled() and started.exception() is None:
            self._give_up(*started.result())

    def _give_up(self, gateway_end: socket.socket, process: BaseProcess) -> None:
        process.kill()
        self._processes.discard(process)
        gateway_end.close()

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._kill_all()
        atexit.unregister(self._kill_all)

    def _kill_all(self) -> None:
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()


def run_worker(gateway: socket.socket) -> None:
    """What a new process runs first. Importing the rest is free in a fork of the warm process."""
    importlib.import_module(_WORKER_MODULE).main(gateway)


def _warm_up() -> None:
    from multiprocessing import forkserver

    forkserver.ensure_running()


def _context() -> ForkServerContext | SpawnContext:
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")
