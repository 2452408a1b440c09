"""The native interface: what it answers about tokens, several models, and what one of them can do."""

from typing import Any, Literal

from typing_extensions import TypedDict

from hostler.protocol.native_answers import NativeErrorBody


class TokenizeAnswer(TypedDict):
    tokens: list[int]
    count: int
    max_model_len: int
    """Of the model, in tokens."""
    model_id: str


class DetokenizeAnswer(TypedDict):
    prompt: str
    """Special tokens included."""
    model_id: str


class TokenizerInfo(TypedDict):
    """The special tokens are text; null where the tokenizer has none."""

    model_id: str
    eos_token: str | None
    bos_token: str | None
    pad_token: str | None
    chat_template: str | None
    """Jinja, as the model's repository has it."""
    vocab_size: int
    """Added tokens included."""
    max_model_len: int


class ComparedText(TypedDict):
    """One event of a stream: what a model has just added to its answer."""

    model_id: str
    text: str
    finish_reason: Literal["stop", "length"] | None


class ComparedAnswer(TypedDict):
    """What became of one model, which is its last event in a stream. All numbers are null where it failed."""

    model_id: str
    model_name: str
    answer: str | None
    """The new text alone."""
    finish_reason: Literal["stop", "length"] | None
    prompt_tokens: int | None
    completion_tokens: int | None
    load_s: float | None
    """Seconds until it had the model, from the request on: waiting for room and loading."""
    ttft_s: float | None
    """Seconds from there to its first token."""
    total_s: float | None
    """Seconds from the request to the end of the answer."""
    tokens_per_second: float | None
    """Of those that came after the first; null where none did, as in a beam search."""
    error: NativeErrorBody | None
    """Why there is no answer; the others do not depend on it."""


class CompareAnswer(TypedDict):
    answers: list[ComparedAnswer]
    """In the order in which the models were named."""


Parameter = dict[str, Any]
"""The JSON Schema of its values, with its `default`; null: what the model or the context says, or nothing."""


class Limits(TypedDict):
    """Upper bounds, of one request where nothing else is said."""

    max_body_bytes: int
    max_json_depth: int
    max_json_nodes: int
    """Lists, objects and fields of objects, all together."""
    max_messages: int
    max_context_chars: int
    """Of the `context` of a native chat."""
    max_prompts: int
    """Texts or prompts; fewer where each has several answers."""
    max_sequences: int
    """Prompts times answers."""
    max_choices: int
    """`n`."""
    max_best_of: int
    max_num_beams: int
    max_logprobs: int
    """Of `/v1/completions`."""
    max_top_logprobs: int
    """Of `/v1/chat/completions`."""
    max_logit_bias: int
    """Entries."""
    max_stop_strings: int
    max_stop_chars: int
    """Of each."""
    max_stop_token_ids: int
    max_chars_to_tokenize: int
    """Of a text or a conversation."""
    max_tokens_to_detokenize: int
    max_compared_models: int
    max_inputs: int
    """Texts to embed or to label, documents to rank, pairs to score."""
    max_num_seqs: int
    """Sequences that the model works on at once, of all requests."""
    max_num_batched_tokens: int
    """Tokens that one of its steps computes."""
    max_queued_requests: int
    """Prompts that may wait for it once it is loaded."""
    max_waiting_per_model: int
    """Requests that may wait for it to be loaded."""
    acquire_timeout_s: float
    """Seconds that a request may wait for that."""


class NotSupported(TypedDict):
    """OpenAI's fields that are refused by name where they ask for something."""

    chat_completions: list[str]
    completions: list[str]


class PoolingAbilities(TypedDict):
    """Of a model that reads whole texts."""

    num_values: int
    """Of each text: dimensions of its vector, labels, or the one score."""
    labels: list[str]
    """Of a classifier."""
    input_types: list[str]
    """Names of the prompts that an encoder knows."""


class Capabilities(TypedDict):
    """What only a load can tell is null until the model is loaded."""

    model_id: str
    model_name: str
    type: str
    loaded: bool
    architecture: str | None
    """Name of its transformers class."""
    is_encoder_decoder: bool | None
    max_model_len: int | None
    """Prompt and answer together; of an encoder–decoder model each on its own."""
    dtype: str | None
    device: str | None
    revision: str | None
    """Commit of its repository; null also where there is none."""
    chat_format: Literal["template", "eos_turns", "human_assistant", "plain"] | None
    chat_rendering: str | None
    """The same in words: what the model is given for a conversation."""
    message_content: list[str]
    """Kinds of parts that the content of a message may have."""
    tools: Literal["template", "instruction"] | None
    """How the model is told of tools: by its chat template, which names its own form of calls, or by a system message
    that asks for lines of JSON. Null also where it writes no text."""
    has_prompt_logprobs: bool | None
    """Whether `echo` with `logprobs` is possible."""
    pooling: PoolingAbilities | None
    """Null also where the model writes text."""
    routes: list[str]
    """Those that ask this model, by path or by a field of the body."""
    parameters: dict[str, dict[str, Parameter]]
    """By route and by name."""
    limits: Limits
    not_supported: NotSupported
    without_effect: list[str]
    """OpenAI's fields that are accepted and change nothing."""
