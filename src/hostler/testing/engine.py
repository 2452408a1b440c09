"""A loaded model without a process or torch: a word is a token, and answers are `word0 word1 …`."""

import asyncio
import struct
from collections.abc import Sequence

from hostler.errors import EngineDeadError, InvalidRequestError
from hostler.memory import DeviceMemory
from hostler.testing.admission import admit
from hostler.testing.generation import FakeGeneration
from hostler.testing.model import FakeModel
from hostler.testing.waits import Sleep, first_of
from hostler.types import (
    ANYBODY,
    Caller,
    ChatPrompt,
    ModelFacts,
    PoolingFacts,
    PoolingInput,
    PoolingOutput,
    PoolingParams,
    Prompt,
    SamplingParams,
    TextPair,
    TextPrompt,
    TokenizerFacts,
    TokenPrompt,
)


class FakeEngine:
    """Implements `hostler.engine_client.EngineClient`."""

    def __init__(self, model: FakeModel | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self.model = model or FakeModel()
        self.sleep = sleep
        self.dead = asyncio.Event()
        self.requests: list[tuple[Prompt, SamplingParams]] = []
        """All that were handed over, also those refused."""
        self.priorities: list[int] = []
        """Of `requests`."""
        self.callers: list[Caller] = []
        """The same."""
        self.running: set[FakeGeneration] = set()
        """Accepted, not finished, not aborted."""
        self.pooled: list[tuple[list[PoolingInput], PoolingParams]] = []
        """All texts that were to be read."""
        self.num_aborted = 0

    @property
    def facts(self) -> ModelFacts:
        return self.model.facts

    async def generate(
        self, prompt: Prompt, params: SamplingParams, *, priority: int = 0, caller: Caller = ANYBODY
    ) -> FakeGeneration:
        self.requests.append((prompt, params))
        self.priorities.append(priority)
        self.callers.append(caller)
        if self.model.admission_gate is not None:
            try:
                await first_of(self.model.admission_gate.wait(), self.dead.wait())
            except asyncio.CancelledError:
                self.num_aborted += 1
                raise
        if self.dead.is_set():
            raise EngineDeadError("the model's process has ended")
        generation = FakeGeneration(self, admit(prompt, params, self.facts), prompt, params)
        self.running.add(generation)
        return generation

    async def pool(
        self, inputs: list[PoolingInput], params: PoolingParams, *, caller: Caller = ANYBODY
    ) -> PoolingOutput:
        self.pooled.append((inputs, params))
        self.callers.append(caller)
        if self.model.admission_gate is not None:
            try:
                await first_of(self.model.admission_gate.wait(), self.dead.wait())
            except asyncio.CancelledError:
                self.num_aborted += 1
                raise
        if self.dead.is_set():
            raise EngineDeadError("the model's process has ended")
        if self.model.generation_error is not None:
            raise self.model.generation_error
        pooling = self.facts.pooling or PoolingFacts(num_values=1)
        rows = [self._read(item, params.dimensions or pooling.num_values) for item in inputs]
        num_tokens = [len(item.token_ids) if isinstance(item, TokenPrompt) else _num_words(item) for item in inputs]
        return PoolingOutput(values=b"".join(rows), num_tokens=num_tokens, queued_s=0.0)

    async def tokenize(
        self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool = True, caller: Caller = ANYBODY
    ) -> list[int]:
        self.callers.append(caller)
        text = prompt.text if isinstance(prompt, TextPrompt) else " ".join(turn.content for turn in prompt.messages)
        vocabulary = self.model.vocabulary
        vocabulary += [word for word in dict.fromkeys(text.split()) if word not in vocabulary]
        return [vocabulary.index(word) for word in text.split()]

    async def detokenize(self, token_ids: list[int], *, caller: Caller = ANYBODY) -> str:
        self.callers.append(caller)
        if any(token_id >= len(self.model.vocabulary) for token_id in token_ids):
            raise InvalidRequestError("a token id is outside the vocabulary", param="tokens")
        return " ".join(self.model.vocabulary[token_id] for token_id in token_ids)

    async def tokenizer_facts(self, *, caller: Caller = ANYBODY) -> TokenizerFacts:
        self.callers.append(caller)
        return self.model.tokenizer

    def _read(self, item: PoolingInput, num_values: int) -> bytes:
        """`n 0.5 0.5 …`, where nothing else was said. A pair has one score, also of a model that makes vectors."""
        num_values = 1 if isinstance(item, TextPair) else num_values
        values: Sequence[float] = [_overlap(item), *[0.5] * (num_values - 1)]
        if self.model.read is not None:
            texts = (item.text, item.text_pair) if isinstance(item, TextPair) else (_text_of(item),)
            values = self.model.read(*texts)
        return struct.pack(f"<{num_values}f", *values[:num_values])

    async def free_cached_memory(self) -> int:
        freed, self.model.cached_bytes = self.model.cached_bytes, 0
        return freed

    async def device_memory(self) -> list[DeviceMemory]:
        if self.model.devices_error is not None:
            raise self.model.devices_error
        return list(self.model.devices)


def _overlap(item: PoolingInput) -> int:
    """How many tokens it has; of a pair, how many words of the first text the second one has."""
    match item:
        case TokenPrompt():
            return len(item.token_ids)
        case TextPrompt():
            return _num_words(item)
        case TextPair():
            return len(set(item.text.split()) & set(item.text_pair.split()))


def _num_words(item: TextPrompt | TextPair) -> int:
    return len(item.text.split()) + (len(item.text_pair.split()) if isinstance(item, TextPair) else 0)


def _text_of(item: TextPrompt | TokenPrompt) -> str:
    return item.text if isinstance(item, TextPrompt) else " ".join(map(str, item.token_ids))
