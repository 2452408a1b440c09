"""All messages between the gateway and a worker, and how they are framed.

A frame is four bytes of length, big-endian, and then one msgpack-encoded message. Both ends are processes of one
installation, so there is no version to negotiate. Nothing is pickled, so a worker that was taken over by a model's
code gets no code into the gateway by its answers.
"""

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from hostler.errors import HostlerError, ServiceError, subclasses_by_code
from hostler.registry import ModelSpec
from hostler.types import (
    Admission,
    DeviceMemory,
    LoadProgress,
    ModelFacts,
    Prompt,
    SamplingParams,
    Struct,
    TokenDelta,
)


class WorkerConfig(Struct, frozen=True):
    """What a worker needs to know besides its model."""

    cache_dir: str | None
    """Hub cache; `None`: huggingface_hub's own choice."""
    hostler_cache_dir: str
    hf_token: str | None
    log_level: str
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
    """Lower is served earlier."""


class Abort(Struct, frozen=True, tag="abort"):
    """Ends a request within one step. Not answered; unknown ids are ignored, since the request may just have ended."""

    request_id: int


class FreeCachedMemory(Struct, frozen=True, tag="free_cached_memory"):
    """Answered by `CachedMemoryFreed`."""

    call_id: int


class ReportDeviceMemory(Struct, frozen=True, tag="report_device_memory"):
    """Answered by `DeviceMemoryReport`."""

    call_id: int


class ReportHeartbeat(Struct, frozen=True, tag="report_heartbeat"):
    """Answered by `HeartbeatReport`, at once: also while the model is loaded, or a step goes on."""

    call_id: int


class SetNumThreads(Struct, frozen=True, tag="set_num_threads"):
    """From the next step on, compute with so many threads. Not answered."""

    num_threads: int


class Stop(Struct, frozen=True, tag="stop"):
    """End the process now; what still runs is dropped."""


ToWorker = Load | Generate | Abort | FreeCachedMemory | ReportDeviceMemory | ReportHeartbeat | SetNumThreads | Stop


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


FromWorker = (
    Progress
    | Loaded
    | LoadFailed
    | Admitted
    | Outputs
    | RequestFailed
    | CachedMemoryFreed
    | DeviceMemoryReport
    | HeartbeatReport
)

_HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 2**20
"""A longer frame means that the stream is out of step; no request comes near it."""

_encoder = msgspec.msgpack.Encoder()
Message = TypeVar("Message")


def encode(message: ToWorker | FromWorker) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class FrameDecoder(Generic[Message]):
    """Takes bytes as they come from a socket and gives whole messages. Made by the two functions below."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Message]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Messages that are complete with these bytes.

        Raises:
            ServiceError: the bytes are no frames of ours; the connection is of no further use.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise ServiceError(f"a frame of {length} bytes on a worker's socket")
            if len(self._buffer) < _HEADER.size + length:
                return
            body = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
            del self._buffer[: _HEADER.size + length]
            try:
                yield self._decoder.decode(body)
            except msgspec.DecodeError as exc:
                raise ServiceError("an unreadable message on a worker's socket") from exc


def decoder_of_worker() -> FrameDecoder[ToWorker]:
    """For the worker's end of the socket."""
    return FrameDecoder[ToWorker](msgspec.msgpack.Decoder(ToWorker))


def decoder_of_gateway() -> FrameDecoder[FromWorker]:
    """For the gateway's end of the socket."""
    return FrameDecoder[FromWorker](msgspec.msgpack.Decoder(FromWorker))
