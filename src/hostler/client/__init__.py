"""The client: `Hostler`, and `AsyncHostler` for asyncio."""

from hostler.client.asynchronous import AsyncHostler
from hostler.client.blocking import Hostler
from hostler.client.calls import Conversation, EmbedOptions, GenerateOptions, RerankOptions, SamplingOptions
from hostler.client.connection import ServerConnectionError
from hostler.client.event_streams import AsyncEventStream, EventStream
from hostler.client.streams import AnswerStream, AsyncAnswerStream, AsyncComparisonStream, ComparisonStream

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncComparisonStream",
    "AsyncEventStream",
    "AsyncHostler",
    "ComparisonStream",
    "Conversation",
    "EmbedOptions",
    "EventStream",
    "GenerateOptions",
    "Hostler",
    "RerankOptions",
    "SamplingOptions",
    "ServerConnectionError",
]
