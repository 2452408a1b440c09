"""What the controller keeps to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds and numbers that hold for all models."""

    max_waiting_per_model: int
    acquire_timeout_s: float
    load_stall_timeout_s: float
    keep_alive_s: float | None
    """Idle seconds before a model leaves; `None`: it stays."""
    turn_s: float = 5.0
    """See `policy.yielding_for`. Longer than most answers and than a warm load, so that swapping between two busy
    models costs little; shorter than people's patience."""
    first_cooldown_s: float = 10.0
    """How long requests are refused after a failure; twice as long after each that follows it."""
    longest_cooldown_s: float = 300.0
    sound_after_s: float = 60.0
    """A model that has been ready for so long has left its earlier failures behind."""

    def cooldown_s(self, num_failures: int, *, was_ready: bool) -> float:
        """How long requests are refused after so many failures in a row, the last of which was a failed load, or the
        death of a model that `was_ready`. A first death costs nothing: it may have been the fault of one request."""
        num_doublings = num_failures - (2 if was_ready else 1)
        if num_doublings < 0:
            return 0.0
        return min(self.first_cooldown_s * 2.0 ** min(num_doublings, 30), self.longest_cooldown_s)
