"""What the gateway asks of a loaded model; `hostler.worker` provides it, tests fake it."""

from collections.abc import AsyncIterator
from typing import Protocol

from hostler.memory import DeviceMemory
from hostler.types import (
    ANYBODY,
    Admission,
    Caller,
    ChatPrompt,
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


class Generation(Protocol):
    """One accepted request: its numbers, then its tokens."""

    @property
    def admission(self) -> Admission: ...

    def __aiter__(self) -> AsyncIterator[TokenDelta]:
        """Deltas of all `n` sequences in the order they came, ending after the last one's `finish_reason`.

        Raises `ServiceError` subclasses when the engine fails on the way.
        """
        ...

    async def next_deltas(self) -> list[TokenDelta]:
        """The same, those that have come since the last time, up to a bound, at once; waits for one. Empty: the end."""
        ...

    def abort(self) -> None:
        """Stop the work within one step. Harmless when it has ended; never blocks."""
        ...


class EngineClient(Protocol):
    """A loaded model, seen from the gateway."""

    @property
    def facts(self) -> ModelFacts: ...

    async def generate(
        self, prompt: Prompt, params: SamplingParams, *, priority: int = 0, caller: Caller = ANYBODY
    ) -> Generation:
        """Hand over a request and wait until the engine has accepted it.

        Of the requests of one `caller` that wait in the engine, those of a lower `priority` number are served first;
        callers have their turns and their shares by weight. When whoever awaits this is cancelled, the request is
        aborted.

        Raises:
            RequestError: the prompt or a parameter does not fit this model.
            QueueFullError: as many requests as may wait in the engine already.
            EngineDeadError: the process is gone.
        """
        ...

    async def pool(
        self, inputs: list[PoolingInput], params: PoolingParams, *, caller: Caller = ANYBODY
    ) -> PoolingOutput:
        """Have a model of a pooling type read texts. When whoever awaits this is cancelled, so is the work, within one
        step. Callers have their turns and their shares by weight.

        Raises:
            RequestError: an input or a parameter does not fit this model.
            QueueFullError: as many requests as may wait in the engine already.
            ServiceError: the engine failed on it, or is gone.
        """
        ...

    async def tokenize(
        self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool = True, caller: Caller = ANYBODY
    ) -> list[int]:
        """Token ids of a prompt, just as `generate` would have them; nothing is queued or computed.

        `add_special_tokens` holds for texts. A prompt that is longer than the context is no error here.

        Raises:
            RequestError: the prompt does not suit this model.
            QueueFullError: as many calls as may wait already.
            EngineDeadError: the process is gone.
        """
        ...

    async def detokenize(self, token_ids: list[int], *, caller: Caller = ANYBODY) -> str:
        """The text that tokens spell, special ones included.

        Raises:
            RequestError: a token id is outside the vocabulary.
            QueueFullError: as many calls as may wait already.
            EngineDeadError: the process is gone.
        """
        ...

    async def tokenizer_facts(self, *, caller: Caller = ANYBODY) -> TokenizerFacts: ...

    async def free_cached_memory(self) -> int:
        """Return cached device memory to the system; how many bytes that was."""
        ...

    async def device_memory(self) -> list[DeviceMemory]:
        """Per accelerator in use; empty on a CPU."""
        ...
