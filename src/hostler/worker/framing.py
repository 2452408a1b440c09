"""How messages are told apart on a socket: four bytes of length, big-endian, then one message in msgpack.

Both ends are processes of one installation, so there is no version to negotiate.
"""

import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from hostler.errors import ServiceError
from hostler.struct import Struct

_HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 256 * 2**20
"""A longer frame means that the stream is out of step; no request comes near it."""

_encoder = msgspec.msgpack.Encoder()
Message = TypeVar("Message")


def encode(message: Struct) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class FrameDecoder(Generic[Message]):
    """Takes bytes as they come from a socket and gives whole messages."""

    def __init__(self, message_type: Any) -> None:
        """`message_type`: that of `Message`; a union has no type that could be written here."""
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(message_type)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Messages that are complete with these bytes.

        Raises:
            ServiceError: the bytes are no frames of ours; the connection is of no further use.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise ServiceError(f"a frame of {length} bytes on a worker's socket")
            if len(self._buffer) < _HEADER.size + length:
                return
            body = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
            del self._buffer[: _HEADER.size + length]
            try:
                yield self._decoder.decode(body)
            except (ValueError, RecursionError) as exc:  # msgspec's own errors, and of text that is none
                raise ServiceError("an unreadable message on a worker's socket") from exc
