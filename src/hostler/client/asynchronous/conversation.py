"""A conversation that the client keeps, so that any model can go on with it."""

from pathlib import Path
from typing import Unpack

from hostler.client import calls
from hostler.client.asynchronous.streams import AsyncSpokenStream
from hostler.client.asynchronous.transport import AsyncTransport
from hostler.client.options import SamplingOptions
from hostler.client.transcript import Transcript, Turn


class AsyncConversation:
    """Made by `AsyncHostler.conversation`. A message to which no answer begins leaves it as it was."""

    def __init__(self, transport: AsyncTransport, transcript: Transcript, options: SamplingOptions) -> None:
        self._transport = transport
        self._transcript = transcript
        self.options = options
        """Of every answer; those given to `ask` and its like come on top."""

    @property
    def model(self) -> str | None:
        """Who answers next; may be set in the middle. `None`: the server's first conversational one."""
        return self._transcript.model

    @model.setter
    def model(self, model: str | None) -> None:
        self._transcript.model = model

    @property
    def system(self) -> str | None:
        """How the models are to answer; may be set in the middle."""
        return self._transcript.system

    @system.setter
    def system(self, system: str | None) -> None:
        self._transcript.system = system

    @property
    def messages(self) -> list[Turn]:
        """All that was said, the system's message first."""
        return self._transcript.messages

    async def ask(self, message: str, **options: Unpack[SamplingOptions]) -> str:
        """What the model answers to one more message."""
        return await self._whole(self.stream(message, **options))

    def stream(self, message: str, **options: Unpack[SamplingOptions]) -> AsyncSpokenStream:
        """`ask`, piece by piece. Where it is cut short, what has come stays in the conversation."""
        return self._stream([*self._transcript.turns, {"role": "user", "content": message}], options)

    async def retry(self, **options: Unpack[SamplingOptions]) -> str:
        """Have the last message answered anew, say by another model; the earlier answer is forgotten."""
        return await self._whole(self.retry_stream(**options))

    def retry_stream(self, **options: Unpack[SamplingOptions]) -> AsyncSpokenStream:
        """`retry`, piece by piece."""
        return self._stream(self._transcript.up_to_last_message(), options)

    def undo(self) -> str:
        """Take back the last message and its answer; returns the message."""
        *self._transcript.turns, message = self._transcript.up_to_last_message()
        return str(message["content"])

    def clear(self) -> None:
        """Forget what was said, but for the system's message."""
        self._transcript.turns = []

    def save(self, path: str | Path) -> None:
        """Write model and messages as JSON, as `/save` of `hostler chat` does."""
        self._transcript.save(path)

    def load(self, path: str | Path) -> None:
        """Go on with a conversation that was saved, in place of this one."""
        self._transcript.restore(path)

    def _stream(self, asked: list[Turn], options: SamplingOptions) -> AsyncSpokenStream:
        messages = self._transcript.with_system(asked)
        call = calls.chat(messages, self.model, None, {**self.options, **options})
        return AsyncSpokenStream(self._transport, call, self._transcript, asked)

    async def _whole(self, stream: AsyncSpokenStream) -> str:
        async with stream:
            async for _ in stream:
                pass
        return stream.answer["response"]
