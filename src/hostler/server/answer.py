"""What has come of a generation: the answers to its prompts, as far as they have come."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from hostler.registry import ModelSpec
from hostler.tools import ToolCall
from hostler.types import Admission, FinishReason, ModelFacts, SamplingParams, TokenDelta, TokenLogprobs


@dataclass
class Sequence:
    """One answer to one prompt, as far as it has come."""

    parts: list[str] = field(default_factory=list)
    num_tokens: int = 0
    num_cached_tokens: int = 0
    """Of its prompt; there with the first delta."""
    num_reasoning_tokens: int = 0
    """Of its tokens, those that brought text of its reasoning."""
    finish_reason: FinishReason | None = None
    stop: str | None = None
    """The stop string that ended it."""
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """One per token of its text, where the request asked for them."""
    reasoning_parts: list[str] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    """The last of them may still grow."""

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def reasoning(self) -> str:
        return "".join(self.reasoning_parts)

    def add(self, delta: TokenDelta) -> None:
        self.parts.append(delta.text)
        self.num_tokens += len(delta.token_ids)
        self.num_cached_tokens += delta.num_cached_tokens
        self.finish_reason = delta.finish_reason
        self.stop = delta.stop
        if not (delta.reasoning or delta.tool_calls):
            self.logprobs += delta.logprobs
        if delta.reasoning:
            self.reasoning_parts.append(delta.reasoning)
            self.num_reasoning_tokens += len(delta.token_ids)
        for call in delta.tool_calls:
            if call.index == len(self.tool_calls):
                self.tool_calls.append(ToolCall(id=call.id, name=call.name, arguments=call.arguments))
            else:
                begun = self.tool_calls[call.index]
                self.tool_calls[call.index] = replace(begun, arguments=begun.arguments + call.arguments)


@dataclass
class Answer:
    """All answers to all prompts of a request; its sequences grow while it runs."""

    spec: ModelSpec
    facts: ModelFacts
    params: SamplingParams
    admissions: list[Admission]
    """One per prompt."""
    sequences: list[list[Sequence]]
    """`params.n` per prompt."""
    prompt_logprobs: list[list[TokenLogprobs]]
    """Per prompt, one for each of its tokens where the request asked for them; there with the first delta."""
    _num_ended: int = 0
    """Of the sequences."""

    def add(self, prompt_index: int, deltas: list[TokenDelta]) -> None:
        sequences = self.sequences[prompt_index]
        for delta in deltas:
            sequences[delta.index].add(delta)
            self.prompt_logprobs[prompt_index].extend(delta.prompt_logprobs)
            self._num_ended += delta.finish_reason is not None

    @property
    def has_ended(self) -> bool:
        return self._num_ended == self.params.n * len(self.sequences)

    @property
    def num_prompt_tokens(self) -> int:
        return sum(admission.num_prompt_tokens for admission in self.admissions)

    @property
    def num_cached_tokens(self) -> int:
        """Of the prompts, what was not computed. A prompt counts once, whatever its other sequences share."""
        return sum(sequences[0].num_cached_tokens for sequences in self.sequences)

    @property
    def num_completion_tokens(self) -> int:
        return sum(sequence.num_tokens for sequences in self.sequences for sequence in sequences)

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Of the sequences that have ended."""
        reasons = (sequence.finish_reason for sequences in self.sequences for sequence in sequences)
        return tuple(reason.value for reason in reasons if reason is not None)

    @property
    def num_reasoning_tokens(self) -> int:
        return sum(sequence.num_reasoning_tokens for sequences in self.sequences for sequence in sequences)
