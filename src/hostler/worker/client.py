"""The gateway's hold on one worker: requests out, deltas in, and the news of its end."""

import asyncio
import itertools
import logging
import signal
import socket
from collections.abc import Callable

import msgspec

from hostler.engine_stats import EngineStats
from hostler.errors import EngineDeadError, ServiceError
from hostler.logs import LogLevel
from hostler.memory import DeviceMemory
from hostler.registry import ModelSpec
from hostler.types import (
    ANYBODY,
    Caller,
    ChatPrompt,
    LoadProgress,
    ModelFacts,
    PoolingInput,
    PoolingOutput,
    PoolingParams,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenDelta,
    TokenizerFacts,
)
from hostler.worker.calls import Call, Expected, PendingCalls
from hostler.worker.forked import ForkedProcess
from hostler.worker.framing import encode
from hostler.worker.generation import WorkerGeneration
from hostler.worker.messages import (
    Abort,
    Admitted,
    CachedMemoryFreed,
    Detokenize,
    Detokenized,
    DeviceMemoryReport,
    FreeCachedMemory,
    FromWorker,
    Generate,
    HeartbeatReport,
    Load,
    Loaded,
    LoadFailed,
    Outputs,
    Pool,
    Pooled,
    Progress,
    ReportDeviceMemory,
    ReportHeartbeat,
    ReportStats,
    ReportTokenizer,
    RequestFailed,
    SetLogLevel,
    SetNumThreads,
    StatsReport,
    Stop,
    Tokenize,
    Tokenized,
    TokenizerReport,
    ToWorker,
    WorkerConfig,
    decoder_of_gateway,
)
from hostler.worker.settling import refuse, resolve

logger = logging.getLogger(__name__)

DEATH_GRACE_S = 1.0
"""A worker's socket closes and its process ends within moments of each other, or something is wrong."""


