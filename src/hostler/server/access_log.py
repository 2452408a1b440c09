"""The line that the log has of each request: who asked which model for what, and how long it took. Never its text."""

import logging
from collections.abc import Sequence

from starlette.types import Scope

from hostler.telemetry.request_metrics import Generated

logger = logging.getLogger("hostler.server.access")


def log_request(scope: Scope, route: str, status: int, seconds: float, generated: Sequence[Generated]) -> None:
    """Once it has ended. `generated`: what models did for it."""
    state = scope["state"]
    facts: dict[str, object] = {
        "request_id=%s": state["request_id"],
        "method=%s": scope["method"][:20],
        "route=%s": route,
        "status=%d": status,
        "seconds=%.4f": seconds,
        "model=%s": state.get("model_id", "-"),
        "key=%s": state.get("key_name", "-"),
        "error=%s": state.get("error_code", "-"),
    }
    if generated:
        facts |= _of_generations(generated)
    if (trace_id := state.get("trace_id")) is not None:
        facts["trace_id=%s"] = trace_id
    logger.info("request " + " ".join(facts), *facts.values())


def _of_generations(generated: Sequence[Generated]) -> dict[str, object]:
    """Tokens of all, and of the slowest the waits for its model and in its engine, and the time to its first token."""
    facts: dict[str, object] = {
        "prompt_tokens=%d": sum(one.num_prompt_tokens for one in generated),
        "completion_tokens=%d": sum(one.num_completion_tokens for one in generated),
    }
    for name in ("wait_s", "queue_s", "ttft_s"):
        known = [seconds for one in generated if (seconds := getattr(one.timeline, name)) is not None]
        facts |= {f"{name}=%.4f": max(known)} if known else {f"{name}=%s": "-"}
    return facts
