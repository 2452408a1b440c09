"""Starts workers by forking them from one warm process that has torch and transformers imported."""

import asyncio
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import msgspec

from hostler.config import Settings
from hostler.errors import ModelLoadError, ServiceError
from hostler.logs import LogLevel
from hostler.registry import ModelSpec
from hostler.worker.client import WorkerClient
from hostler.worker.forked import ForkedProcess, Forkserver
from hostler.worker.messages import WorkerConfig

logger = logging.getLogger(__name__)


class ForkserverLauncher:
    """Implements `hostler.lifecycle.ports.Launcher`."""

    def __init__(self, settings: Settings, forkserver: Forkserver | None = None) -> None:
        """`forkserver`: started and closed by others; by default one of its own.

        Raises:
            ServiceError: the engine is not installed: workers could be started, but none would load.
        """
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise ServiceError("the engine is not installed: run pip install 'hostler[engine]'")
        self._config = WorkerConfig(
            cache_dir=str(settings.cache_dir) if settings.cache_dir else None,
            hostler_cache_dir=str(settings.hostler_cache_dir),
            hf_token=settings.hf_token.get_secret_value() if settings.hf_token else None,
            log_level=settings.log_level,
            log_format=settings.log_format,
            num_threads=settings.total_threads,
        )
        # One thread: the forkserver forks for one at a time, and the first fork waits for its imports.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
        self._forkserver = forkserver or Forkserver()
        self._owns_forkserver = forkserver is None
        self._clients: set[WorkerClient] = set()
        """Of the workers that run."""
        self._processes: set[ForkedProcess] = set()
        self._is_closed = False
        self._lock = threading.Lock()
        """Guards the two above: a process may come up in the executor after `close`, when no loop is left to end it."""

    async def start(self) -> None:
        """Begin the imports in the background; nothing here waits for them."""
        self._executor.submit(self._forkserver.start)

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
        self._clients.add(client)
        client.on_exit(lambda: self._clients.discard(client))
        client.on_exit(lambda: self._processes.discard(process))
        logger.info("worker_started model=%s pid=%d", spec.id, client.pid)
        return client

    def _start(self, spec: ModelSpec) -> tuple[socket.socket, ForkedProcess]:
        """Runs in the executor: the gateway's end of a new socket pair, and the process that has the other."""
        gateway_end, worker_end = socket.socketpair()
        with worker_end:
            try:
                process = self._forkserver.fork(worker_end)
            except OSError as exc:
                gateway_end.close()
                raise ModelLoadError(f"no process could be started for {spec.id}: {exc}") from exc
        with self._lock:
            self._processes.add(process)
            if self._is_closed:
                process.kill()
        return gateway_end, process

    def _discard(self, started: "asyncio.Future[tuple[socket.socket, ForkedProcess]]") -> None:
        if not started.cancelled() and started.exception() is None:
            self._give_up(*started.result())

    def _give_up(self, gateway_end: socket.socket, process: ForkedProcess) -> None:
        process.abandon()
        self._processes.discard(process)
        gateway_end.close()

    def set_log_level(self, level: LogLevel) -> None:
        self._config = msgspec.structs.replace(self._config, log_level=level)
        for client in self._clients:
            client.set_log_level(level)

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        if self._owns_forkserver:
            self._forkserver.close()
