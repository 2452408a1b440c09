"""From texts, pairs of texts and token ids to sequences that fit a model which reads whole texts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from hostler.engine.pooling.request import PoolingRequest, PoolingSequence
from hostler.engine.text.length_probe import CHARS_PER_TOKEN, MIN_CHARS, LengthProbe
from hostler.engine.text.tokenizer_calls import check_token_ids, describe_tokenizer, spell_tokens
from hostler.errors import ContextLengthError, InvalidRequestError
from hostler.types import (
    ANYBODY,
    Caller,
    ChatPrompt,
    ModelType,
    PoolingInput,
    PoolingParams,
    PoolingTask,
    TextPair,
    TextPrompt,
    TokenizerFacts,
    TokenPrompt,
)

PIECE_CHARS = 2**18
"""Of a large request, so many are tokenised before another request gets its turn: a fraction of a second."""

_TASKS = {
    ModelType.EMBEDDING: (PoolingTask.EMBED, PoolingTask.SCORE),
    ModelType.RERANKER: (PoolingTask.SCORE,),
    ModelType.CLASSIFIER: (PoolingTask.CLASSIFY,),
}

Texts = tuple[str, str | None]
"""One, or a pair to be read together."""


@dataclass(frozen=True)
class PoolingLimits:
    """What of a model matters to its inputs."""

    model_type: ModelType
    max_model_len: int
    vocab_size: int
    num_values: int
    """Dimensions of an encoder's vectors."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    pools_prompt: bool = True
    lowercases: bool = False


class PoolingPreparation:
    """One request whose inputs are made into sequences, a piece at a time."""

    def __init__(self, processor: "PoolingInputProcessor", request: PoolingRequest, inputs: list[PoolingInput]) -> None:
        """Made by `PoolingInputProcessor.begin`."""
        self.request = request
        self._processor = processor
        self._inputs = inputs
        self._num_done = 0
        self._place_of_text: dict[str, int] = {}
        """Of texts that are compared as vectors, the sequence of each: a question is read once for all its answers."""

    def advance(self) -> bool:
        """Do the next piece; whether it was the last one.

        Raises:
            ContextLengthError: an input is too long, and may not be cut.
            InvalidRequestError: a token id outside the vocabulary, an input without a token.
        """
        start, num_chars = self._num_done, 0
        while self._num_done < len(self._inputs) and num_chars < PIECE_CHARS:
            num_chars += _num_chars(self._inputs[self._num_done])
            self._num_done += 1
        piece = self._inputs[start : self._num_done]
        if self.request.pairs is None:
            sequences = self._processor.sequences(self.request, piece, start)
            self.request.sequences += sequences
            self.request.num_input_tokens += [sequence.num_tokens for sequence in sequences]
        else:
            self._compare(piece, self.request.pairs)
        self.request.prepared_at = time.perf_counter()
        return self._num_done == len(self._inputs)

    def _compare(self, piece: Sequence[PoolingInput], pairs: list[tuple[int, int]]) -> None:
        texts = [(pair.text, pair.text_pair) for pair in piece if isinstance(pair, TextPair)]
        places = self._place_of_text
        new = [text for text in dict.fromkeys(text for pair in texts for text in pair) if text not in places]
        for text in new:
            places[text] = len(places)
        self.request.sequences += self._processor.sequences(self.request, [TextPrompt(text=text) for text in new], None)
        for first, second in texts:
            pair = (places[first], places[second])
            pairs.append(pair)
            self.request.num_input_tokens.append(sum(self.request.sequences[place].num_tokens for place in pair))


