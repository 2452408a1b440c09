"""From a prompt to token ids that fit the model, and to the numbers that will bound the answer."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hostler.engine.beams.limits import BeamLimits
from hostler.engine.constraints.compiler import ConstraintCompiler
from hostler.engine.constraints.matcher import GrammarMatcher
from hostler.engine.request import Request
from hostler.engine.text.answer_syntax import AnswerSyntax
from hostler.engine.text.chat_template import Render
from hostler.engine.text.chat_tokenizer import ChatTokenizer
from hostler.engine.text.length_probe import LengthProbe
from hostler.engine.text.model_syntax import ModelSyntax
from hostler.engine.text.template_abilities import PROBE
from hostler.engine.text.tokenizer_calls import check_token_ids, describe_tokenizer, spell_tokens
from hostler.errors import ContextLengthError, InvalidRequestError
from hostler.types import (
    Admission,
    ChatFormat,
    ChatPrompt,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenizerFacts,
)

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

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limits: ModelLimits, render: Render) -> None:
        """`render`: for chat templates."""
        self._tokenizer = tokenizer
        self._limits = limits
        self._constraints = ConstraintCompiler(
            tokenizer, limits.vocab_size, limits.eos_token_ids, begins_text=limits.is_encoder_decoder
        )
        self._chats = ChatTokenizer(tokenizer, limits.chat_format, self._tokenize_text, render)
        has_template = limits.chat_format is ChatFormat.TEMPLATE
        self._model_syntax = ModelSyntax(
            tokenizer, self._chats.template_for([PROBE]) if has_template else None, lambda: self._chats.knows_tools
        )
        self._probe = LengthProbe(tokenizer, limits.max_model_len)

    def prepare(self, request_id: int, prompt: Prompt, params: SamplingParams, *, priority: int = 0) -> PreparedRequest:
        """Everything that can be wrong with a request for this model is found here, before it is queued.

        Raises:
            ContextLengthError: it does not fit; both numbers are in the message.
            InvalidRequestError: token ids outside the vocabulary, an empty prompt, a conversation that the model's
                template refuses, more beams than there is room for, a grammar that cannot be followed.
        """
        num_dropped = 0
        if isinstance(prompt, ChatPrompt):
            check = None if prompt.drop_oldest else self._probe.check
            token_ids, num_dropped = self._chats.tokenize(prompt, self._max_chat_tokens(params), check)
        elif isinstance(prompt, TextPrompt):
            self._probe.check(prompt.text, "prompt")
            token_ids = self._tokenize_text(prompt.text)
        else:
            token_ids = self._checked(prompt.token_ids)
        if params.prompt_logprobs is not None and self._limits.is_encoder_decoder:
            raise InvalidRequestError(
                "an encoder–decoder model gives its input no probabilities: leave out echo or logprobs", param="echo"
            )
        max_tokens = self._max_tokens(
            len(token_ids), params, param=prompt.param if isinstance(prompt, ChatPrompt) else "prompt"
        )
        admission = Admission(
            num_prompt_tokens=len(token_ids),
            max_tokens=max_tokens,
            num_dropped_messages=num_dropped,
            prompt_text=self._tokenizer.decode(
                token_ids, skip_special_tokens=params.skip_special_tokens, clean_up_tokenization_spaces=False
            ),
        )
        # Where nothing is generated there is nothing to search.
        is_search = params.beams is not None and max_tokens > 0
        sequences = [
            self._sequence(request_id, index, token_ids, max_tokens, params, priority)
            for index in range(1 if is_search else params.n)
        ]
        matcher = self._matcher(prompt, token_ids, params)
        syntax = self._syntax(prompt, token_ids, is_constrained=matcher is not None)
        for sequence in sequences:
            sequence.matcher = None if matcher is None else matcher.fork()
            sequence.answer_syntax = syntax
        if is_search and params.beams is not None:
            sequences[0].search = self._limits.beams.new_search(sequences[0], params.beams)
        return PreparedRequest(sequences, admission)

    def tokenize(self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool) -> list[int]:
        """Token ids, of any number. `add_special_tokens` holds for texts.

        Raises:
            InvalidRequestError: a conversation that the model's template refuses.
        """
        if isinstance(prompt, ChatPrompt):
            return self._chats.tokenize(prompt, self._max_chat_tokens(SamplingParams()))[0]
        return self._encode(prompt.text, add_special_tokens=add_special_tokens)

    def detokenize(self, token_ids: list[int]) -> str:
        """The text of tokens, special ones included.

        Raises:
            InvalidRequestError: one of them is none of the tokenizer's.
        """
        return spell_tokens(self._tokenizer, token_ids)

    @property
    def has_tool_template(self) -> bool:
        """Whether the model's chat template reads tools."""
        return self._chats.mentions_tools

    def tokenizer_facts(self) -> TokenizerFacts:
        return describe_tokenizer(self._tokenizer)

    def _matcher(self, prompt: Prompt, token_ids: list[int], params: SamplingParams) -> GrammarMatcher | None:
        """Of what the answer has to be: calls where they are asked for, and where a format is, that or calls. What it
        thinks before is as it likes."""
        tool_use, thinking = None, None
        if isinstance(prompt, ChatPrompt):
            tool_use = prompt.tool_use
            thinking = self._model_syntax.thinking(prompt, token_ids, is_constrained=True)
        if tool_use is not None and (tool_use.is_required or params.constraint is not None):
            instead = None if tool_use.is_required else params.constraint
            syntax = self._model_syntax.calls(is_constrained=True)
            return self._constraints.compile_calls(tool_use, syntax, instead, thinking)
        return None if params.constraint is None else self._constraints.compile(params.constraint, thinking)

    def _syntax(self, prompt: Prompt, token_ids: list[int], *, is_constrained: bool) -> AnswerSyntax | None:
        if not isinstance(prompt, ChatPrompt):
            return None
        return self._model_syntax.of(prompt, token_ids, is_constrained=is_constrained)

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

    def _encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=add_special_tokens).input_ids
        if token_ids or not add_special_tokens:
            return token_ids
        # An empty text begins a document; without a token for that, it follows the end of another one.
        starts = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        return [token_id for token_id in starts if token_id is not None][:1]

    def _tokenize_text(self, text: str) -> list[int]:
        token_ids = self._encode(text)
        if not token_ids:
            raise InvalidRequestError("the prompt is empty and this model has no token to begin with", param="prompt")
        return token_ids

    def _checked(self, token_ids: list[int]) -> list[int]:
        if not token_ids:
            raise InvalidRequestError("the prompt has no token", param="prompt")
        check_token_ids(token_ids, self._limits.vocab_size, "prompt")
        return token_ids

    def _max_chat_tokens(self, params: SamplingParams) -> int:
        """What a conversation that may be cut is cut to."""
        limit = self._limits.max_model_len
        if self._limits.is_encoder_decoder:
            return limit
        reserved = limit // ANSWER_SHARE
        return limit - min(params.max_tokens or reserved, reserved)

    def _max_tokens(self, num_prompt_tokens: int, params: SamplingParams, *, param: str) -> int:
        """`param`: the field that has the prompt. Clients know the error by the words "is too long" and "maximum
        context length is": LangChain and LiteLLM read no code."""
        limit = self._limits.max_model_len
        needs_room = not self._limits.is_encoder_decoder and params.max_tokens != 0
        if num_prompt_tokens > limit or (num_prompt_tokens == limit and needs_room):
            raise ContextLengthError(
                f"the prompt is too long: it has {num_prompt_tokens} tokens, and this model's maximum context length is"
                f" {limit} tokens; shorten it",
                param=param,
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
                f"the prompt is too long for so long an answer: {num_before} tokens and {params.max_tokens} more are"
                f" {num_before + params.max_tokens}, and this model's maximum context length is {limit} tokens; shorten"
                f" the prompt or set {params.max_tokens_field} to at most {room}",
                param=params.max_tokens_field,
            )
        return min(params.max_tokens, room)
