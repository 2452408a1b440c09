"""From token ids to text: whole characters only."""

import copy

from transformers import PreTrainedTokenizerBase


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