class PoolingInputProcessor:
    """Tokenises and checks. Used by one thread at a time, which is not the one that computes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limits: PoolingLimits) -> None:
        self._tokenizer = tokenizer
        self._limits = limits
        self._probe = LengthProbe(tokenizer, limits.max_model_len)
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        self._num_prompt_tokens: dict[str, int] = {"": 0}

    def begin(
        self, request_id: int, inputs: list[PoolingInput], params: PoolingParams, caller: Caller = ANYBODY
    ) -> PoolingPreparation:
        """
        Raises:
            InvalidRequestError: the model does not do that, or not with these parameters.
        """
        limits = self._limits
        if params.task not in _TASKS[limits.model_type]:
            raise InvalidRequestError(f"a model of type {limits.model_type} does not {params.task}", param="model")
        if params.dimensions is not None and params.dimensions > limits.num_values:
            raise InvalidRequestError(
                f"dimensions is {params.dimensions}, and this model's vectors have {limits.num_values}",
                param="dimensions",
            )
        if params.input_type is not None and params.input_type not in limits.prompts:
            known = ", ".join(sorted(limits.prompts)) or "it has none; leave it out"
            raise InvalidRequestError(
                f"input_type {params.input_type[:80]!r} is none of this model's prompts: {known}", param="input_type"
            )
        if params.truncate_tokens is not None and params.truncate_tokens > limits.max_model_len:
            raise InvalidRequestError(
                f"truncate_prompt_tokens is {params.truncate_tokens}, and this model takes {limits.max_model_len}",
                param="truncate_prompt_tokens",
            )
        compares = params.task is PoolingTask.SCORE and limits.model_type is ModelType.EMBEDDING
        request = PoolingRequest(request_id, params, caller, pairs=[] if compares else None)
        return PoolingPreparation(self, request, inputs)

    def sequences(
        self, request: PoolingRequest, inputs: Sequence[PoolingInput], start: int | None
    ) -> list[PoolingSequence]:
        """Those of some inputs of a request, the first of which is its input number `start`; `None`: they are none in
        that order. Raises as `PoolingPreparation.advance`."""
        params, first = request.params, len(request.sequences)
        limit = self._limits.max_model_len
        if params.truncate_tokens is not None and params.truncate_tokens >= 0:
            limit = params.truncate_tokens
        if isinstance(inputs[0] if inputs else None, TokenPrompt):
            found = [
                self._of_tokens(request, first + i, item.token_ids, limit)
                for i, item in enumerate(inputs)
                if isinstance(item, TokenPrompt)
            ]
        else:
            found = self._of_texts(request, first, [self._texts_of(item, params) for item in inputs], limit)
        for i, sequence in enumerate(found):
            self._check_length(sequence, params.param, None if start is None else start + i)
        return found

    def tokenize(self, prompt: TextPrompt | ChatPrompt, *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text, of any number.

        Raises:
            InvalidRequestError: it is a conversation.
        """
        if isinstance(prompt, ChatPrompt):
            raise InvalidRequestError("this model reads texts and no conversations; send a prompt", param="messages")
        token_ids: list[int] = self._tokenizer(prompt.text, add_special_tokens=add_special_tokens).input_ids
        return token_ids

    def detokenize(self, token_ids: list[int]) -> str:
        """The text of tokens, special ones included.

        Raises:
            InvalidRequestError: one of them is none of the tokenizer's.
        """
        return spell_tokens(self._tokenizer, token_ids)

    def tokenizer_facts(self) -> TokenizerFacts:
        return describe_tokenizer(self._tokenizer)

    def _texts_of(self, item: PoolingInput, params: PoolingParams) -> Texts:
        if isinstance(item, TextPair):
            texts: Texts = (item.text, item.text_pair)
        else:
            assert isinstance(item, TextPrompt), "texts and token ids in one request"
            texts = (self._prompt_of(params) + item.text, None)
        if params.truncate_tokens is None:
            for text in texts:
                self._probe.check(text or "", params.param)
        else:
            # What is beyond is cut off anyway, and tokenising it takes time.
            most = max(MIN_CHARS, CHARS_PER_TOKEN * self._limits.max_model_len)
            texts = (texts[0][:most], None if texts[1] is None else texts[1][:most])
        return (texts[0].lower(), texts[1] and texts[1].lower()) if self._limits.lowercases else texts

    def _of_texts(self, request: PoolingRequest, first: int, texts: list[Texts], limit: int) -> list[PoolingSequence]:
        if not texts:
            return []
        params = request.params
        is_pair = texts[0][1] is not None
        num_special = self._tokenizer.num_special_tokens_to_add(is_pair)
        is_cut = params.truncate_tokens is not None
        if is_cut and limit <= num_special:
            raise InvalidRequestError(
                f"truncate_prompt_tokens is {limit}, and {num_special} tokens are special ones; set it to more",
                param="truncate_prompt_tokens",
            )
        encoded = self._tokenizer(
            [text for text, _ in texts],
            [pair for _, pair in texts] if is_pair else None,
            truncation=is_cut,
            max_length=limit if is_cut else None,
            return_attention_mask=False,
            return_token_type_ids=self._has_types,
        )
        types = encoded["token_type_ids"] if self._has_types else [None] * len(texts)
        num_unpooled = 0 if self._limits.pools_prompt or is_pair else self._num_tokens_of(self._prompt_of(params))
        return [
            PoolingSequence(request, first + i, token_ids, type_ids, num_unpooled)
            for i, (token_ids, type_ids) in enumerate(zip(encoded["input_ids"], types, strict=True))
        ]

    def _of_tokens(self, request: PoolingRequest, index: int, token_ids: list[int], limit: int) -> PoolingSequence:
        check_token_ids(token_ids, self._limits.vocab_size, request.params.param)
        if request.params.truncate_tokens is not None:
            token_ids = token_ids[:limit]
        return PoolingSequence(request, index, token_ids)

    def _check_length(self, sequence: PoolingSequence, param: str, place: int | None) -> None:
        shown = param if place is None else f"{param}[{place}]"
        limit = self._limits.max_model_len
        if not sequence.num_tokens:
            raise InvalidRequestError(f"{shown} has no token", param=param)
        if sequence.num_tokens > limit:
            raise ContextLengthError(
                f"{shown} is too long: it has {sequence.num_tokens} tokens, and this model's maximum context length is"
                f" {limit} tokens; shorten it, or set truncate_prompt_tokens to -1 to have it cut",
                param=param,
            )

    def _prompt_of(self, params: PoolingParams) -> str:
        if params.task is not PoolingTask.EMBED or params.input_type is None:
            return self._limits.default_prompt
        return self._limits.prompts[params.input_type]

    def _num_tokens_of(self, prompt: str) -> int:
        """Tokens that a prompt is at the beginning of a text, without what ends a text."""
        if prompt not in self._num_prompt_tokens:
            token_ids = self._tokenizer(prompt).input_ids
            ends_text = bool(token_ids) and token_ids[-1] in self._tokenizer.all_special_ids
            self._num_prompt_tokens[prompt] = len(token_ids) - ends_text
        return self._num_prompt_tokens[prompt]


def _num_chars(item: PoolingInput) -> int:
    match item:
        case TokenPrompt():
            return len(item.token_ids)
        case TextPair():
            return len(item.text) + len(item.text_pair)
        case TextPrompt():
            return len(item.text)
