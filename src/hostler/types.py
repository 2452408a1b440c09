"""The shared vocabulary: what is asked of a model, and what comes back.

These are msgspec structs rather than dataclasses because they cross the process border as they are
(`hostler.worker.messages`); inside a process they are plain frozen values.
"""

from enum import StrEnum
from typing import Literal

from hostler.struct import Struct
from hostler.tools import ToolCall, ToolCallDelta, ToolUse


class ModelType(StrEnum):
    """What a model is offered for. Its class is read from its `config.json`, whatever is said here."""

    CONVERSATIONAL = "conversational"
    TEXT = "text"
    CODE = "code"
    INSTRUCTION = "instruction"
    EMBEDDING = "embedding"
    """It makes vectors of texts."""
    RERANKER = "reranker"
    """It says how well one text answers another."""
    CLASSIFIER = "classifier"
    """It says which of its labels a text has."""

    @property
    def is_pooling(self) -> bool:
        """Whether it reads texts and writes none. Unlike the others, these types decide how a model is loaded."""
        return self in (ModelType.EMBEDDING, ModelType.RERANKER, ModelType.CLASSIFIER)


class ModelState(StrEnum):
    """Where one registered model is in its life."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"
    """The last load failed; the next request tries again."""


class FinishReason(StrEnum):
    """Why a sequence ended."""

    STOP = "stop"
    """An end-of-sequence token, a stop token or a stop string."""
    LENGTH = "length"
    """`max_tokens` or the context was used up."""
    ABORT = "abort"
    """The caller left, or the model was told to stop."""


class ChatFormat(StrEnum):
    """How a model is prompted with a conversation."""

    TEMPLATE = "template"
    """Through the chat template of its tokenizer."""
    EOS_TURNS = "eos_turns"
    """Turns joined by the end-of-text token, as DialoGPT was trained."""
    HUMAN_ASSISTANT = "human_assistant"
    """`Human: …` and `Assistant:` lines, for conversational models without a template."""
    PLAIN = "plain"
    """The text of the messages and nothing else."""


class ChatMessage(Struct, frozen=True, omit_defaults=True):
    """One turn. What a model's template does not know of it, it leaves out."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: str | None = None
    """Of the speaker, or of the function that a message of the role tool answers for."""
    reasoning_content: str | None = None
    """What an assistant's message thought before it answered."""
    tool_calls: list[ToolCall] = []
    """Of an assistant's message."""
    tool_call_id: str | None = None
    """The call that a message of the role tool answers."""


class TextPrompt(Struct, frozen=True, tag="text"):
    """Text, to be tokenised as the model's tokenizer does it, special tokens included."""

    text: str


class TokenPrompt(Struct, frozen=True, tag="tokens"):
    """Token ids, used as they are."""

    token_ids: list[int]


class Reasoning(Struct, frozen=True):
    """How a model is asked to think. Chat templates that have no switch for it leave it as it is."""

    is_on: bool | None = None
    """`None`: as the template has it where nothing is said."""
    effort: Literal["low", "medium", "high"] | None = None
    """`None`: as with `is_on`."""


class ChatPrompt(Struct, frozen=True, tag="chat"):
    """A conversation, rendered in the model's `ChatFormat`."""

    messages: list[ChatMessage]
    continue_last: bool = False
    """Go on with the last message, an assistant's, instead of beginning a new one."""
    add_generation_prompt: bool = True
    """End with what begins an answer, where the format has that. Means nothing beside `continue_last`."""
    drop_oldest: bool = False
    """Leave out the oldest turns (never a leading system message, never the last message) until the prompt fits;
    otherwise a conversation that is too long is a `ContextLengthError`."""
    tool_use: ToolUse | None = None
    """`None`: there are no tools, and nothing in an answer is a call."""
    reasoning: Reasoning = Reasoning()
    splits_reasoning: bool = False
    """What the answer thinks, where the model's template marks it, is no text of it but its `TokenDelta.reasoning`."""
    param: str = "messages"
    """The field of the request that it came from; errors name it."""


Prompt = TextPrompt | TokenPrompt | ChatPrompt


EarlyStopping = bool | Literal["never"]
"""Of a beam search: `True` ends it when there are as many ended sequences as beams, `False` when the best beam, as long
as it is now, scores no better than they do, `"never"` when it could not at any length."""


class BeamParams(Struct, frozen=True, omit_defaults=True):
    """Search for the likeliest sequences instead of drawing tokens; the words and rules are transformers'."""

    num_beams: int
    """Sequences followed at the same time; at least 2, and at least `n`."""
    length_penalty: float | None = None
    """A sequence's log-probability is divided by its length to this power. `None`: the model's own, mostly 1."""
    early_stopping: EarlyStopping | None = None
    """`None`: the model's own, mostly `False`."""


