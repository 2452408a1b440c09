"""Sums over the steps of an engine."""

from dataclasses import dataclass


@dataclass
class StepCounters:
    """See `hostler.engine_stats.EngineStats`."""

    num_steps: int = 0
    num_sequences: int = 0
    num_tokens: int = 0
    seconds: float = 0.0
    num_preempted: int = 0

    def note(self, num_sequences: int, num_tokens: int, seconds: float, num_preempted: int = 0) -> None:
        """Count a step, whatever came of it."""
        self.num_steps += 1
        self.num_sequences += num_sequences
        self.num_tokens += num_tokens
        self.seconds += seconds
        self.num_preempted += num_preempted
