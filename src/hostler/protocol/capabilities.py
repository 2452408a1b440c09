"""What one model can do, as `GET /models/{model_id}/capabilities` tells it: nothing of it is written down twice."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel
from typing_extensions import TypedDict

from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.protocol.openai_fields import CHAT_UNSUPPORTED, COMPLETIONS_UNSUPPORTED, WITHOUT_EFFECT
from hostler.protocol.openai_messages import TextPart
from hostler.types import ChatFormat, SamplingParams

Parameter = dict[str, Any]
"""The JSON Schema of its values, with its `default`; null: what the model or the context says, or nothing."""

RENDERING = {
    ChatFormat.TEMPLATE: "The chat template of the model's tokenizer; tokenizer_info shows it.",
    ChatFormat.EOS_TURNS: "The contents of the messages, each followed by the end-of-text token, as DialoGPT has it.",
    ChatFormat.HUMAN_ASSISTANT: "A line for each message: 'Human: …', 'Assistant: …', 'Tool: …', a system message as it"
    " is; and 'Assistant:' for the answer.",
    ChatFormat.PLAIN: "The contents of the messages, a line each, and nothing else.",
}
"""What a model is given for a conversation."""

_CONTENT = frozenset({"model", "prompt", "messages", "text", "texts", "message", "context", "stream_options"})
"""Fields that are no parameters of an answer."""
_NAMED_OTHERWISE = {"num_return_sequences": "n", "max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens"}
"""Fields to those of `SamplingParams` that they become."""


class Limits(TypedDict):
    """Upper bounds, of one request where nothing else is said."""

    max_body_bytes: int
    max_json_depth: int
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
    max_tokens_to_detokenize: int
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
    has_prompt_logprobs: bool | None
    """Whether `echo` with `logprobs` is possible."""
    routes: list[str]
    """Those that ask this model, by path or by a field of the body."""
    parameters: dict[str, dict[str, Parameter]]
    """By route and by name."""
    limits: Limits
    not_supported: NotSupported
    without_effect: list[str]
    """OpenAI's fields that are accepted and change nothing."""


def message_content() -> list[str]:
    return list(get_args(TextPart.model_fields["type"].annotation))


def not_supported() -> NotSupported:
    return NotSupported(chat_completions=sorted(CHAT_UNSUPPORTED), completions=sorted(COMPLETIONS_UNSUPPORTED))


def without_effect() -> list[str]:
    return sorted(WITHOUT_EFFECT)


def parameters(
    schemas: Mapping[str, Any], *, default_max_length: int, suggested_temperature: float
) -> dict[str, dict[str, Parameter]]:
    """By route and name; `schemas`: JSON Schemas of the requests, by name."""
    generate = GenerateRequest.model_validate({"text": ""})
    chat = ChatRequest.model_validate({"message": ""})
    chat_completion = ChatCompletionRequest.model_validate(
        {"model": "", "messages": [{"role": "user", "content": "Hi"}]}
    )
    completion = CompletionRequest.model_validate({"model": "", "prompt": ""})
    usual: dict[str, tuple[BaseModel, SamplingParams]] = {
        "generate": (generate, generate.sampling_params(default_max_length)),
        "chat": (chat, chat.sampling_params(suggested_temperature)),
        "/v1/chat/completions": (chat_completion, chat_completion.sampling_params(suggested_temperature)),
        "/v1/completions": (completion, completion.sampling_params(suggested_temperature)),
    }
    return {
        route: {
            name: _parameter(name, schema, params)
            for name, schema in schemas[type(request).__name__]["properties"].items()
            if name not in _CONTENT
        }
        for route, (request, params) in usual.items()
    }


def _parameter(name: str, schema: Mapping[str, Any], params: SamplingParams) -> Parameter:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    described = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "examples", "default")}
    described |= dict(kinds[0]) if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
    return described | {"default": _default(name, described, params)}


def _default(name: str, schema: Parameter, params: SamplingParams) -> Any:
    """What a request comes to that leaves the field out."""
    if name == "do_sample":
        return params.temperature > 0
    if name == "num_beams":
        return 1
    if name == "priority":
        return 0
    value = getattr(params, _NAMED_OTHERWISE.get(name, name), None)
    return False if value is None and schema.get("type") == "boolean" else value