class ConstraintKind(StrEnum):
    """What a `Constraint` is written in."""

    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    """That of Rust's `regex`; of the whole text."""
    CHOICE = "choice"
    """A JSON list of texts, one of which it is."""
    GRAMMAR = "grammar"
    """Lark's form, or GBNF."""


class Constraint(Struct, frozen=True):
    """What the text of an answer must be, once it is whole; one that is cut short is its beginning."""

    kind: ConstraintKind
    text: str
    param: str
    """The field of the request that it came from; errors name it."""


class SamplingParams(Struct, frozen=True, omit_defaults=True):
    """How to choose tokens and when to stop, for one request. Ranges are checked by `hostler.protocol`."""

    n: int = 1
    """Sequences to generate from the one prompt."""
    max_tokens: int | None = None
    """New tokens at most, per sequence. `None`: as many as the context has room for. 0: compute the prompt alone."""
    max_tokens_field: str = "max_tokens"
    """The field of the request that it came from; errors name it."""
    clamp_max_tokens: bool = False
    """Cut `max_tokens` to what the context has room for, instead of refusing it."""
    max_length: int | None = None
    """transformers' bound: prompt and new tokens together for causal models, decoder tokens for encoder–decoder
    ones. Clamped to the model's own limit, unlike `max_tokens`. At most one of the two is set."""
    min_tokens: int = 0
    """No end-of-sequence or stop token before so many new tokens."""
    temperature: float = 1.0
    """0 is greedy: the most likely token, no random draw."""
    top_p: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    min_p: float = 0.0
    typical_p: float = 1.0
    """Mass of locally typical sampling, as in transformers. 1: off."""
    repetition_penalty: float = 1.0
    """transformers' semantics: prompt tokens count too."""
    presence_penalty: float = 0.0
    """OpenAI's semantics: subtracted once from the logit of every token already generated."""
    frequency_penalty: float = 0.0
    """OpenAI's semantics: subtracted once per time a token was generated."""
    logit_bias: dict[int, float] = {}
    """Token id → what is added to its logit."""
    seed: int | None = None
    """Same prompt, parameters and seed give the same draws, alone or in a batch. Sequence i of `n` uses its own
    stream derived from it."""
    stop: list[str] = []
    """Strings that end a sequence; they are not part of the text."""
    stop_token_ids: list[int] = []
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    """Leave special tokens out of the text. The one that ends a sequence never is text."""
    constraint: Constraint | None = None
    """Not with `beams`, `ignore_eos` or `min_tokens`: the grammar says where a text may end."""
    beams: BeamParams | None = None
    """Temperature, truncations and seed mean nothing to a beam search; nothing of it is streamed before its end."""
    logprobs: int | None = None
    """How many of the likeliest tokens to report beside each generated one. `None`: report nothing."""
    prompt_logprobs: int | None = None
    """The same for the tokens of the prompt. Causal models only."""


class Caller(Struct, frozen=True):
    """On whose behalf a model works."""

    id: str = ""
    """The same for all requests that share one turn."""
    weight: float = 1.0
    """Its part of a busy model, beside the weights of others."""


ANYBODY = Caller()


class Admission(Struct, frozen=True):
    """What the engine found when it accepted a request: the numbers it will really use."""

    num_prompt_tokens: int
    """Tokens of the prompt; of the encoder's input for encoder–decoder models."""
    max_tokens: int
    """New tokens at most, per sequence, after every limit."""
    num_dropped_messages: int = 0
    """How many of a `ChatPrompt`'s messages were left out to make it fit."""
    prompt_text: str = ""
    """The prompt as the tokenizer spells it, special tokens as the answer has them; what `prompt included` means
    natively."""


class TokenLogprob(Struct, frozen=True, omit_defaults=True):
    """A token and how likely the model held it to be, before temperature, penalties, bias and truncation."""

    token_id: int
    text: str
    """For display: one without whole characters is spelled `bytes:\\xf0\\x9f`, a special one by its name."""
    bytes: bytes | None
    """What it adds to the UTF-8 of the text; `None` where it adds nothing: special tokens, the one that ended it."""
    logprob: float | None
    """Natural logarithm, at least -9999; `None` for the first token of a prompt, which nothing precedes."""


class TokenLogprobs(TokenLogprob, frozen=True):
    """The same, beside its rivals."""

    top: list[TokenLogprob] = []
    """As many of the likeliest tokens as were asked for, likeliest first, the token itself perhaps among them."""


