"""From token ids to text: whole characters only, stop strings applied; and to logprobs where they were asked for."""

import copy
import itertools
from collections.abc import Iterator, Sequence

import msgspec
from transformers import PreTrainedTokenizerBase

from hostler.engine.beams.search import BeamSearch, Candidate, Hypothesis
from hostler.engine.request import Request, TokenScore
from hostler.engine.text.token_speller import TokenSpeller
from hostler.types import FinishReason, TokenDelta, TokenLogprobs


class IncrementalDetokenizer:
    """Text of one sequence, piece by piece; the pieces joined are the text of the whole.

    A piece appears when its bytes form whole characters. The last tokens of the prompt are the context in which the
    first new one is spelled, so that a continuation keeps its leading space. Works on `decode` alone, and so with
    every tokenizer; the method is that of the decode streams in Hugging Face's `tokenizers` and TGI: decode a short
    window with and without the new tokens, and take the difference.
    """

    CONTEXT_TOKENS = 6
    """Enough for the byte tokens of one character and for the token before them."""
    MAX_CONTEXT_TOKENS = 48
    """Enough for an emoji of many characters, none of which has a token of its own."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prompt_token_ids: list[int], *, skip_special_tokens: bool = True
    ) -> None:
        """`skip_special_tokens`: they are no text."""
        self._tokenizer = tokenizer
        self._skip_special_tokens = skip_special_tokens
        self._window = self._context(prompt_token_ids)
        self._num_read = len(self._window)
        """Tokens of the window whose text has been given out."""

    def add(self, token_id: int) -> str:
        """Text that is complete with this token; often empty."""
        self._window.append(token_id)
        return self._advance(is_last=False)

    def add_all(self, token_ids: list[int]) -> str:
        """The same for several tokens at once."""
        self._window += token_ids
        return self._advance(is_last=False)

    def fork(self) -> "IncrementalDetokenizer":
        """Another one with the same text so far, which may go on differently."""
        fork = copy.copy(self)
        fork._window = list(self._window)
        return fork

    def flush(self) -> str:
        """What is left at the end; bytes that are no character become U+FFFD, as a plain decode gives them."""
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool) -> str:
        before = self._decode(self._window[: self._num_read])
        after = self._decode(self._window)
        if len(after) <= len(before) or (after.endswith("\ufffd") and not is_last):
            return ""
        self._window = self._window[self._num_read :]
        self._num_read = len(self._window)
        return after[len(before) :]

    def _context(self, prompt_token_ids: list[int]) -> list[int]:
        """The end of the prompt, from where a character begins.

        In the middle of one, byte-fallback decoders would give up the whole run of bytes and what continues it.
        """
        for num_tokens in range(self.CONTEXT_TOKENS, self.MAX_CONTEXT_TOKENS + 1):
            context = prompt_token_ids[-num_tokens:]
            if len(prompt_token_ids) <= num_tokens or "\ufffd" not in self._decode(context):
                return context
        return prompt_token_ids[-self.CONTEXT_TOKENS :]

    def _decode(self, token_ids: list[int]) -> str:
        # Tidying would take back spaces that have been sent, and is not told to the bytes of logprobs.
        text: str = self._tokenizer.decode(
            token_ids, skip_special_tokens=self._skip_special_tokens, clean_up_tokenization_spaces=False
        )
        return text


class StopStrings:
    """Ends a text at the first stop string, which may be spread over pieces, and lets out no part of it."""

    def __init__(self, stop: list[str]) -> None:
        self._stop = [string for string in stop if string]
        self._held = ""
        self.matched: str | None = None
        """The one that has ended the text."""

    def add(self, text: str) -> tuple[str, bool]:
        """Text that may go out, and whether a stop string has ended it."""
        if not self._stop:
            return text, False
        text = self._held + text
        ends = [(end, string) for string in self._stop if (end := text.find(string)) >= 0]
        if ends:
            self._held = ""
            end, self.matched = min(ends)
            return text[:end], True
        num_held = max(_overlap(text, string) for string in self._stop)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held], False

    def flush(self) -> str:
        """What was held back and turned out to begin no stop string."""
        held, self._held = self._held, ""
        return held


class BeamTexts:
    """The texts of one search's beams, for as long as stop strings are looked for in them."""

    def __init__(self, detokenizer: IncrementalDetokenizer, stop_strings: StopStrings) -> None:
        self._running = [(detokenizer, stop_strings)]
        self._grown: dict[tuple[int, int], tuple[IncrementalDetokenizer, StopStrings]] = {}
        """By beam and token, each continuation that was last offered."""

    def stopped(self, search: BeamSearch, candidates: Sequence[Candidate]) -> set[Candidate]:
        """Those that complete a stop string. To be called before the search takes the candidates in."""
        if self._grown:
            beams = zip(search.parents, search.running, strict=True)
            self._running = [self._grown[parent, beam.token_ids[-1]] for parent, beam in beams]
        self._grown = {}
        stopped = set()
        for candidate in candidates:
            detokenizer, stop_strings = self._running[candidate.parent]
            detokenizer, stop_strings = detokenizer.fork(), copy.copy(stop_strings)
            self._grown[candidate.parent, candidate.token_id] = detokenizer, stop_strings
            _, is_stopped = stop_strings.add(detokenizer.add(candidate.token_id))
            if is_stopped:
                stopped.add(candidate)
        return stopped


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of `text` with which `string` begins."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0


