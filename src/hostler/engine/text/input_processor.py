"""From a prompt to token ids that fit the model, and to the numbers that will bound the answer."""

from dataclasses import dataclass

import jinja2
from transformers import PreTrainedTokenizerBase

from hostler.engine.beams.limits import BeamLimits
from hostler.engine.request import Request
from hostler.errors import ContextLengthError, InvalidRequestError
from hostler.types import Admission, ChatFormat, ChatMessage, ChatPrompt, Prompt, SamplingParams, TextPrompt

ANSWER_SHARE = 4
"""When old turns are dropped from a conversation, a quarter of the context is kept free for the answer."""


@dataclass(frozen=True)
class ModelLimits:
    """What of a model matters to its inputs."""

    max_model_len: int
    """Prompt and answer together for causal models; each on its own for encoder–decoder ones."""
    is_encoder_decoder: bool
    decoder_start_token_id: int | None
    eos_token_ids: frozenset[int]
    vocab_size: int
    chat_format: ChatFormat
    beams: BeamLimits
    is_end_forced: bool = False
    """Whether `generation_config.json` asks for an end token at the last place."""


@dataclass(frozen=True)
class PreparedRequest:
    """A request that fits: its sequences, ready for the scheduler, and what to tell the caller."""

    sequences: list[Request]
    admission: Admission


