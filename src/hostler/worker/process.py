"""A worker: the process that holds one model. Runs until its gateway says stop or goes away.

Three threads. The main one loads and computes. The reader takes messages from the socket, and ends the process when the
socket closes: a worker without a gateway would hold memory for nobody. The preparing one makes tokens of texts, so that
neither the engine nor an abort ever waits for that. When any thread fails, the process ends as well: its requests are
told so by the gateway, and the next one starts a new process.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NoReturn

import msgspec
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from hostler.engine.factory import Engine, build_engine
from hostler.engine.pooling.factory import PoolingEngine, build_pooling_engine
from hostler.engine_stats import EngineStats
from hostler.errors import HostlerError, ModelLoadError
from hostler.logs import configure_logging, set_log_level
from hostler.models.loader import foreign_errors_translated, load_model
from hostler.models.prepare import prepare
from hostler.models.tokenizer import ReadTokenizer
from hostler.registry import ModelSpec
from hostler.types import LoadProgress
from hostler.worker import process_memory
from hostler.worker.framing import encode
from hostler.worker.heartbeat import Heartbeat
from hostler.worker.messages import (
    Abort,
    CachedMemoryFreed,
    Detokenize,
    DeviceMemoryReport,
    ErrorReport,
    FreeCachedMemory,
    FromWorker,
    Generate,
    HeartbeatReport,
    Load,
    Loaded,
    LoadFailed,
    Pool,
    Progress,
    ReportDeviceMemory,
    ReportHeartbeat,
    ReportStats,
    ReportTokenizer,
    SetLogLevel,
    SetNumThreads,
    StatsReport,
    Tokenize,
    ToWorker,
    decoder_of_worker,
)
from hostler.worker.preparing import Preparing
from hostler.worker.step_messages import messages_of
from hostler.worker.template_process import TemplateProcess

logger = logging.getLogger(__name__)

BROKEN_STATUS = 70
"""Exit status of a worker that gave itself up; `EX_SOFTWARE` of sysexits.h."""


TellUsed = Callable[[ModelSpec, Path, PreTrainedTokenizerBase], None]
"""Takes note of a tokenizer that was read from a folder and has been of use."""


def main(gateway: socket.socket, read_tokenizer: ReadTokenizer, tell_used: TellUsed) -> NoReturn:
    """Entry point of a freshly forked worker. `gateway` is its end of the socket pair."""
    # Ctrl-C and a service manager's SIGTERM reach the whole group, but it is the gateway that decides when a worker
    # ends: streams are allowed to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Libraries draw their progress with tqdm, whose own lock is a system-wide semaphore: an abrupt end would leak it.
    tqdm.set_lock(threading.RLock())
    # Whoever computes gives the interpreter up with each operation, and waits that long to have it back while a text is
    # prepared. With the usual 5 ms, a step beside long texts took 2.2 times as long as alone; now 1.3 times.
    sys.setswitchinterval(0.0005)
    # Before there is another thread, or a model.
    templates = TemplateProcess.start(gateway)
    Worker(gateway, templates, read_tokenizer, tell_used).run()
    _leave()


class Worker:
    """The worker's state, shared by its threads as said at each field."""

    def __init__(
        self, gateway: socket.socket, templates: TemplateProcess, read_tokenizer: ReadTokenizer, tell_used: TellUsed
    ) -> None:
        self._gateway = gateway
        self._templates = templates
        """Used while the tokenizer is read, then by the preparing thread."""
        self._read_tokenizer = read_tokenizer
        self._tell_used = tell_used
        self._at_first_rest: Callable[[], None] | None = None
        """What can wait until the first requests have been answered."""
        self._send_lock = threading.Lock()
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        """Other threads to the main one: what to do before the next step."""
        self._messages = self._receive()
        self._engine: Engine | PoolingEngine | None = None
        """Set by the main thread before it sends `Loaded`, so before the first request comes."""
        self._preparing: Preparing | None = None
        """Set with the engine."""
        self._heartbeat = Heartbeat()
        self._stats = EngineStats()
        """Written by the main thread after each step, read by the reader, which waits for none."""

    def run(self) -> None:
        """Load, then serve until the process ends; returns when the load failed, or was never asked for."""
        first = next(self._messages, None)
        if not isinstance(first, Load):
            return
        config = first.config
        configure_logging(config.log_level, config.log_format, [config.hf_token] if config.hf_token else [])
        torch.set_num_threads(config.num_threads)
        self._start_thread("reader", self._read)
        try:
            engine = self._engine = self._load(first)
        except HostlerError as exc:
            self._send(LoadFailed(error=ErrorReport.of(exc)))
            return
        except Exception:
            logger.exception("model_load_crashed model=%s", first.spec.id)
            error = ModelLoadError(f"{first.spec.id} could not be loaded; the server's log has the reason")
            self._send(LoadFailed(error=ErrorReport.of(error)))
            return
        preparing = self._preparing = Preparing(engine, first.spec.max_queued_requests, self._send, self._inbox.put)
        self._start_thread("preparing", preparing.run)
        self._send(
            Loaded(
                facts=msgspec.structs.replace(
                    engine.facts,
                    host_bytes=process_memory.host_bytes(),
                    bytes_by_device=process_memory.bytes_by_device(),
                )
            )
        )
        self._stats = engine.core.stats()
        try:
            self._serve(engine, preparing)
        except Exception:
            logger.critical("engine_broken model=%s pid=%d", first.spec.id, os.getpid(), exc_info=True)
            _leave(BROKEN_STATUS)

    def _load(self, message: Load) -> Engine | PoolingEngine:
        spec, config = message.spec, message.config
        local = prepare(
            spec,
            cache_dir=config.cache_dir,
            hostler_cache_dir=config.hostler_cache_dir,
            hf_token=config.hf_token,
            on_progress=self._report_progress,
        )
        loaded = load_model(spec, local, self._report_progress, self._read_tokenizer_and_template)
        self._at_first_rest = lambda: self._tell_used(spec, local.folder, loaded.tokenizer)
        self._report_progress(LoadProgress(stage="warming"))
        with foreign_errors_translated(spec.name, loaded.facts.memory_bytes):
            if spec.type.is_pooling:
                return build_pooling_engine(loaded, spec)
            return build_engine(loaded, spec, self._templates.render)

    def _read_tokenizer_and_template(self, spec: ModelSpec, folder: Path) -> PreTrainedTokenizerBase:
        """Beside the weights, which leave processors free."""
        tokenizer = self._read_tokenizer(spec, folder)
        template: object = tokenizer.chat_template  # several, by name, in some
        if isinstance(template, str):
            self._templates.get_ready(template)
        return tokenizer

    def _report_progress(self, progress: LoadProgress) -> None:
        self._send(Progress(progress=progress))

    def _serve(self, engine: Engine | PoolingEngine, preparing: Preparing) -> NoReturn:
        while True:
            self._do_what_came(wait=not engine.core.has_unfinished_requests())
            self._heartbeat.beat()
            if not engine.core.has_unfinished_requests():
                continue
            step = engine.core.step()
            preparing.admissions.leave(step.request_ids)
            self._stats = engine.core.stats()
            for message in messages_of(step):
                self._send(message)
            if self._at_first_rest is not None and not engine.core.has_unfinished_requests():
                self._at_first_rest()
                self._at_first_rest = None

    def _do_what_came(self, *, wait: bool) -> None:
        if wait:
            self._heartbeat.rest()
            action = self._inbox.get()
            self._heartbeat.beat()
            action()
        while True:
            try:
                action = self._inbox.get_nowait()
            except Empty:
                return
            action()

    def _start_thread(self, name: str, run: Callable[[], None]) -> None:
        def run_or_leave() -> None:
            try:
                run()
            except Exception:
                logger.critical("%s_broken pid=%d", name, os.getpid(), exc_info=True)
                _leave(BROKEN_STATUS)

        threading.Thread(target=run_or_leave, name=name, daemon=True).start()

    def _read(self) -> None:
        """The reader thread."""
        for message in self._messages:
            self._handle(message)
        _leave()

    def _handle(self, message: ToWorker) -> None:
        match message:
            case Generate() | Pool() | Tokenize() | Detokenize() | ReportTokenizer():
                self._loaded_preparing.take(message)
            case Abort(request_id=request_id):
                self._loaded_preparing.withdraw(request_id)
                self._inbox.put(lambda: self._abort(request_id))
            case FreeCachedMemory(call_id=call_id):
                self._inbox.put(lambda: self._free_cached_memory(call_id))
            case ReportDeviceMemory(call_id=call_id):
                self._inbox.put(
                    lambda: self._send(DeviceMemoryReport(call_id=call_id, devices=process_memory.device_memory()))
                )
            case ReportHeartbeat(call_id=call_id):
                self._send(HeartbeatReport(call_id=call_id, seconds_since_step=self._heartbeat.seconds_since()))
            case ReportStats(call_id=call_id):
                self._send(StatsReport(call_id=call_id, stats=self._stats))
            case SetNumThreads(num_threads=num_threads):
                self._inbox.put(lambda: torch.set_num_threads(num_threads))
            case SetLogLevel(level=level):
                set_log_level(level)
            case _:
                _leave()

    def _free_cached_memory(self, call_id: int) -> None:
        """In the main thread, between two steps."""
        self._loaded_engine.core.drop_kept()
        self._send(CachedMemoryFreed(call_id=call_id, freed_bytes=process_memory.free_cached()))

    def _abort(self, request_id: int) -> None:
        """In the main thread, between two steps."""
        self._loaded_engine.core.abort(request_id)
        self._loaded_preparing.admissions.leave([request_id])

    @property
    def _loaded_engine(self) -> Engine | PoolingEngine:
        assert self._engine is not None, "a request before the model was loaded"
        return self._engine

    @property
    def _loaded_preparing(self) -> Preparing:
        assert self._preparing is not None, "a request before the model was loaded"
        return self._preparing

    def _receive(self) -> Iterator[ToWorker]:
        """Messages until the gateway is gone. Read by the main thread first, by the reader after that."""
        decoder = decoder_of_worker()
        while True:
            try:
                data = self._gateway.recv(1 << 16)
            except ConnectionError:
                return
            if not data:
                return
            yield from decoder.feed(data)

    def _send(self, message: FromWorker) -> None:
        with self._send_lock:
            try:
                self._gateway.sendall(encode(message))
            except ConnectionError:
                _leave()


def _leave(status: int = 0) -> NoReturn:
    """End at once: there is nothing to save, and a running step of the other thread must not be waited for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
