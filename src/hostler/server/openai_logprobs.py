"""Puts logprobs into OpenAI's two forms."""

import codecs
from collections.abc import Iterable

from hostler.protocol.openai_logprobs import ChatLogprobs, ChatTokenLogprob, CompletionLogprobs, TopLogprob
from hostler.types import TokenLogprob, TokenLogprobs


def chat_logprobs(tokens: Iterable[TokenLogprobs]) -> ChatLogprobs:
    content = [
        ChatTokenLogprob(**_entry(token), top_logprobs=[_entry(top) for top in token.top])
        for token in tokens
        if token.bytes is not None
    ]
    return ChatLogprobs(content=content, refusal=None)


def _entry(token: TokenLogprob) -> TopLogprob:
    assert token.logprob is not None, "a token of a prompt among those of an answer"
    return TopLogprob(token=token.text, logprob=token.logprob, bytes=None if token.bytes is None else list(token.bytes))


class CompletionLogprobsWriter:
    """Writes the tokens of one choice, at once or piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._num_chars = 0
        """Whole characters so far."""

    def write(self, tokens: Iterable[TokenLogprobs]) -> CompletionLogprobs:
        written = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token in tokens:
            written["tokens"].append(token.text)
            written["token_logprobs"].append(token.logprob)
            written["top_logprobs"].append(_rivals(token))
            written["text_offset"].append(self._num_chars)
            self._num_chars += len(self._decoder.decode(token.bytes or b""))
        return written


def _rivals(token: TokenLogprobs) -> dict[str, float] | None:
    if token.logprob is None:
        return None
    rivals: dict[str, float] = {}
    for rival in (*token.top, token):
        if rival.logprob is not None:
            # Two tokens may be spelled alike; the likelier one, which comes first, keeps the name.
            rivals.setdefault(rival.text, rival.logprob)
    return rivals
