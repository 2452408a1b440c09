"""A loaded model without a process or torch: a word is a token, and answers are `word0 word1 …`."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from hostler.engine_stats import EngineStats
from hostler.errors import ContextLengthError, EngineDeadError, HostlerError, InvalidRequestError
from hostler.memory import DeviceMemory
from hostler.tools import ToolCall, ToolCallDelta
from hostler.types import (
    ANYBODY,
    Admission,
    Caller,
    ChatFormat,
    ChatMessage,
    ChatPrompt,
    FinishReason,
    LoadProgress,
    ModelFacts,
    PoolingFacts,
    PoolingInput,
    PoolingOutput,
    PoolingParams,
    Prompt,
    SamplingParams,
    TextPair,
    TextPrompt,
    TokenDelta,
    TokenizerFacts,
    TokenLogprob,
    TokenLogprobs,
    TokenPrompt,
)

Sleep = Callable[[float], Awaitable[None]]

NUM_WORDS = 16
"""Length of an answer whose length nobody asked for."""

FACTS = ModelFacts(
    architecture="FakeForCausalLM",
    is_encoder_decoder=False,
    chat_format=ChatFormat.PLAIN,
    dtype="float32",
    device="cpu",
    max_model_len=1024,
    num_parameters=1_000_000,
    num_trainable_parameters=1_000_000,
    memory_bytes=4_000_000,
    load_s=0.1,
)


TOKENIZER = TokenizerFacts(vocab_size=1000, bos_token=None, eos_token="</s>", pad_token=None, chat_template=None)


@dataclass
class FakeModel:
    """What every worker of one model does. May be changed at any time."""

    facts: ModelFacts = FACTS
    launch_error: HostlerError | None = None
    """No process can be started."""
    launch_gate: asyncio.Event | None = None
    """A process starts when it is set."""
    load_error: Exception | None = None
    """Every load fails with it, once its gate and its seconds have passed."""
    load_gate: asyncio.Event | None = None
    """A load waits until it is set."""
    load_s: float = 0.0
    """A load takes so long, by the launcher's `sleep`."""
    progress: list[LoadProgress] = field(default_factory=list)
    """Reported at the start of a load."""
    stop_error: Exception | None = None
    """A process cannot be stopped, though it dies."""
    stop_gate: asyncio.Event | None = None
    """A process that is told to stop ends when it is set."""
    admission_gate: asyncio.Event | None = None
    """A request is accepted when it is set."""
    token_gate: asyncio.Event | None = None
    """From word `num_free_words` on, each waits until it is set."""
    num_free_words: int = 0
    token_pause_s: float = 0.0
    """Time before each word, by the launcher's `sleep`."""
    answer: str | None = None
    """Said instead of `word0 word1 …`."""
    reasoning: str = ""
    """Thought before the answer, in one token a word, where the prompt splits it."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """Made after the answer (which may be ""), in two tokens each, where the prompt has tools."""
    stop: str | None = None
    """Said to have ended every answer."""
    generation_error: HostlerError | None = None
    """Raised in place of the word `num_free_words`."""
    seconds_since_step: float = 0.0
    """What a worker that is asked says of its engine."""
    vocabulary: list[str] = field(default_factory=list)
    """Words that were tokenised; a token id is a place in it. Special tokens are not there."""
    tokenizer: TokenizerFacts = TOKENIZER
    cached_bytes: int = 0
    """What the first `free_cached_memory` frees."""
    stats: EngineStats = field(default_factory=EngineStats)
    stats_gate: asyncio.Event | None = None
    """They are told when it is set."""
    devices: list[DeviceMemory] = field(default_factory=list)
    devices_error: HostlerError | None = None
    """Raised in place of them."""


class FakeGeneration:
    """One accepted request of a `FakeEngine`."""

    def __init__(self, engine: "FakeEngine", admission: Admission, prompt: Prompt, params: SamplingParams) -> None:
        self._engine = engine
        self._admission = admission
        self._prompt = prompt
        self._params = params
        self._aborted = asyncio.Event()
        self._is_finished = False

    @property
    def admission(self) -> Admission:
        return self._admission

    def abort(self) -> None:
        if self._is_finished or self._aborted.is_set():
            return
        self._aborted.set()
        self._engine.num_aborted += 1
        self._engine.running.discard(self)

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        tokens, last_reason = self._tokens()
        for i, token in enumerate(tokens):
            await self._pause(i)
            for index in range(self._params.n):
                if self._aborted.is_set():
                    yield TokenDelta(index=index, finish_reason=FinishReason.ABORT)
                    continue
                is_last = i == len(tokens) - 1
                if is_last and index == self._params.n - 1:
                    self._finish()
                yield replace(
                    token,
                    index=index,
                    token_ids=[i],
                    finish_reason=last_reason if is_last else None,
                    stop=self._engine.model.stop if is_last else None,
                    logprobs=_score(i, token.text, -1.0 / (index + i + 1), self._params.logprobs),
                    prompt_logprobs=self._prompt_logprobs() if i == index == 0 else [],
                )
            if self._aborted.is_set():
                return
        if not tokens:
            self._finish()
            for index in range(self._params.n):
                prompt_logprobs = [] if index else self._prompt_logprobs()
                yield TokenDelta(index=index, finish_reason=FinishReason.LENGTH, prompt_logprobs=prompt_logprobs)

    def _prompt_logprobs(self) -> list[TokenLogprobs]:
        words = self._admission.prompt_text.split(" ")
        spelled = words[:1] + [f" {word}" for word in words[1:]]
        num_top = self._params.prompt_logprobs
        return [entry for i, word in enumerate(spelled) for entry in _score(i, word, -float(i) or None, num_top)]

    def _tokens(self) -> tuple[list[TokenDelta], FinishReason]:
        max_tokens = self._admission.max_tokens
        model = self._engine.model
        if model.answer is None:
            is_cut = self._params.max_tokens is not None or self._params.max_length is not None
            words = [TokenDelta(text=f"word{i} ") for i in range(max_tokens)]
            return words, FinishReason.LENGTH if is_cut else FinishReason.STOP
        tokens = [TokenDelta(text=word) for word in _spaced(model.answer)]
        if isinstance(self._prompt, ChatPrompt) and self._prompt.splits_reasoning and model.reasoning:
            tokens = [TokenDelta(reasoning=word) for word in _spaced(model.reasoning)] + tokens
        if isinstance(self._prompt, ChatPrompt) and self._prompt.tool_use is not None:
            tokens += [token for i, call in enumerate(model.tool_calls) for token in _call_tokens(i, call)]
        is_cut = len(tokens) > max_tokens
        return tokens[:max_tokens], FinishReason.LENGTH if is_cut else FinishReason.STOP

    async def _pause(self, i: int) -> None:
        """Wait until word `i` is due, the request is aborted or the worker has ended."""
        model = self._engine.model
        await asyncio.sleep(0)
        if model.token_pause_s:
            await first_of(self._engine.sleep(model.token_pause_s), self._aborted.wait(), self._engine.dead.wait())
        if model.token_gate is not None and i >= model.num_free_words:
            await first_of(model.token_gate.wait(), self._aborted.wait(), self._engine.dead.wait())
        if self._aborted.is_set():
            return
        if self._engine.dead.is_set():
            self._finish()
            raise EngineDeadError("the model's process ended under the request")
        if model.generation_error is not None and i == model.num_free_words:
            self._finish()
            raise model.generation_error

    def _finish(self) -> None:
        self._is_finished = True
        self._engine.running.discard(self)


def _pool(item: PoolingInput, num_values: int) -> bytes:
    """`n 0.5 0.5 …`: n is the number of tokens; of a pair, how many words of the first text the second one has."""
    match item:
        case TokenPrompt():
            first = len(item.token_ids)
        case TextPrompt():
            first = _num_words(item)
        case TextPair():
            first = len(set(item.text.split()) & set(item.text_pair.split()))
    return struct.pack(f"<{num_values}f", first, *[0.5] * (num_values - 1))


def _num_words(item: TextPrompt | TextPair) -> int:
    return len(item.text.split()) + (len(item.text_pair.split()) if isinstance(item, TextPair) else 0)


def _spaced(text: str) -> list[str]:
    """Its words, each with the space that follows it."""
    words = [word + " " for word in text.split(" ")]
    return [*words[:-1], words[-1].removesuffix(" ")]


def _call_tokens(index: int, call: ToolCall) -> list[TokenDelta]:
    """Its beginning, then its arguments."""
    begun = ToolCallDelta(index=index, id=call.id, name=call.name)
    return [
        TokenDelta(tool_calls=[begun]),
        TokenDelta(tool_calls=[ToolCallDelta(index=index, arguments=call.arguments)]),
    ]


def _score(token_id: int, word: str, logprob: float | None, num_top: int | None) -> list[TokenLogprobs]:
    """One entry, beside rivals `rival0 rival1 …`; nothing where nothing was asked for."""
    if num_top is None:
        return []
    rivals = [
        TokenLogprob(token_id=i, text=f"rival{i}", bytes=f"rival{i}".encode(), logprob=-0.5 - i) for i in range(num_top)
    ]
    top = [] if logprob is None else rivals
    return [TokenLogprobs(token_id=token_id, text=word, bytes=word.encode(), logprob=logprob, top=top)]


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
        rows = [_pool(item, params.dimensions or pooling.num_values) for item in inputs]
        num_tokens = [len(item.token_ids) if isinstance(item, TokenPrompt) else _num_words(item) for item in inputs]
        return PoolingOutput(values=b"".join(rows), num_tokens=num_tokens)

    async def tokenize(self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool = True) -> list[int]:
        text = prompt.text if isinstance(prompt, TextPrompt) else " ".join(turn.content for turn in prompt.messages)
        vocabulary = self.model.vocabulary
        vocabulary += [word for word in dict.fromkeys(text.split()) if word not in vocabulary]
        return [vocabulary.index(word) for word in text.split()]

    async def detokenize(self, token_ids: list[int]) -> str:
        if any(token_id >= len(self.model.vocabulary) for token_id in token_ids):
            raise InvalidRequestError("a token id is outside the vocabulary", param="tokens")
        return " ".join(self.model.vocabulary[token_id] for token_id in token_ids)

    async def tokenizer_facts(self) -> TokenizerFacts:
        return self.model.tokenizer

    async def free_cached_memory(self) -> int:
        freed, self.model.cached_bytes = self.model.cached_bytes, 0
        return freed

    async def device_memory(self) -> list[DeviceMemory]:
        if self.model.devices_error is not None:
            raise self.model.devices_error
        return list(self.model.devices)


def admit(prompt: Prompt, params: SamplingParams, facts: ModelFacts) -> Admission:
    """Check lengths as an engine does; a word is a token."""
    dropped = 0
    if isinstance(prompt, ChatPrompt) and prompt.drop_oldest:
        dropped = _num_to_drop(prompt.messages, facts.max_model_len)
    text, num_tokens = _spell(prompt, dropped)
    room = facts.max_model_len if facts.is_encoder_decoder else facts.max_model_len - num_tokens
    if room < (params.max_tokens != 0) or num_tokens > facts.max_model_len:
        param = prompt.param if isinstance(prompt, ChatPrompt) else None
        raise ContextLengthError(f"the prompt has {num_tokens} tokens, the context {facts.max_model_len}", param=param)
    if params.max_tokens is not None and params.max_tokens > room and not params.clamp_max_tokens:
        raise ContextLengthError(
            f"the prompt has {num_tokens} tokens and the answer may have {params.max_tokens},"
            f" the context has {facts.max_model_len}",
            param=params.max_tokens_field,
        )
    max_tokens = min(params.max_tokens, room) if params.max_tokens is not None else min(NUM_WORDS, room)
    if params.max_length is not None:
        used = 1 if facts.is_encoder_decoder else num_tokens
        max_tokens = min(params.max_length - used, room)
        if max_tokens < 1:
            raise ContextLengthError(
                f"max_length is {params.max_length}, the prompt alone has {num_tokens} tokens", param="max_length"
            )
    return Admission(
        num_prompt_tokens=num_tokens, max_tokens=max_tokens, num_dropped_messages=dropped, prompt_text=text
    )


def _spell(prompt: Prompt, num_dropped: int) -> tuple[str, int]:
    match prompt:
        case TextPrompt():
            return prompt.text, len(prompt.text.split())
        case TokenPrompt():
            return " ".join(map(str, prompt.token_ids)), len(prompt.token_ids)
        case ChatPrompt():
            text = " ".join(message.content for message in _kept(prompt.messages, num_dropped))
            return text, len(text.split())


def _num_to_drop(messages: list[ChatMessage], max_model_len: int) -> int:
    num_dropped = 0
    while len(_kept(messages, num_dropped)) > 1:
        if sum(len(message.content.split()) for message in _kept(messages, num_dropped)) < max_model_len:
            break
        if _kept(messages, num_dropped + 1) == _kept(messages, num_dropped):
            break
        num_dropped += 1
    return num_dropped


def _kept(messages: list[ChatMessage], num_dropped: int) -> list[ChatMessage]:
    system = messages[:1] if messages and messages[0].role == "system" else []
    turns = messages[len(system) :]
    return system + turns[min(num_dropped, len(turns) - 1) :]


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait for the first to be done; cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