class OutputProcessor:
    """Keeps the text of each running sequence."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._speller = TokenSpeller(tokenizer)
        self._texts: dict[Request, tuple[IncrementalDetokenizer, StopStrings]] = {}
        self._beam_texts: dict[Request, BeamTexts] = {}

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta:
        """Text of a new token. The delta's `finish_reason` is `STOP` also where a stop string ended the sequence.

        A token that ended the sequence by itself is counted, and is no text. One that was sampled only because the
        prompt was computed is left out.
        """
        prompt_logprobs = self._prompt_logprobs(request)
        num_cached_tokens = request.num_cached_tokens if len(request.output_token_ids) == 1 else 0
        if request.max_tokens == 0:
            return TokenDelta(
                index=request.index,
                num_cached_tokens=num_cached_tokens,
                finish_reason=FinishReason.LENGTH,
                prompt_logprobs=prompt_logprobs,
            )
        if request not in self._texts:
            self._texts[request] = self._new_text(request)
        detokenizer, stop_strings = self._texts[request]
        is_end_token = reason is FinishReason.STOP
        piece = "" if is_end_token else detokenizer.add(token_id)
        if reason is not None:
            piece += detokenizer.flush()
        text, is_stopped = stop_strings.add(piece)
        if is_stopped:
            reason = FinishReason.STOP
        elif reason is not None:
            text += stop_strings.flush()
        return TokenDelta(
            index=request.index,
            text=text,
            token_ids=[token_id],
            finish_reason=reason,
            stop=stop_strings.matched,
            logprobs=self._logprobs(request, is_end_token=is_end_token),
            prompt_logprobs=prompt_logprobs,
            num_cached_tokens=num_cached_tokens,
        )

    def stopped(self, request: Request, candidates: Sequence[Candidate]) -> set[Candidate]:
        """Of the continuations of a beam search those whose text a stop string ends."""
        if request.search is None or not request.params.stop:
            return set()
        if request not in self._beam_texts:
            self._beam_texts[request] = BeamTexts(*self._new_text(request))
        return self._beam_texts[request].stopped(request.search, candidates)

    def process_answers(self, request: Request, answers: Sequence[Hypothesis]) -> list[TokenDelta]:
        """What a beam search has found, each sequence in one delta."""
        return [self._whole(request, index, answer) for index, answer in enumerate(answers)]

    def _whole(self, request: Request, index: int, answer: Hypothesis) -> TokenDelta:
        detokenizer, stop_strings = self._new_text(request)
        reason = answer.finish_reason
        is_ended_by_token = reason is FinishReason.STOP and answer.token_ids[-1] in request.stop_token_ids
        text = detokenizer.add_all(answer.token_ids[:-1] if is_ended_by_token else answer.token_ids)
        text, is_stopped = stop_strings.add(text + detokenizer.flush())
        if not is_stopped:
            text += stop_strings.flush()
        return TokenDelta(index=index, text=text, token_ids=answer.token_ids, finish_reason=reason)

    def _new_text(self, request: Request) -> tuple[IncrementalDetokenizer, StopStrings]:
        context = [] if request.encoder_token_ids is not None else request.prompt_token_ids
        detokenizer = IncrementalDetokenizer(
            self._tokenizer, context, skip_special_tokens=request.params.skip_special_tokens
        )
        return detokenizer, StopStrings(request.params.stop)

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