class TokenDelta(Struct, frozen=True, omit_defaults=True):
    """What one step added to one sequence of a request."""

    index: int = 0
    """Which of the `n` sequences."""
    text: str = ""
    """New text; may be empty while bytes of a character, or the start of a stop string, are held back."""
    reasoning: str = ""
    """New text of its reasoning, where the prompt `splits_reasoning`."""
    tool_calls: list[ToolCallDelta] = []
    """What is new of its calls, where the prompt has a `tool_use`."""
    token_ids: list[int] = []
    """New tokens; more than one only when steps were joined on the way."""
    logprobs: list[TokenLogprobs] = []
    """One for each of `token_ids`, where they were asked for."""
    prompt_logprobs: list[TokenLogprobs] = []
    """One for each token of the prompt, where they were asked for: in the first delta of sequence 0, which comes
    before those of the others."""
    num_cached_tokens: int = 0
    """In the first delta of the sequence: how many tokens of its prompt had been computed for an earlier one and were
    not computed again."""
    queued_s: float | None = None
    """In the first delta of the sequence: how long it waited for its first step, once it was admitted; `None`: nobody
    knows."""
    finish_reason: FinishReason | None = None
    """Set in the last delta of the sequence, and only there."""
    stop: str | None = None
    """The stop string that ended the sequence, in the last delta; `None`: something else did."""


class PoolingTask(StrEnum):
    """What is asked of a model that reads whole texts."""

    EMBED = "embed"
    """A vector of each text."""
    SCORE = "score"
    """One number for each pair of texts."""
    CLASSIFY = "classify"
    """A probability of each label, for each text."""


class TextPair(Struct, frozen=True, tag="pair"):
    """A question, and what may answer it."""

    text: str
    text_pair: str


PoolingInput = TextPrompt | TokenPrompt | TextPair


class PoolingParams(Struct, frozen=True, omit_defaults=True):
    """What to compute of texts, for one request."""

    task: PoolingTask
    param: str
    """The field of the request that has the texts; errors name it."""
    dimensions: int | None = None
    """Of the vectors: the first so many, of length 1 again. `None`: all, as the model gives them."""
    truncate_tokens: int | None = None
    """Cut each input to so many tokens; -1: to what the model takes. `None`: one that is too long is an error."""
    input_type: str | None = None
    """The model's prompt of that name is put before each text. `None`: its default prompt, where it has one."""


class PoolingOutput(Struct, frozen=True):
    """What came of the inputs of one request, in their order."""

    values: bytes
    """Float32, little-endian; as many for each input. None of them is infinite or no number."""
    num_tokens: list[int]
    """Of each input."""
    queued_s: float | None = None
    """How long they waited for their first step, once they were made into tokens; `None`: nobody knows."""


class PoolingFacts(Struct, frozen=True):
    """What is known besides of a model that reads whole texts."""

    num_values: int
    """Of each input: dimensions of a vector, labels, or the one score."""
    labels: list[str] = []
    """Of a classifier."""
    input_types: list[str] = []
    """Names of its prompts."""


class ModelFacts(Struct, frozen=True):
    """What is known of a model once it is in memory."""

    architecture: str
    """Name of its transformers class."""
    is_encoder_decoder: bool
    chat_format: ChatFormat
    dtype: str
    device: str
    """As torch spells it: `cpu`, `cuda:0`; several with commas between: `cuda:0,cuda:1`."""
    max_model_len: int
    """Prompt and answer together for causal models; each on its own for encoder–decoder ones. Tokens."""
    num_parameters: int
    num_trainable_parameters: int
    memory_bytes: int
    """Of its parameters and buffers."""
    load_s: float
    host_bytes: int = 0
    """Memory of its process that nobody shares, just after the load; 0: not measured."""
    bytes_by_device: dict[str, int] = {}
    """Memory of accelerators, just after the load; empty on a CPU."""
    revision: str | None = None
    """Commit of the repository that the weights came from, where there is one."""
    pooling: PoolingFacts | None = None
    """`None`: it writes text."""
    has_tool_template: bool = False
    """Whether its chat template tells it of tools; otherwise a system message does."""

    @property
    def device_bytes(self) -> int:
        """Of all accelerators together."""
        return sum(self.bytes_by_device.values())


class LoadProgress(Struct, frozen=True):
    """How far a load has come."""

    stage: Literal["starting", "downloading", "converting", "loading", "warming"]
    done_bytes: int = 0
    total_bytes: int = 0
    """0 where it is not known."""


class TokenizerFacts(Struct, frozen=True):
    """What is told of a loaded model's tokenizer."""

    vocab_size: int
    """Added tokens included."""
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str | None
