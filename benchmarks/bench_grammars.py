"""What it costs that answers have to follow a grammar: one model's engine, without HTTP.

The same number of sequences decode by turns, some turns freely and some by a grammar that has no end; the cost of a
token is the ratio of the medians of their steps. Beside it stands what a new schema costs before its first token.
Nothing is asserted.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench_engine import Bench, add_model_arguments, load
from hardware import environment
from hostler.types import Constraint, ConstraintKind, SamplingParams, TokenPrompt

ENDLESS = {
    "type": "array",
    "minItems": 100_000,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "speed": {"type": "integer"}},
        "required": ["name", "speed"],
        "additionalProperties": False,
    },
}


def constraint_of(schema: object) -> Constraint:
    return Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(schema), param="response_format")


def new_schema_s(bench: Bench, number: int) -> float:
    """Seconds that a request whose schema nobody has used before is prepared for longer than one without."""
    properties = {f"field_{number}_{index}": {"type": "string"} for index in range(8)}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    prompt = TokenPrompt(token_ids=[1] * 16)
    seconds = []
    for constraint in (None, constraint_of(schema)):
        began = time.perf_counter()
        bench.engine.inputs.prepare(0, prompt, SamplingParams(max_tokens=1, constraint=constraint))
        seconds.append(time.perf_counter() - began)
    return seconds[1] - seconds[0]


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 16], help="at once (default: 1 16)")
    parser.add_argument("--max-tokens", type=int, default=64, help="(default: %(default)s)")
    parser.add_argument("--turns", type=int, default=6, help="of each kind (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()
    bench = load(arguments)
    first_s = new_schema_s(bench, 0)
    later_s = [new_schema_s(bench, number) for number in range(1, 20)]
    write(f"the first schema of a model: {first_s * 1000:.0f} ms; each new one after it: ")
    write(f"{statistics.median(later_s) * 1000:.1f} ms, {max(later_s) * 1000:.1f} ms at most\n\n")
    write("| sequences | free step, ms | step by a grammar, ms | ratio |\n|---|---|---|---|\n")
    figures = []
    free, bound = bench.params, msgspec.structs.replace(bench.params, constraint=constraint_of(ENDLESS))
    for num_sequences in arguments.sequences:
        steps: dict[str, list[float]] = {"free": [], "bound": []}
        for _ in range(arguments.turns):
            for kind, params in (("free", free), ("bound", bound)):
                steps[kind] += bench.run(num_sequences, 16, arguments.max_tokens, params).decode_step_s
        medians = {kind: statistics.median(seconds) * 1000 for kind, seconds in steps.items()}
        ratio = medians["bound"] / medians["free"]
        write(f"| {num_sequences} | {medians['free']:.1f} | {medians['bound']:.1f} | {ratio:.3f} |\n")
        figures.append({"sequences": num_sequences, "ratio": ratio, "step_s": steps})
    if arguments.json:
        schemas = {"first_s": first_s, "later_s": later_s}
        content = {"environment": environment(), "schemas": schemas, "figures": figures}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
