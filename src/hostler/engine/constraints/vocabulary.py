"""A model's tokens as grammars see them: the bytes that each adds to a text."""

from collections.abc import Collection, Iterator

from llguidance import LLTokenizer, TokenizerWrapper
from transformers import PreTrainedTokenizerBase

from hostler.engine.text.token_speller import TokenSpeller


class Vocabulary:
    """What llguidance asks of a tokenizer. Works with every one of transformers', since ours spells their tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int, eos_token_ids: Collection[int]) -> None:
        """`vocab_size`: of the model's embeddings; rows without a token spell nothing. `eos_token_ids`: not empty."""
        speller = TokenSpeller(tokenizer)
        self._tokenizer = tokenizer
        self.eos_token_id = min(eos_token_ids)
        self.bos_token_id = tokenizer.bos_token_id
        spelled = [speller.bytes_of(token_id) for token_id in range(vocab_size)]
        self.tokens = [b"" if raw is None else raw for raw in spelled]
        self._ids = {raw: token_id for token_id, raw in reversed(list(enumerate(spelled))) if raw}
        self._longest = max(map(len, self._ids), default=1)
        self.special_token_ids = sorted({*eos_token_ids, *(i for i, raw in enumerate(spelled) if raw is None)})
        for token_id in self.special_token_ids:
            self.tokens[token_id] = str(tokenizer.convert_ids_to_tokens(token_id)).encode()
        self.drops_first_space = speller.drops_first_space(range(vocab_size))
        """Whether a text whose first token begins with a space is written without it."""

    def __call__(self, text: str) -> list[int]:
        """Tokens that spell a piece of a text, whatever precedes it."""
        if not isinstance(text, str):
            raise TypeError("text, not bytes")
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        if b"".join(self.tokens[token_id] for token_id in token_ids) == text.encode():
            return token_ids
        # Tokenizers that put a space before every text cannot be asked for the middle of one.
        return list(self._longest_first(text.encode()))

    def _longest_first(self, text: bytes) -> Iterator[int]:
        """Tokens that spell the text, as far as there are any for it."""
        start = 0
        while start < len(text):
            ends = range(min(len(text), start + self._longest), start, -1)
            end = next((end for end in ends if text[start:end] in self._ids), None)
            if end is None:
                return
            yield self._ids[text[start:end]]
            start = end

    def for_grammars(self, eos_token_ids: Collection[int]) -> LLTokenizer:
        """Takes about half a second and tens of megabytes."""
        return LLTokenizer(TokenizerWrapper(self), n_vocab=len(self.tokens), eos_token=sorted(eos_token_ids))
