"""The client: `Hostler`, and `AsyncHostler` for asyncio."""

from hostler.client.asynchronous.client import AsyncHostler
from hostler.client.asynchronous.conversation import AsyncConversation
from hostler.client.asynchronous.streams import (
    AsyncAnswerStream,
    AsyncComparisonStream,
    AsyncEventStream,
    AsyncSpokenStream,
)
from hostler.client.batches import BatchItem
from hostler.client.blocking.client import Hostler
from hostler.client.blocking.conversation import Conversation
from hostler.client.blocking.streams import AnswerStream, ComparisonStream, EventStream, SpokenStream
from hostler.client.connection import ServerConnectionError, ServerTimeoutError, ServerUnreachableError
from hostler.client.load_progress import LoadProgress
from hostler.client.options import (
    EmbedOptions,
    GenerateOptions,
    LoadOptions,
    Messages,
    ReadingOptions,
    RerankOptions,
    SamplingOptions,
)

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncComparisonStream",
    "AsyncConversation",
    "AsyncEventStream",
    "AsyncHostler",
    "AsyncSpokenStream",
    "BatchItem",
    "ComparisonStream",
    "Conversation",
    "EmbedOptions",
    "EventStream",
    "GenerateOptions",
    "Hostler",
    "LoadOptions",
    "LoadProgress",
    "Messages",
    "ReadingOptions",
    "RerankOptions",
    "SamplingOptions",
    "ServerConnectionError",
    "ServerTimeoutError",
    "ServerUnreachableError",
    "SpokenStream",
]
