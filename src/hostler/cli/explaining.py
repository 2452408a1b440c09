"""Plans and events, as people read them."""

from datetime import datetime

from hostler.protocol.stable_answers import ModelEvent, PlanAnswer
from hostler.quantities import format_bytes

_BASES = {
    "measured": "measured",
    "headers": "from the headers of its weights",
    "files": "from the sizes of its files",
    "size": "guessed from its size",
}
"""What an estimate rests on, as somebody says it who has not read the reference."""


def plan_lines(plan: PlanAnswer) -> str:
    """The verdict and the sentence, then the numbers that are known, one a line."""
    parts = plan["footprint"]
    footprint = (
        f"weights {format_bytes(parts['weights_bytes'])}, keys and values {format_bytes(parts['kv_cache_bytes'])},"
        f" workspace {format_bytes(parts['workspace_bytes'])}, process {format_bytes(parts['process_bytes'])}"
        f" ({_BASES.get(parts['basis'], parts['basis'])})"
    )
    facts = [("device", plan["device"]), ("takes", footprint)]
    facts += [("leaves", f"{victim['model_id']}: {victim['reason']}") for victim in plan["victims"]]
    facts += [("in flight", f"{model_id}: {num}") for model_id, num in plan["in_flight"].items() if num]
    if plan["expected_seconds"] is not None:
        facts.append(("expected", f"{plan['expected_seconds']:.1f} s"))
    verdict = plan["verdict"].replace("_", " ")
    return "\n".join([f"{verdict}: {plan['text']}", *(f"  {name:<10}{fact}" for name, fact in facts)])


def event_line(event: ModelEvent) -> str:
    """Time, kind and sentence."""
    when = datetime.fromtimestamp(event["time"]).astimezone()
    return f"{when:%Y-%m-%d %H:%M:%S}  {event['kind']:<12}{event['text']}"
