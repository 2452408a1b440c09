"""Whether a fake model takes a prompt, and how much it answers; a word is a token."""

from hostler.errors import ContextLengthError
from hostler.types import (
    Admission,
    ChatMessage,
    ChatPrompt,
    ModelFacts,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenPrompt,
)

NUM_WORDS = 16
"""Length of an answer whose length nobody asked for."""


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
