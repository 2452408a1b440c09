"""What an engine has done."""

from hostler.struct import Struct


class EngineStats(Struct, frozen=True):
    """Of one loaded model, as of the end of its last step; sums are counted from its load on."""

    num_running: int = 0
    """Sequences that have begun. A model that reads has none between its steps."""
    num_waiting: int = 0
    num_steps: int = 0
    num_step_sequences: int = 0
    """Sequences that a step computed something of, summed over all steps."""
    num_step_tokens: int = 0
    """Tokens that were computed, of prompts and of answers, padding left out."""
    step_seconds: float = 0.0
    num_preempted: int = 0
    """How often a sequence made way for another and has to be computed again."""
    cache_capacity_tokens: int = 0
    """Keys and values that there is room for; 0 where a model keeps none."""
    cache_used_tokens: int = 0
    """Of these, those of running sequences."""
    cache_kept_tokens: int = 0
    """Of these, those of ended sequences, which others may begin with."""
