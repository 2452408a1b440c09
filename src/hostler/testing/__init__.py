"""For tests of programs that speak to a server: `FakeServer`, a server without models. Needs no torch."""

from hostler.testing.model import FakeModel
from hostler.testing.recording import RecordedRequest
from hostler.testing.server import FakeServer, fake_server
from hostler.testing.waits import Gate
from hostler.tools import ToolCall
from hostler.types import LoadProgress

__all__ = ["FakeModel", "FakeServer", "Gate", "LoadProgress", "RecordedRequest", "ToolCall", "fake_server"]
