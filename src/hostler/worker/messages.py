"""All messages between the gateway and a worker.

Nothing is pickled, so a worker that was taken over by a model's code gets no code into the gateway by its answers.
"""

from hostler.engine_stats import EngineStats
from hostler.errors import HostlerError, ServiceError, subclasses_by_code
from hostler.logs import LogForm, LogLevel
from hostler.memory import DeviceMemory
from hostler.registry import ModelSpec
from hostler.struct import Struct
from hostler.types import (
    ANYBODY,
    Admission,
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
from hostler.worker.framing import FrameDecoder


class WorkerConfig(Struct, frozen=True):
    """What a worker needs to know besides its model."""

    cache_dir: str | None
    """Hub cache; `None`: huggingface_hub's own choice."""
    hostler_cache_dir: str
    hf_token: str | None
    log_level: LogLevel
    log_format: LogForm
    num_threads: int
    """Threads that torch computes with, until `SetNumThreads` says otherwise."""


class Load(Struct, frozen=True, tag="load"):
    """First message to a worker; answered by `Progress` messages, then `Loaded` or `LoadFailed`."""

    spec: ModelSpec
    config: WorkerConfig


class Generate(Struct, frozen=True, tag="generate"):
    """Answered by `Admitted`, then `Outputs` until each sequence has finished; or by `RequestFailed` at any point."""

    request_id: int
    prompt: Prompt
    params: SamplingParams
    priority: int = 0
    """Lower is served earlier, among those of its caller."""
    caller: Caller = ANYBODY


class Pool(Struct, frozen=True, tag="pool"):
    """Answered by `Pooled` or `CallFailed`."""

    call_id: int
    inputs: list[PoolingInput]
    params: PoolingParams
    caller: Caller = ANYBODY


class Abort(Struct, frozen=True, tag="abort"):
    """Ends a request or a `Pool` within one step, or withdraws a `TextCall`. Not answered; unknown ids are ignored,
    since what they named may just have ended."""

    request_id: int
    """Of a request, or the `call_id` of a call: no two of either are alike."""


class Tokenize(Struct, frozen=True, tag="tokenize"):
    """Answered by `Tokenized` or `CallFailed`, in its turn among the requests."""

    call_id: int
    prompt: TextPrompt | ChatPrompt
    add_special_tokens: bool
    caller: Caller = ANYBODY


class Detokenize(Struct, frozen=True, tag="detokenize"):
    """Answered by `Detokenized` or `CallFailed`, in its turn among the requests."""

    call_id: int
    token_ids: list[int]
    caller: Caller = ANYBODY


class ReportTokenizer(Struct, frozen=True, tag="report_tokenizer"):
    """Answered by `TokenizerReport` or `CallFailed`, in its turn among the requests."""

    call_id: int
    caller: Caller = ANYBODY


class FreeCachedMemory(Struct, frozen=True, tag="free_cached_memory"):
    """Answered by `CachedMemoryFreed`."""

    call_id: int


class ReportDeviceMemory(Struct, frozen=True, tag="report_device_memory"):
    """Answered by `DeviceMemoryReport`."""

    call_id: int


class ReportHeartbeat(Struct, frozen=True, tag="report_heartbeat"):
    """Answered by `HeartbeatReport`, at once: also while the model is loaded, or a step goes on."""

    call_id: int


class ReportStats(Struct, frozen=True, tag="report_stats"):
    """Answered by `StatsReport`, at once; to be sent to a model that is loaded."""

    call_id: int


class SetNumThreads(Struct, frozen=True, tag="set_num_threads"):
    """From the next step on, compute with so many threads. Not answered."""

    num_threads: int


class SetLogLevel(Struct, frozen=True, tag="set_log_level"):
    """Log from that level on. Not before `Load`; not answered."""

    level: LogLevel


class Stop(Struct, frozen=True, tag="stop"):
    """End the process now; what still runs is dropped."""


TextCall = Tokenize | Detokenize | ReportTokenizer
"""Calls that are about text, and answered without the engine."""

ToWorker = (
    Load
    | Generate
    | Pool
    | Abort
    | TextCall
    | FreeCachedMemory
    | ReportDeviceMemory
    | ReportHeartbeat
    | ReportStats
    | SetNumThreads
    | SetLogLevel
    | Stop
)


class ErrorReport(Struct, frozen=True):
    """A `HostlerError`, flattened for the way across the border."""

    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: HostlerError) -> "ErrorReport":
        return cls(code=error.code, message=error.message, param=error.param, retry_after_s=error.retry_after_s)

    def rebuild(self) -> HostlerError:
        """The error of the same class, or a `ServiceError` when its code is not known here."""
        error_class = subclasses_by_code().get(self.code, ServiceError)
        return error_class(self.message, param=self.param, retry_after_s=self.retry_after_s)


class Progress(Struct, frozen=True, tag="progress"):
    progress: LoadProgress


class Loaded(Struct, frozen=True, tag="loaded"):
    facts: ModelFacts


class LoadFailed(Struct, frozen=True, tag="load_failed"):
    error: ErrorReport


class Admitted(Struct, frozen=True, tag="admitted"):
    request_id: int
    admission: Admission


class Output(Struct, frozen=True):
    request_id: int
    delta: TokenDelta


class Outputs(Struct, frozen=True, tag="outputs"):
    """All that one engine step produced."""

    outputs: list[Output]


class RequestFailed(Struct, frozen=True, tag="request_failed"):
    """The last message of a request that did not finish."""

    request_id: int
    error: ErrorReport


class Pooled(Struct, frozen=True, tag="pooled"):
    call_id: int
    output: PoolingOutput


class CachedMemoryFreed(Struct, frozen=True, tag="cached_memory_freed"):
    call_id: int
    freed_bytes: int


class DeviceMemoryReport(Struct, frozen=True, tag="device_memory_report"):
    call_id: int
    devices: list[DeviceMemory]


class HeartbeatReport(Struct, frozen=True, tag="heartbeat_report"):
    call_id: int
    seconds_since_step: float
    """Since the engine last ended a step or was given work; 0 while it has none."""


class StatsReport(Struct, frozen=True, tag="stats_report"):
    call_id: int
    stats: EngineStats


class Tokenized(Struct, frozen=True, tag="tokenized"):
    call_id: int
    token_ids: list[int]


class Detokenized(Struct, frozen=True, tag="detokenized"):
    call_id: int
    text: str


class TokenizerReport(Struct, frozen=True, tag="tokenizer_report"):
    call_id: int
    facts: TokenizerFacts


class CallFailed(Struct, frozen=True, tag="call_failed"):
    """Instead of the answer to a call."""

    call_id: int
    error: ErrorReport


Answer = (
    Pooled
    | CachedMemoryFreed
    | DeviceMemoryReport
    | HeartbeatReport
    | StatsReport
    | Tokenized
    | Detokenized
    | TokenizerReport
)
"""To the call of the same `call_id`."""

FromWorker = Progress | Loaded | LoadFailed | Admitted | Outputs | RequestFailed | Answer | CallFailed


def decoder_of_worker() -> FrameDecoder[ToWorker]:
    """For the worker's end of the socket."""
    return FrameDecoder[ToWorker](ToWorker)


def decoder_of_gateway() -> FrameDecoder[FromWorker]:
    """For the gateway's end of the socket."""
    return FrameDecoder[FromWorker](FromWorker)
