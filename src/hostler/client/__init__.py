"""The client: `Hostler`, and `AsyncHostler` for asyncio."""

from hostler.client.asynchronous import AsyncHostler
from hostler.client.blocking import Hostler
from hostler.client.calls import GenerateOptions, SamplingOptions
from hostler.client.connection import ServerConnectionError
from hostler.client.event_streams import AsyncEventStream, EventStream
from hostler.client.streams import AnswerStream, AsyncAnswerStream

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncEventStream",
    "AsyncHostler",
    "EventStream",
    "GenerateOptions",
    "Hostler",
    "SamplingOptions",
    "ServerConnectionError",
]