class InputProcessor:
    """Tokenises and checks. Used by one thread at a time, which is not the one that computes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limits: ModelLimits) -> None:
        self._tokenizer = tokenizer
        self._limits = limits

    def prepare(self, request_id: int, prompt: Prompt, params: SamplingParams, *, priority: int = 0) -> PreparedRequest:
        """Everything that can be wrong with a request for this model is found here, before it is queued.

        Raises:
            ContextLengthError: it does not fit; both numbers are in the message.
            InvalidRequestError: token ids outside the vocabulary, an empty prompt, a conversation that the model's
                template refuses, more beams than there is room for.
        """
        num_dropped = 0
        if isinstance(prompt, ChatPrompt):
            token_ids, num_dropped = self._tokenize_chat(prompt, params)
        elif isinstance(prompt, TextPrompt):
            token_ids = self._tokenize_text(prompt.text)
        else:
            token_ids = self._checked(prompt.token_ids)
        if params.prompt_logprobs is not None and self._limits.is_encoder_decoder:
            raise InvalidRequestError(
                "an encoder–decoder model gives its input no probabilities: leave out echo or logprobs", param="echo"
            )
        max_tokens = self._max_tokens(len(token_ids), params)
        admission = Admission(
            num_prompt_tokens=len(token_ids),
            max_tokens=max_tokens,
            num_dropped_messages=num_dropped,
            prompt_text=self._tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        )
        # Where nothing is generated there is nothing to search.
        is_search = params.beams is not None and max_tokens > 0
        sequences = [
            self._sequence(request_id, index, token_ids, max_tokens, params, priority)
            for index in range(1 if is_search else params.n)
        ]
        if is_search and params.beams is not None:
            sequences[0].search = self._limits.beams.new_search(sequences[0], params.beams)
        return PreparedRequest(sequences, admission)

    def _sequence(
        self, request_id: int, index: int, token_ids: list[int], max_tokens: int, params: SamplingParams, priority: int
    ) -> Request:
        end_ids = frozenset() if params.ignore_eos else self._limits.eos_token_ids
        start_id = self._limits.decoder_start_token_id
        is_seq2seq = self._limits.is_encoder_decoder and start_id is not None
        return Request(
            request_id=request_id,
            index=index,
            params=params,
            prompt_token_ids=[start_id] if is_seq2seq and start_id is not None else token_ids,
            encoder_token_ids=token_ids if is_seq2seq else None,
            max_tokens=max_tokens,
            stop_token_ids=end_ids | frozenset(params.stop_token_ids),
            is_end_forced=self._limits.is_end_forced,
            priority=priority,
        )

    def _tokenize_text(self, text: str) -> list[int]:
        token_ids: list[int] = self._tokenizer(text).input_ids
        if not token_ids and self._tokenizer.bos_token_id is not None:
            token_ids = [self._tokenizer.bos_token_id]
        if not token_ids:
            raise InvalidRequestError("the prompt is empty and this model has no token to begin with", param="prompt")
        return token_ids

    def _checked(self, token_ids: list[int]) -> list[int]:
        if not token_ids:
            raise InvalidRequestError("the prompt has no token", param="prompt")
        for token_id in token_ids:
            if not 0 <= token_id < self._limits.vocab_size:
                size = self._limits.vocab_size
                raise InvalidRequestError(
                    f"token id {token_id} is outside the vocabulary of {size} tokens", param="prompt"
                )
        return token_ids

    def _tokenize_chat(self, prompt: ChatPrompt, params: SamplingParams) -> tuple[list[int], int]:
        """Token ids of the conversation, and how many of its messages were left out for them to fit."""
        messages = list(prompt.messages)
        if not messages:
            raise InvalidRequestError("a conversation needs at least one message", param="messages")
        limit = self._limits.max_model_len
        if not self._limits.is_encoder_decoder:
            reserved = limit // ANSWER_SHARE
            limit -= min(params.max_tokens or reserved, reserved)
        token_ids = self._render(messages)
        while prompt.drop_oldest and len(token_ids) > limit:
            oldest = 1 if messages[0].role == "system" else 0
            if oldest >= len(messages) - 1:
                break
            del messages[oldest]
            # A conversation goes on with the user's words: templates refuse one that begins with an answer.
            while messages[oldest].role == "assistant" and oldest < len(messages) - 1:
                del messages[oldest]
            token_ids = self._render(messages)
        return token_ids, len(prompt.messages) - len(messages)

    def _render(self, messages: list[ChatMessage]) -> list[int]:
        match self._limits.chat_format:
            case ChatFormat.TEMPLATE:
                return self._apply_template(messages)
            case ChatFormat.EOS_TURNS:
                end = self._tokenizer.eos_token or ""
                return self._tokenize_text("".join(message.content + end for message in messages))
            case ChatFormat.HUMAN_ASSISTANT:
                lines = [f"{_SPEAKERS[message.role]}{message.content}" for message in messages]
                return self._tokenize_text("\n".join([*lines, "Assistant:"]))
            case ChatFormat.PLAIN:
                return self._tokenize_text("\n".join(message.content for message in messages))

    def _apply_template(self, messages: list[ChatMessage]) -> list[int]:
        conversation = [{"role": message.role, "content": message.content} for message in messages]
        try:
            token_ids: list[int] = self._tokenizer.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except jinja2.TemplateError as exc:
            reason = str(exc)[:200]
            raise InvalidRequestError(
                f"the model's chat template refuses this conversation: {reason}", param="messages"
            ) from exc
        return token_ids

    def _max_tokens(self, num_prompt_tokens: int, params: SamplingParams) -> int:
        limit = self._limits.max_model_len
        needs_room = not self._limits.is_encoder_decoder and params.max_tokens != 0
        if num_prompt_tokens > limit or (num_prompt_tokens == limit and needs_room):
            raise ContextLengthError(
                f"the prompt has {num_prompt_tokens} tokens, the model's context {limit}, answer included;"
                " shorten the prompt",
                param="prompt",
            )
        # What precedes the answer in the sequence that grows: the prompt, or the decoder's one start token.
        num_before = 1 if self._limits.is_encoder_decoder else num_prompt_tokens
        room = limit - num_before
        if params.max_length is not None:
            if params.max_length <= num_before:
                raise ContextLengthError(
                    f"max_length is {params.max_length} and the prompt has {num_before} tokens already;"
                    f" set max_length to more than {num_before}",
                    param="max_length",
                )
            return min(params.max_length - num_before, room)
        if params.max_tokens is None:
            return room
        if params.max_tokens > room and not params.clamp_max_tokens:
            raise ContextLengthError(
                f"the prompt has {num_before} tokens and {params.max_tokens} more were asked for, together"
                f" {num_before + params.max_tokens}; the model's context is {limit}: shorten the prompt or set"
                f" max_tokens to at most {room}",
                param="max_tokens",
            )
        return min(params.max_tokens, room)


_SPEAKERS = {"system": "", "user": "Human: ", "assistant": "Assistant: ", "tool": "Tool: "}
