"""The native interface: what it answers."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from hostler.types import EarlyStopping


class GenerationParams(TypedDict):
    """What was really used, after every default and limit."""

    max_length: int
    """Tokens at most: the prompt included for causal models, of the answer alone for encoder–decoder ones."""
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    do_sample: bool
    num_return_sequences: int
    seed: int | None
    stop: list[str]
    num_beams: NotRequired[int]
    """There when a beam search was asked for."""
    length_penalty: NotRequired[float]
    early_stopping: NotRequired[EarlyStopping]
    """These two are there when the request had them; the model's own hold where it had not."""


class GenerateAnswer(TypedDict):
    generated_text: list[str]
    """The prompt included for causal models."""
    model_id: str
    model_name: str
    input_length: int
    output_length: list[int]
    """Tokens; the prompt included for causal models."""
    generation_params: GenerationParams


class GenerateAnswers(TypedDict):
    """To a request with `texts`."""

    answers: list[GenerateAnswer]
    """One per text, in their order."""


class ChatAnswer(TypedDict):
    response: str
    """The new answer alone."""
    model_id: str
    model_name: str
    context: str
    """To send with the next message. Not made to be read."""


class StreamedText(TypedDict):
    """One event of a streamed answer; the last event before `[DONE]` is the whole answer instead."""

    text_index: NotRequired[int]
    """Which of the `texts`; there when the request had them."""
    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None


class NativeErrorBody(TypedDict):
    detail: str
    code: str


class StreamedError(TypedDict):
    """The event of a stream that fails once it has begun; `[DONE]` follows."""

    error: NativeErrorBody


class ValidationProblem(TypedDict):
    type: str
    loc: list[str | int]
    msg: str
    input: NotRequired[object]
    """What was sent, cut short."""


class ValidationErrorBody(TypedDict):
    detail: list[ValidationProblem]


class ModelRow(TypedDict):
    name: str
    type: str
    size: str
    description: str
    max_length: int
    suggested_temperature: float
    gated: bool
    loaded: bool
    loading: bool
    device: str | None
    """As torch spells it; null while the model is not loaded."""
    last_used: str | None
    """ISO 8601, UTC."""
    memory_bytes: int
    """Reserved for it, of all memories together; 0 while it is not in memory."""
    pinned: bool
    """Whether it stays in memory until it is told to leave."""
    keep_alive: float
    """Seconds that it stays without requests where none of them says otherwise; -1: for ever."""
    state: Literal["unloaded", "loading", "ready", "unloading", "failed"]
    num_leases: int
    """Requests that it works on."""
    num_waiting: int
    """Requests that wait for it to be loaded."""
    reserved: dict[str, int]
    """Bytes by resource, such as `host` and `cuda:0`; empty while it is not in memory."""
    last_error: str | None
    """Why its last load failed or its process died; null once it is loaded again."""


class MemoryUsage(TypedDict):
    total_parameters: int
    trainable_parameters: int
    estimated_size_mb: float


class ModelDetails(ModelRow):
    model_id: str
    memory_usage: NotRequired[MemoryUsage]
    """There while the model is loaded."""
    auth_status: NotRequired[bool]
    """Whether a token is set; there when the model is gated."""
    access_url: NotRequired[str]
    """Where access is asked for; there when the model is gated."""


class LoadAnswer(TypedDict):
    message: str
    model_id: str
    force_reload: bool


class MessageAnswer(TypedDict):
    message: str


class FreedMemoryAnswer(TypedDict):
    message: str
    freed_mb: float


class LogLevelAnswer(TypedDict):
    message: str
    level: str
    previous: str
    """What the gateway had before."""


class UnloadAllAnswer(TypedDict):
    message: str
    unloaded_models: list[str]


class ReloadAnswer(TypedDict):
    message: str
    dry_run: bool
    """Whether this is what would happen, and nothing did."""
    added: list[str]
    removed: list[str]
    """They finish their requests and leave."""
    changed: list[str]
    """They finish their requests, leave, and are loaded anew by the next one."""
    updated: list[str]
    """What is new about them holds at once."""
    unchanged: list[str]
    differences: dict[str, list[str]]
    """By id of each model that is changed or updated: what is new about it."""
    restart_needed: list[str]
    """Settings that the file has otherwise than this server, which reads them only at its start."""


class LoadedModels(TypedDict):
    loaded_models: list[str]


class ModelsOfType(TypedDict):
    model_type: str
    models: list[str]


class AuthStatus(TypedDict):
    has_token: bool
    token_accepted: bool | None
    """Whether the hub takes the token; null when there is none, or the hub could not be asked."""
    gated_models_count: int
    gated_models: list[str]


class GatedModels(TypedDict):
    gated_models: list[str]
    auth_status: AuthStatus
    models_detail: dict[str, ModelRow]


class Welcome(TypedDict):
    message: str
    version: str
    docs: str
    health: str


class SystemSummary(TypedDict):
    cuda_available: bool
    memory_used_percent: float
    cuda_devices: int


class MemorySummary(TypedDict):
    """Bytes by memory: `host`, `cuda:0`."""

    budget: dict[str, int]
    """What models may take."""
    free: dict[str, int]
    """What of that is promised to none."""


class Health(TypedDict):
    """Only `status` without a key, once one is needed; with one that may not read, what it may do besides."""

    status: Literal["healthy"]
    scopes: NotRequired[list[Literal["inference", "read", "admin"]]]
    """What the caller may do."""
    key_name: NotRequired[str | None]
    """Of the caller's key; null where none is needed."""
    loaded_models: NotRequired[list[str]]
    current_model: NotRequired[str | None]
    total_models_available: NotRequired[int]
    system_info: NotRequired[SystemSummary]
    memory: NotRequired[MemorySummary]


class ProbeAnswer(TypedDict):
    status: str


class CudaDevice(TypedDict):
    id: int
    name: str
    memory_total_mb: float
    memory_allocated_mb: float
    memory_cached_mb: float


class SystemReport(TypedDict):
    python_version: str
    torch_version: str | None
    """Null when the engine is not installed."""
    cuda_available: bool
    cuda_device_count: int
    current_device: int | None
    cuda_devices: list[CudaDevice]
    cpu_count: int
    memory_total_gb: float
    memory_available_gb: float
    memory_used_percent: float
