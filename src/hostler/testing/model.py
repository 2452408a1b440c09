"""What a fake model does."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hostler.engine_stats import EngineStats
from hostler.errors import HostlerError
from hostler.memory import DeviceMemory
from hostler.tools import ToolCall
from hostler.types import ChatFormat, ChatPrompt, LoadProgress, ModelFacts, Prompt, TextPrompt, TokenizerFacts

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
    answer: str | Callable[[str], str] | None = None
    """Said instead of `word0 word1 …`; or makes what is said of the text, or of the last message, that was asked."""
    answers: list[str | HostlerError] = field(default_factory=list)
    """Said one after the other, each once, before `answer`; an error is raised in the place of an answer."""
    read: Callable[..., Sequence[float]] | None = None
    """Makes the numbers of a text (a vector, or the probabilities of labels), or given the two of a pair, its score."""
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
    heartbeat_gate: asyncio.Event | None = None
    """It says so when this is set."""
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

    def next_answer(self, prompt: Prompt) -> str | None:
        """What to say to a prompt; `None`: `word0 word1 …`.

        Raises:
            HostlerError: the next one of `answers` is an error.
        """
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, HostlerError):
                raise answer
            return answer
        return self.answer(_asked(prompt)) if callable(self.answer) else self.answer


def _asked(prompt: Prompt) -> str:
    match prompt:
        case TextPrompt():
            return prompt.text
        case ChatPrompt():
            return prompt.messages[-1].content
        case _:
            return " ".join(map(str, prompt.token_ids))
