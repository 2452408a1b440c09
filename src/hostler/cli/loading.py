"""How far a load is, in a line."""

from hostler.client import LoadProgress
from hostler.quantities import format_bytes


def progress_line(model: str, progress: LoadProgress) -> str:
    """`tiny: downloading 43%, 1.2 GiB of 2.8 GiB, 6 s left`; what is not known is left out."""
    if progress.percent is None and progress.total_bytes is None:
        return progress.text if model in progress.text else f"{model}: {progress.text}"
    words = f"{progress.stage} {progress.percent}%" if progress.percent is not None else progress.stage
    facts = [f"{model}: {words}"]
    if progress.total_bytes is not None:
        facts.append(f"{format_bytes(progress.done_bytes or 0)} of {format_bytes(progress.total_bytes)}")
    if progress.eta_s is not None:
        facts.append(f"{progress.eta_s:.0f} s left")
    return ", ".join(facts)
