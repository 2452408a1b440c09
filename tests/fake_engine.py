"""Moved to `hostler.testing`."""

from hostler.testing.admission import NUM_WORDS, admit
from hostler.testing.engine import FakeEngine
from hostler.testing.generation import FakeGeneration
from hostler.testing.model import FACTS, TOKENIZER, FakeModel
from hostler.testing.waits import Sleep, first_of

__all__ = ["FACTS", "FakeEngine", "FakeGeneration", "FakeModel", "NUM_WORDS", "Sleep", "TOKENIZER", "admit", "first_of"]
