"""How fast one model's engine is by itself: no HTTP, no second process.

For each number of sequences, all begun at once: prompts alone (one token each), then whole answers. Prints a table, and
with `--json FILE` writes every single figure. Nothing is asserted.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hardware import environment
from hostler.bench.percentiles import percentiles
from hostler.config import Settings, registry_path
from hostler.registry import ModelEntry, ModelSpec, SourceEntry, read_configuration
from hostler.types import ModelType, SamplingParams, TokenPrompt

if TYPE_CHECKING:
    from hostler.engine.factory import Engine

WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class Run:
    """Sequences that began together, computed to their ends."""

    elapsed_s: float
    num_tokens: int
    """Of all answers."""
    decode_step_s: list[float]
    """Each step after the last of the prompts had its first token."""


class Bench:
    """One engine, and prompts of random tokens for it, no two alike."""

    def __init__(self, engine: "Engine", vocab_size: int, params: SamplingParams) -> None:
        self.facts = engine.facts
        self.engine = engine
        self.params = params
        self._vocab_size = vocab_size
        self._rng = random.Random(0)

    def run(
        self, num_sequences: int, num_prompt_tokens: int, max_tokens: int, params: SamplingParams | None = None
    ) -> Run:
        """Prepare the requests, then time the steps until all have ended. `params`: others than the bench's own."""
        core = self.engine.core
        params = params or self.params
        # A grammar says itself where a text may end.
        params = msgspec.structs.replace(params, max_tokens=max_tokens, ignore_eos=params.constraint is None)
        for request_id in range(num_sequences):
            prompt = TokenPrompt(token_ids=self._rng.choices(range(self._vocab_size), k=num_prompt_tokens))
            core.add_request(self.engine.inputs.prepare(request_id, prompt, params).sequences)
        started: set[int] = set()
        num_tokens = 0
        decode_step_s: list[float] = []
        began = now = time.perf_counter()
        while core.has_unfinished_requests():
            is_decode = len(started) == num_sequences
            output = core.step()
            before, now = now, time.perf_counter()
            if output.failures:
                raise next(iter(output.failures.values()))
            num_tokens += sum(len(delta.token_ids) for _, delta in output.deltas)
            started.update(request_id for request_id, _ in output.deltas)
            if is_decode:
                decode_step_s.append(now - before)
        return Run(now - began, num_tokens, decode_step_s)

    def figures(self, num_sequences: int, num_prompt_tokens: int, max_tokens: int) -> dict[str, float]:
        """Of one number of sequences, warmed before."""
        self.run(num_sequences, num_prompt_tokens, WARM_UP_TOKENS)
        prompts = self.run(num_sequences, num_prompt_tokens, 1)
        answers = self.run(num_sequences, num_prompt_tokens, max_tokens)
        num_decoded = len(answers.decode_step_s) * num_sequences
        return {
            "sequences": num_sequences,
            "tokens_per_s": answers.num_tokens / answers.elapsed_s,
            "decode_tokens_per_s": num_decoded / sum(answers.decode_step_s),
            "prompt_tokens_per_s": num_sequences * num_prompt_tokens / prompts.elapsed_s,
            **{f"decode_step_p{percent}_ms": s * 1000 for percent, s in percentiles(answers.decode_step_s).items()},
        }


def load(arguments: argparse.Namespace) -> Bench:
    """Bring the model into this process as a worker would."""
    # As in a worker; it counts only when it is set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    import torch

    from hostler.engine.factory import build_engine
    from hostler.models.loader import load_model
    from hostler.models.prepare import prepare

    settings, registry = read_configuration(registry_path(), {"insecure_no_auth": True})
    torch.set_num_threads(arguments.threads or settings.total_threads)
    is_folder = Path(arguments.model).is_dir()
    spec = _spec_of_folder(arguments.model, settings) if is_folder else registry.resolve(arguments.model)
    spec = msgspec.structs.replace(spec, torch_dtype=arguments.dtype or spec.torch_dtype)
    local = prepare(
        spec,
        cache_dir=str(settings.cache_dir) if settings.cache_dir else None,
        hostler_cache_dir=str(settings.hostler_cache_dir),
        hf_token=None,
        on_progress=lambda _: None,
    )
    loaded = load_model(spec, local, lambda _: None)
    params = SamplingParams(temperature=arguments.temperature, top_p=arguments.top_p, top_k=arguments.top_k, seed=0)
    return Bench(build_engine(loaded, spec), loaded.model.get_input_embeddings().num_embeddings, params)


def _spec_of_folder(folder: str, settings: Settings) -> ModelSpec:
    entry = ModelEntry(
        name=Path(folder).name,
        type=ModelType.TEXT,
        size="",
        description="",
        max_length=1 << 20,
        source=SourceEntry(folder=Path(folder).absolute()),
    )
    return entry.spec("bench", settings, Path.cwd())


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """What `load` reads."""
    parser.add_argument("model", help="id in the registry, or a folder as save_pretrained writes it")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy (default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--top-k", type=int, default=0, help="0: off (default: %(default)s)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="(default: the registry's)")
    parser.add_argument("--threads", type=int, help="(default: the server's, one for each core)")


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 16, 32], help="at once (default: 1 4 16 32)")
    parser.add_argument("--prompt-tokens", type=int, default=110, help="(default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=64, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write every figure to")
    arguments = parser.parse_args()

    bench = load(arguments)
    rows = [bench.figures(number, arguments.prompt_tokens, arguments.max_tokens) for number in arguments.sequences]
    write("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|\n")
    for row in rows:
        write("| " + " | ".join(f"{value:.1f}" for value in row.values()) + " |\n")
    if arguments.json:
        asked = {name: value for name, value in vars(arguments).items() if name not in ("json", "model")}
        facts = msgspec.to_builtins(bench.facts)
        content = {"environment": environment(), "model": facts, "arguments": asked, "results": rows}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
