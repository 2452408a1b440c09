"""Coverage-guided fuzzing by atheris: `python -m tests.fuzz [--seconds N | --runs N] [TARGET ...]`.

Ends with 1 when something was found. What it was found with is kept in `.fuzz/`, and what was learnt for the next time
in `.fuzz/corpus/`.
"""

import argparse
import logging
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["hostler"]):
    from tests.fuzz.mutation import mutate
    from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from tests.fuzz.target import Target

FOLDER = Path(".fuzz")
MAX_INPUT_BYTES = 2**16
INPUT_TIMEOUT_S = 10
MEMORY_MIB = 2048
"""Of one process: what parsers take, over what is imported."""
_SHOWN_CHARS = 4000
"""Of what libFuzzer and the traceback say."""
_DONE = re.compile(r"Done (\d+) runs")
_COVERAGE = re.compile(r"cov: (\d+)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="default: all")
    parser.add_argument("--seconds", type=int, default=0, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    found = 0
    for name in given.targets or TARGETS:
        limits = [f"-max_total_time={given.seconds}", f"-runs={given.runs}", f"-seed={given.seed}"]
        found += not _fuzz_apart(TARGETS[name], limits)
    return 1 if found else 0


def _fuzz_apart(target: "Target", limits: list[str]) -> bool:
    """In a process of its own, since libFuzzer ends the one that it is in. Whether nothing was found."""
    corpus = FOLDER / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(target.seeds):
        (corpus / f"seed-{i}").write_bytes(seed)
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        pid = os.fork()
        if not pid:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            _fuzz(target, corpus, limits)
        _, status = os.waitpid(pid, 0)
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    runs, coverage = _DONE.findall(text), _COVERAGE.findall(text)
    seconds = time.monotonic() - started
    verdict = "nothing found" if not status else "FOUND"
    _say(f"{target.name}: {(runs or ['?'])[-1]} runs in {seconds:.0f} s, coverage {(coverage or ['?'])[-1]}: {verdict}")
    if status:
        _say(text[-_SHOWN_CHARS:])
    return not status


def _fuzz(target: "Target", corpus: Path, limits: list[str]) -> None:
    """Does not return."""

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if not target.is_json and rng.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return mutate(data, rng, target.words, is_json=target.is_json)[:max_size]

    options = [
        *(f"-timeout={INPUT_TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MAX_INPUT_BYTES}"),
        *("-print_final_stats=0", f"-artifact_prefix={FOLDER}/{target.name}-"),
    ]
    atheris.Setup([target.name, str(corpus), *limits, *options], target.run, custom_mutator=change)
    atheris.Fuzz()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
