"""The client: `Hostler`, and `AsyncHostler` for asyncio."""

from hostler.client.asynchronous import AsyncHostler
from hostler.client.blocking import Hostler
from hostler.client.calls import GenerateOptions, SamplingOptions
from hostler.client.connection import ServerConnectionError
from hostler.client.streams import AnswerStream, AsyncAnswerStream

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncHostler",
    "GenerateOptions",
    "Hostler",
    "SamplingOptions",
    "ServerConnectionError",
]