class WorkerClient:
    """Implements `hostler.lifecycle.ports.Worker` over a socket. Belongs to one event loop."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        process: ForkedProcess,
        spec: ModelSpec,
        config: WorkerConfig,
    ) -> None:
        """Made by `connect`."""
        self._writer = writer
        self._process = process
        self._spec = spec
        self._config = config
        self._ids = itertools.count(1)
        self._generations: dict[int, WorkerGeneration] = {}
        self._num_lost = 0
        self._calls = PendingCalls(self._send)
        self._loaded: asyncio.Future[ModelFacts] = asyncio.get_running_loop().create_future()
        self._exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._on_progress: Callable[[LoadProgress], None] | None = None
        self._ended = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        """Kept, since a loop holds its tasks weakly."""

    @classmethod
    async def connect(
        cls, gateway_end: socket.socket, process: ForkedProcess, spec: ModelSpec, config: WorkerConfig
    ) -> "WorkerClient":
        """Take over the gateway's end of a worker's socket pair, and the started process."""
        reader, writer = await asyncio.open_connection(sock=gateway_end)
        client = cls(writer, process, spec, config)
        client._supervisor = asyncio.create_task(client._supervise(reader), name=f"worker-{spec.id}")
        asyncio.get_running_loop().add_reader(process.sentinel, client._process_ended)
        return client

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def num_lost(self) -> int:
        return self._num_lost

    @property
    def facts(self) -> ModelFacts:
        return self._loaded.result()

    async def load(self, on_progress: Callable[[LoadProgress], None]) -> ModelFacts:
        self._on_progress = on_progress
        self._send(Load(spec=self._spec, config=self._config))
        return await asyncio.shield(self._loaded)

    async def generate(
        self, prompt: Prompt, params: SamplingParams, *, priority: int = 0, caller: Caller = ANYBODY
    ) -> "WorkerGeneration":
        self._raise_if_dead()
        request_id = next(self._ids)
        generation = WorkerGeneration(params.n, lambda: self._abort(request_id))
        self._generations[request_id] = generation
        self._send(Generate(request_id=request_id, prompt=prompt, params=params, priority=priority, caller=caller))
        try:
            await generation.admitted
        except asyncio.CancelledError:
            generation.abort()
            raise
        return generation

    async def pool(
        self, inputs: list[PoolingInput], params: PoolingParams, *, caller: Caller = ANYBODY
    ) -> PoolingOutput:
        call = Pool(call_id=next(self._ids), inputs=inputs, params=params, caller=caller)
        return (await self._ask(call, Pooled)).output

    async def tokenize(
        self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool = True, caller: Caller = ANYBODY
    ) -> list[int]:
        call = Tokenize(call_id=next(self._ids), prompt=prompt, add_special_tokens=add_special_tokens, caller=caller)
        return (await self._ask(call, Tokenized)).token_ids

    async def detokenize(self, token_ids: list[int], *, caller: Caller = ANYBODY) -> str:
        call = Detokenize(call_id=next(self._ids), token_ids=token_ids, caller=caller)
        return (await self._ask(call, Detokenized)).text

    async def tokenizer_facts(self, *, caller: Caller = ANYBODY) -> TokenizerFacts:
        return (await self._ask(ReportTokenizer(call_id=next(self._ids), caller=caller), TokenizerReport)).facts

    async def free_cached_memory(self) -> int:
        return (await self._ask(FreeCachedMemory(call_id=next(self._ids)), CachedMemoryFreed)).freed_bytes

    async def device_memory(self) -> list[DeviceMemory]:
        return (await self._ask(ReportDeviceMemory(call_id=next(self._ids)), DeviceMemoryReport)).devices

    async def seconds_since_step(self) -> float:
        return (await self._ask(ReportHeartbeat(call_id=next(self._ids)), HeartbeatReport)).seconds_since_step

    async def stats(self) -> EngineStats:
        return (await self._ask(ReportStats(call_id=next(self._ids)), StatsReport)).stats

    def set_num_threads(self, num_threads: int) -> None:
        self._send(SetNumThreads(num_threads=num_threads))

    def set_log_level(self, level: LogLevel) -> None:
        """Also where it has not begun to load."""
        self._config = msgspec.structs.replace(self._config, log_level=level)
        if self._on_progress is not None:  # `Load` is its first message, and has the level
            self._send(SetLogLevel(level=level))

    async def wait_exited(self) -> str:
        return await asyncio.shield(self._exited)

    async def stop(self, grace_s: float = 5.0) -> None:
        self._send(Stop())
        try:
            await asyncio.wait_for(asyncio.shield(self._exited), grace_s)
        except TimeoutError:
            logger.warning("worker_killed model=%s pid=%d after_s=%.1f", self._spec.id, self.pid, grace_s)
            self._process.kill()
            await asyncio.shield(self._exited)

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call back once when the process has ended."""
        self._exited.add_done_callback(lambda _: callback())

    def _abort(self, request_id: int) -> None:
        if self._generations.pop(request_id, None) is not None:
            self._send(Abort(request_id=request_id))

    async def _ask(self, call: Call, answer_type: type[Expected]) -> Expected:
        self._raise_if_dead()
        return await self._calls.ask(call, answer_type)

    def _send(self, message: ToWorker) -> None:
        # Requests are small and a worker always reads, so the transport's buffer is bound enough.
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def _supervise(self, reader: asyncio.StreamReader) -> None:
        """Read until the worker is gone, and then settle all that still waits for it."""
        reading = asyncio.create_task(self._read(reader))
        dying = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({reading, dying}, return_when=asyncio.FIRST_COMPLETED)
            # Death is seen on the process and on the socket, in either order; what was sent before it is still read.
            await asyncio.wait({reading, dying}, timeout=DEATH_GRACE_S)
            reading.cancel()
            if not dying.done():
                # A worker that cannot be heard is of no use, even if its process lives.
                self._process.kill()
                await dying
        finally:
            reading.cancel()
            dying.cancel()
        self._writer.close()
        resolve(self._exited, _describe_exit(self._process.wait()))
        self._fail_all()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = decoder_of_gateway()
        try:
            while data := await reader.read(1 << 16):
                for message in decoder.feed(data):
                    self._dispatch(message)
        except ConnectionError:
            # How a socket closes when its process dies with unread messages.
            return
        except ServiceError:
            logger.exception("worker_out_of_step model=%s pid=%d", self._spec.id, self.pid)

    def _process_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._ended.set()

    def _dispatch(self, message: FromWorker) -> None:
        match message:
            case Progress(progress=progress):
                if self._on_progress is not None:
                    self._on_progress(progress)
            case Loaded(facts=facts):
                resolve(self._loaded, facts)
            case LoadFailed(error=error):
                refuse(self._loaded, error.rebuild())
            case Admitted(request_id=request_id, admission=admission):
                if (generation := self._generations.get(request_id)) is not None:
                    generation.accept(admission)
            case Outputs(outputs=outputs):
                for output in outputs:
                    self._deliver(output.request_id, output.delta)
            case RequestFailed(request_id=request_id, error=error):
                if (generation := self._generations.pop(request_id, None)) is not None:
                    generation.fail(error.rebuild())
            case _:
                self._calls.settle(message)

    def _deliver(self, request_id: int, delta: TokenDelta) -> None:
        generation = self._generations.get(request_id)
        if generation is not None and generation.feed(delta):
            del self._generations[request_id]

    def _raise_if_dead(self) -> None:
        if self._writer.is_closing() or self._exited.done():
            raise self._death()

    def _fail_all(self) -> None:
        generations, self._generations = self._generations, {}
        # One that was not accepted yet is handed to the next worker.
        num_accepted = sum(generation.admitted.done() for generation in generations.values())
        self._num_lost = num_accepted + self._calls.num_requests
        refuse(self._loaded, self._death())
        self._calls.fail(self._death())
        for generation in generations.values():
            generation.fail(self._death())

    def _death(self) -> EngineDeadError:
        return EngineDeadError(f"the process that held {self._spec.id} ended; the next request starts it again")


def _describe_exit(exit_code: int | None) -> str:
    if exit_code is None:
        return "the end of the process that had forked it"
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit status {exit_code}"
