"""From the tokens of sequences to what is told of them, and their logprobs where they were asked for."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from transformers import PreTrainedTokenizerBase

from hostler.engine.beams.search import Candidate, Hypothesis
from hostler.engine.request import Request, TokenScore
from hostler.engine.text.answer_text import AnswerText, new_parser
from hostler.engine.text.beam_texts import BeamTexts
from hostler.engine.text.detokenizer import IncrementalDetokenizer
from hostler.engine.text.stop_strings import StopStrings
from hostler.engine.text.token_speller import TokenSpeller
from hostler.types import FinishReason, TokenDelta, TokenLogprobs


class OutputProcessor:
    """Keeps the text of each running sequence."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._speller = TokenSpeller(tokenizer)
        self._texts: dict[Request, AnswerText] = {}
        self._beam_texts: dict[Request, BeamTexts] = {}

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta:
        """Text of a new token. The delta's `finish_reason` is `STOP` also where a stop string ended the sequence.

        A token that ended the sequence by itself is counted, and is no text. One that was sampled only because the
        prompt was computed is left out.
        """
        prompt_logprobs = self._prompt_logprobs(request)
        is_first = len(request.output_token_ids) == 1
        num_cached_tokens = request.num_cached_tokens if is_first else 0
        queued_s = request.queued_s if is_first else None
        if request.max_tokens == 0:
            return TokenDelta(
                index=request.index,
                num_cached_tokens=num_cached_tokens,
                queued_s=queued_s,
                finish_reason=FinishReason.LENGTH,
                prompt_logprobs=prompt_logprobs,
            )
        if request not in self._texts:
            self._texts[request] = self._new_text(request)
        is_end_token = reason is FinishReason.STOP
        text = self._texts[request]
        told, reason = text.add([] if is_end_token else [token_id], reason)
        return TokenDelta(
            index=request.index,
            text=told.text,
            reasoning=told.reasoning,
            tool_calls=told.tool_calls,
            token_ids=[token_id],
            finish_reason=reason,
            stop=text.stop,
            logprobs=self._logprobs(request, is_end_token=is_end_token),
            prompt_logprobs=prompt_logprobs,
            num_cached_tokens=num_cached_tokens,
            queued_s=queued_s,
        )

    def stopped(self, request: Request, candidates: Sequence[Candidate]) -> set[Candidate]:
        """Of the continuations of a beam search those whose text a stop string ends."""
        if request.search is None or not request.params.stop:
            return set()
        if request not in self._beam_texts:
            self._beam_texts[request] = BeamTexts(self._new_detokenizer(request), StopStrings(request.params.stop))
        return self._beam_texts[request].stopped(request.search, candidates)

    def process_answers(self, request: Request, answers: Sequence[Hypothesis]) -> list[TokenDelta]:
        """What a beam search has found, each sequence in one delta."""
        return [self._whole(request, index, answer) for index, answer in enumerate(answers)]

    def _whole(self, request: Request, index: int, answer: Hypothesis) -> TokenDelta:
        is_ended_by_token = answer.finish_reason is FinishReason.STOP and answer.token_ids[-1] in request.stop_token_ids
        token_ids = answer.token_ids[:-1] if is_ended_by_token else answer.token_ids
        text = self._new_text(request)
        told, reason = text.add(token_ids, answer.finish_reason)
        return TokenDelta(
            index=index,
            text=told.text,
            reasoning=told.reasoning,
            tool_calls=told.tool_calls,
            token_ids=answer.token_ids,
            queued_s=request.queued_s if index == 0 else None,  # they waited as one
            finish_reason=reason,
            stop=text.stop,
        )

    def _new_text(self, request: Request) -> AnswerText:
        detokenizer, stop_strings = self._new_detokenizer(request), StopStrings(request.params.stop)
        syntax = request.answer_syntax
        if syntax is None:
            return AnswerText(detokenizer, stop_strings)
        is_left_out = request.params.skip_special_tokens

        def mark_of(token_id: int) -> str | None:
            if not is_left_out or self._speller.bytes_of(token_id) is not None:
                return None
            token = str(self._tokenizer.convert_ids_to_tokens(token_id))
            return token if syntax.is_read(token) else None

        return AnswerText(detokenizer, stop_strings, new_parser(syntax), mark_of)

    def _new_detokenizer(self, request: Request) -> IncrementalDetokenizer:
        context = [] if request.encoder_token_ids is not None else request.prompt_token_ids
        return IncrementalDetokenizer(self._tokenizer, context, skip_special_tokens=request.params.skip_special_tokens)

    def _prompt_logprobs(self, request: Request) -> list[TokenLogprobs]:
        """What has been kept of the prompt until its first token came."""
        if not request.prompt_scores or len(request.output_token_ids) != 1:
            return []
        return self._spell(request, request.prompt_scores, begins_text=True)

    def _logprobs(self, request: Request, *, is_end_token: bool) -> list[TokenLogprobs]:
        if not request.output_scores:
            return []
        before: Iterator[int] = itertools.islice(request.output_token_ids, len(request.output_token_ids) - 1)
        if request.encoder_token_ids is None:
            before = itertools.chain(request.prompt_token_ids, before)
        # Special tokens that are left out are no text: what follows them begins it.
        begins_text = all(
            request.params.skip_special_tokens and self._speller.bytes_of(token_id) is None for token_id in before
        )
        spelled = self._spell(request, request.output_scores[-1:], begins_text=begins_text)
        return [msgspec.structs.replace(token, bytes=None) for token in spelled] if is_end_token else spelled

    def _spell(self, request: Request, scores: list[TokenScore], *, begins_text: bool) -> list[TokenLogprobs]:
        skip_special_tokens = request.params.skip_special_tokens
        return self._speller.spell(scores, begins_text=begins_text, skip_special_tokens=skip_special_tokens)

    def free(self, request: Request) -> None:
        """Forget a sequence."""
        self._texts.pop(request, None)
        self._beam_texts.pop(request, None)
