"""Every error that Hostler raises on purpose, as one tree.

    HostlerError
    ├── ConfigError                   a file or variable says something unusable; refuses to start
    ├── RequestError                  the caller's mistake; the same request fails again
    │   ├── InvalidRequestError       a field is missing, malformed or out of range
    │   ├── UnsupportedParameterError a field is known and is not done here
    │   ├── ContextLengthError        the prompt does not fit the model's context
    │   ├── RequestTooLargeError      the body is larger than the server takes
    │   ├── AuthenticationError       no key, or a wrong one
    │   ├── PermissionDeniedError     this caller, or a page of this origin, may not do that
    │   ├── NotFoundError             no such route, or nothing under that name
    │   │   └── ModelNotFoundError    no model of that id in the registry
    │   ├── MethodNotAllowedError     the route exists, not with this method
    │   ├── GatedModelError           the hub wants a licence accepted or a token
    │   └── ModelTooLargeError        this model can never fit this machine
    └── ServiceError                  the server's side; the same request may succeed later
        ├── ModelLoadError            the model could not be brought into memory
        ├── ModelNotLoadedError       it is not in memory, and what was asked does not load it
        ├── ModelUnloadedError        it was told to leave while the request waited or ran
        ├── QueueFullError            too many requests wait for this model
        ├── RateLimitError            the caller has taken as much as it may, for now
        ├── WaitTimeoutError          no room, or no model, within the time a request may wait
        ├── DeadlineError             the time that the caller gave its request is over, or too short
        ├── EngineDeadError           the model's process ended under the request
        ├── EngineRequestError        the engine failed on this one request
        └── ShuttingDownError         the server is leaving

Nothing here knows HTTP: `hostler.server.errors` maps each class to a status and to both bodies. Messages are for
the caller: what happened, the value, what to change. What must not leave the server goes into the log instead.
"""

from typing import ClassVar


class HostlerError(Exception):
    """Base of all errors raised on purpose."""

    code: ClassVar[str] = "internal_error"
    """Stable, machine-readable name; part of the interface."""
    type: ClassVar[str] = "server_error"
    """Whose it is, in OpenAI's words: `server_error`, `invalid_request_error` or `rate_limit_error`."""
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later without a change by the caller."""
    status: int | None = None
    """HTTP's, of the answer that a client was given; `None` inside a stream that had begun, and in the server."""
    request_id: str | None = None
    """Under which the server's log has it; known to a client alone."""

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The request field at fault, where there is one."""
        self.retry_after_s = retry_after_s
        """When to try again, in seconds, where that can be told."""


class ConfigError(HostlerError):
    """The registry file, the environment or the command line says something that cannot be used."""

    code = "config_error"
    type = "invalid_request_error"


class RequestError(HostlerError):
    """The caller's mistake."""

    code = "invalid_request"
    type = "invalid_request_error"


class InvalidRequestError(RequestError):
    """A field is missing, malformed or out of range; `param` names it."""

    code = "invalid_value"


class UnsupportedParameterError(RequestError):
    """A field is understood and would change the answer, but is not done here; `param` names it."""

    code = "unsupported_parameter"


class ContextLengthError(RequestError):
    """Prompt, or prompt and answer together, are longer than the model's context."""

    code = "context_length_exceeded"


class RequestTooLargeError(RequestError):
    """The body has more bytes than the server accepts."""

    code = "request_too_large"


class AuthenticationError(RequestError):
    """No API key was sent, or not the right one."""

    code = "invalid_api_key"


class PermissionDeniedError(RequestError):
    """The caller may not do this, whatever it asks."""

    code = "permission_denied"


class NotFoundError(RequestError):
    """Nothing is found under that path or name."""

    code = "not_found"


class ModelNotFoundError(NotFoundError):
    """The registry has no model under that id or Hugging Face name."""

    code = "model_not_found"


class MethodNotAllowedError(RequestError):
    """The path exists, but does not take this method."""

    code = "method_not_allowed"


class GatedModelError(RequestError):
    """The model's repository is gated: a licence has to be accepted, or `HF_TOKEN` is missing or refused."""

    code = "gated_model"


class ModelTooLargeError(RequestError):
    """The model needs more memory than this machine may ever give it."""

    code = "model_too_large"


class ServiceError(HostlerError):
    """The server's side of a failure."""

    code = "server_error"
    retryable = True


class ModelLoadError(ServiceError):
    """The model could not be loaded."""

    code = "model_load_failed"


class ModelNotLoadedError(ServiceError):
    """The model is not in memory, and what was asked of it does not bring it there."""

    code = "model_not_loaded"


class ModelUnloadedError(ServiceError):
    """The model was unloaded by command before the request was done."""

    code = "model_unloaded"


class QueueFullError(ServiceError):
    """The model's queue is at its bound."""

    code = "queue_full"
    type = "rate_limit_error"


class RateLimitError(ServiceError):
    """The caller, its address or all together have taken as much as they may, for now."""

    code = "rate_limit_exceeded"
    type = "rate_limit_error"


class WaitTimeoutError(ServiceError):
    """The request waited as long as it may for memory or for a load."""

    code = "wait_timeout"


class DeadlineError(ServiceError):
    """The time that the caller gave its request is over, or would be before it could be answered."""

    code = "deadline_exceeded"
    retryable = False


class EngineDeadError(ServiceError):
    """The process that held the model ended; the next request starts a new one."""

    code = "engine_dead"


class EngineRequestError(ServiceError):
    """The engine failed on this request alone, for a reason that is the server's."""

    code = "engine_error"
    retryable = False


class ShuttingDownError(ServiceError):
    """The server is shutting down and takes nothing new."""

    code = "shutting_down"


def subclasses_by_code() -> dict[str, type[HostlerError]]:
    """All classes of the tree by their `code`: how an error is rebuilt on the other side of a process border."""
    found: dict[str, type[HostlerError]] = {}
    pending: list[type[HostlerError]] = [HostlerError]
    while pending:
        error = pending.pop()
        found[error.code] = error
        pending.extend(error.__subclasses__())
    return found
