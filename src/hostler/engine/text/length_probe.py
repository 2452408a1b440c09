"""Tells that a text is hopelessly too long without tokenising all of it, which takes a second for each megabyte."""

from transformers import PreTrainedTokenizerBase

from hostler.errors import ContextLengthError

MIN_CHARS = 2**18
"""Shorter texts are tokenised whatever the context: it takes a fraction of a second."""
CHARS_PER_TOKEN = 32
"""A text with fewer for each token of the context may fit: prose has four or five, runs of spaces many more."""
MARGIN_TOKENS = 64
"""Where a text is cut, the last tokens may be others than in the whole one."""


class LengthProbe:
    """Looks at the beginning of long texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_model_len: int) -> None:
        self._tokenizer = tokenizer
        self._max_model_len = max_model_len

    def check(self, text: str, param: str) -> None:
        """
        Raises:
            ContextLengthError: half of what may fit is too long already. A text that passes may be too long as well.
        """
        most_chars = max(MIN_CHARS, CHARS_PER_TOKEN * self._max_model_len)
        if len(text) <= most_chars:
            return
        num_tokens = len(self._tokenizer(text[: most_chars // 2]).input_ids)
        if num_tokens > self._max_model_len + MARGIN_TOKENS:
            raise ContextLengthError(
                f"the prompt is too long: the first {most_chars // 2} of its {len(text)} characters have {num_tokens}"
                f" tokens, and this model's maximum context length is {self._max_model_len} tokens; shorten it",
                param=param,
            )
