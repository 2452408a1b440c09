"""One streamed chat completion, timed by a client that costs little.

Client and server share the cores in these measurements. OpenAI's client, and any general HTTP client, takes a part of
them that would count as the server's slowness, so this one reads a socket, takes HTTP apart with httptools and decodes
no more of each event than it needs.
"""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec


class ChatError(Exception):
    """The server refused or broke off; the message has what it said."""


@dataclass(frozen=True)
class Timing:
    """One answer, in seconds."""

    ttft_s: float
    """To the first piece of text."""
    itl_s: list[float]
    """Between one piece and the next."""
    total_s: float
    num_tokens: int
    """Of the answer, as the server counts them."""
    num_prompt_tokens: int
    """As the server counts them; 0 where it does not say."""


@dataclass(frozen=True)
class Endpoint:
    """Where chat completions are asked for."""

    url: str
    """Base URL of an OpenAI interface, such as `http://127.0.0.1:8000/v1`."""
    api_key: str = "unused"
    is_plain: bool = False
    """The server refuses fields that OpenAI does not have: `ignore_eos` is left out, answers may end early."""

    async def ask(self, model: str, messages: list[dict[str, str]], max_tokens: int) -> Timing:
        """Ask for a greedy answer and read all of it.

        Raises:
            ChatError: the answer is not a stream that came to its end.
            OSError: the server cannot be reached.
        """
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if not self.is_plain:
            body["ignore_eos"] = True
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        content = msgspec.json.encode(body)
        head = (
            f"POST {parts.path.rstrip('/')}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {self.api_key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        answer = _StreamedAnswer(began=time.perf_counter())
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=parts.scheme == "https" or None)
        try:
            writer.write(head.encode() + content)
            while data := await reader.read(1 << 16):
                answer.feed(data)
        finally:
            writer.close()
        return answer.timing()


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Usage(msgspec.Struct):
    completion_tokens: int
    prompt_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


@dataclass
class _StreamedAnswer:
    """What has come of one response; also httptools' receiver of the body."""

    began: float
    arrivals: list[float] = field(default_factory=list)
    usage: _Usage | None = None
    is_done: bool = False
    unread: bytes = b""
    """The begun line, or the body of an error."""

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.unread += body
        if self._parser.get_status_code() != 200:
            return
        *lines, self.unread = self.unread.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:].strip())

    def _take(self, event: bytes) -> None:
        if event == b"[DONE]":
            self.is_done = True
            return
        chunk = _decode_chunk(event)
        if any(choice.delta.content for choice in chunk.choices):
            self.arrivals.append(time.perf_counter())
        self.usage = chunk.usage or self.usage

    def timing(self) -> Timing:
        ended = time.perf_counter()
        # Not every server says [DONE], but one that counts tokens does so at the end.
        if not self.arrivals or not (self.is_done or self.usage):
            raise ChatError(self.unread.decode(errors="replace")[:500] or "the stream broke off")
        gaps = [later - earlier for earlier, later in itertools.pairwise(self.arrivals)]
        # A server without usage in its streams sends a piece for a token, or nearly so.
        usage = self.usage or _Usage(completion_tokens=len(self.arrivals))
        return Timing(
            self.arrivals[0] - self.began, gaps, ended - self.began, usage.completion_tokens, usage.prompt_tokens
        )
