"""The bytes of single tokens, as each kind of tokenizer defines them."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from transformers import PreTrainedTokenizerBase

from hostler.engine.request import TokenScore
from hostler.types import TokenLogprob, TokenLogprobs

SPACE = "▁"
"""What SentencePiece and its kin write for a space."""
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenSpeller:
    """Spells tokens one by one, so that the bytes of a text's tokens are its UTF-8, split characters included."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        decoders = set(_decoder_types(tokenizer))
        self._is_byte_level = "ByteLevel" in decoders
        self._has_byte_tokens = "ByteFallback" in decoders
        self._writes_spaces = not decoders or not decoders.isdisjoint({"Metaspace", "Replace"})
        self._added: dict[int, Any] = tokenizer.added_tokens_decoder
        self._special_ids = {token_id for token_id, token in self._added.items() if token.special}
        self._special_ids.update(tokenizer.all_special_ids)
        self._bytes: dict[int, bytes | None] = {}

    def spell(
        self, scores: list[TokenScore], *, begins_text: bool, skip_special_tokens: bool = True
    ) -> list[TokenLogprobs]:
        """`begins_text`: no text precedes these tokens, so that a tokenizer may drop the space before the first.
        `skip_special_tokens`: special tokens are no text."""
        spelled: list[TokenLogprobs] = []
        for score in scores:
            own, *top = (
                self._spell(token_id, logprob, begins_text=begins_text, skip_special_tokens=skip_special_tokens)
                for token_id, logprob in [(score.token_id, score.logprob), *score.top]
            )
            spelled.append(
                TokenLogprobs(token_id=own.token_id, text=own.text, bytes=own.bytes, logprob=own.logprob, top=top)
            )
            begins_text = begins_text and own.bytes is None
        return spelled

    def _spell(
        self, token_id: int, logprob: float | None, *, begins_text: bool, skip_special_tokens: bool
    ) -> TokenLogprob:
        raw = self.bytes_of(token_id)
        if raw is None and not skip_special_tokens:
            raw = self._read(token_id)
        if raw is None:
            name = self._tokenizer.convert_ids_to_tokens(token_id)
            return TokenLogprob(token_id=token_id, text=str(name), bytes=None, logprob=logprob)
        if begins_text and raw.startswith(b" "):
            raw = self._decode(token_id).encode()
        return TokenLogprob(token_id=token_id, text=_display(raw), bytes=raw, logprob=logprob)

    def bytes_of(self, token_id: int) -> bytes | None:
        """What a token adds to the UTF-8 of a text that has begun; `None` for special tokens, mostly no text."""
        if token_id not in self._bytes:
            self._bytes[token_id] = None if token_id in self._special_ids else self._read(token_id)
        return self._bytes[token_id]

    def drops_first_space(self, token_ids: Iterable[int]) -> bool:
        """Whether a text that begins with one of these tokens loses the space that the token begins with."""
        for token_id in token_ids:
            raw = self.bytes_of(token_id)
            if raw is not None and raw.startswith(b" ") and len(raw) > 1:
                return not self._decode(token_id).startswith(" ")
        return False

    def _read(self, token_id: int) -> bytes:
        piece = self._tokenizer.convert_ids_to_tokens(token_id)
        if not isinstance(piece, str):
            return b""  # a row of the model's output that the tokenizer has no token for
        if token_id in self._added:
            return piece.encode()
        if self._is_byte_level and all(char in _BYTE_OF for char in piece):
            return bytes(_BYTE_OF[char] for char in piece)
        if self._has_byte_tokens and (match := _BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(match[1], 16)])
        if self._writes_spaces:
            return piece.replace(SPACE, " ").encode()
        return self._decode(token_id).encode()

    def _decode(self, token_id: int) -> str:
        text: str = self._tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
        return text


def _display(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def _decoder_types(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Names of the steps in which a tokenizer of the `tokenizers` library turns tokens into text; else nothing."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is None:
        return
    state = json.loads(backend.decoder.__getstate__())
    for step in state.get("decoders", [state]):
        yield step["type"]


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: the printable ones of Latin-1 stand for themselves, the rest follow from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
