"""An engine over a tiny model, without process, socket or thread, and the reference it is held against."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from hostler.engine.beams.limits import BeamLimits
from hostler.engine.causal.runner import CausalRunner
from hostler.engine.core import EngineCore
from hostler.engine.kv_cache import KVCacheManager
from hostler.engine.runner import ModelRunner
from hostler.engine.scheduler import Scheduler
from hostler.engine.seq2seq.runner import Seq2SeqRunner
from hostler.engine.text.chat_template import render
from hostler.engine.text.input_processor import InputProcessor, ModelLimits
from hostler.engine.text.output_processor import OutputProcessor
from hostler.errors import HostlerError
from hostler.types import Admission, ChatFormat, FinishReason, Prompt, SamplingParams, TokenDelta, TokenLogprobs
from tests.tiny_models import MAX_POSITIONS

FEW = frozenset({"gpt2", "bloom", "llama", "gemma3", "mistral", "falcon", "mamba2", "jamba", "t5", "bart", "marian"})
"""Families that differ most in what the engine has to do: learned positions, ALiBi, rotary ones, windows and soft caps,
a window, one key for all heads, no cache of keys, and both; distances, positions and forced tokens of decoders."""


def few_at_once(families: Iterable[str]) -> list[Any]:
    """All families to parametrise over; all but a few of them are for `make test-long`."""
    return [family if family in FEW else pytest.param(family, marks=pytest.mark.long) for family in families]


class TinyModel:
    """A model folder, loaded as plain transformers does it."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        # Decoders split off from encoder–decoder models, such as XGLM, still have a decoder's start token.
        self.is_encoder_decoder = bool(AutoConfig.from_pretrained(folder).is_encoder_decoder)
        auto = AutoModelForSeq2SeqLM if self.is_encoder_decoder else AutoModelForCausalLM
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval()

    @cached_property
    def limits(self) -> ModelLimits:
        config = self.model.generation_config
        return ModelLimits(
            max_model_len=MAX_POSITIONS,
            is_encoder_decoder=self.is_encoder_decoder,
            decoder_start_token_id=config.decoder_start_token_id,
            eos_token_ids=frozenset([config.eos_token_id]),
            vocab_size=self.model.get_input_embeddings().num_embeddings,
            chat_format=ChatFormat.TEMPLATE if self.tokenizer.chat_template else ChatFormat.PLAIN,
            beams=BeamLimits.of(config, max_num_seqs=32, cache_tokens=1 << 20),
            is_end_forced=config.forced_eos_token_id is not None,
        )

    def runner(self) -> ModelRunner:
        return Seq2SeqRunner(self.model) if self.is_encoder_decoder else CausalRunner(self.model)

    def reference(self, token_ids: list[int], num_tokens: int, **options: Any) -> list[int]:
        """New tokens of plain `generate`, greedy unless told; end-of-sequence included where it came."""
        ids = torch.tensor([token_ids])
        output: list[int] = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=num_tokens,
            **{"do_sample": False, **options},
        )[0].tolist()
        return output[1:] if self.is_encoder_decoder else output[len(token_ids) :]


@dataclass
class Collected:
    """All that came back for one sequence."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    num_cached_tokens: int = field(default=0, compare=False)
    """What there is to reuse depends on the company; the answer does not."""
    finish_reason: FinishReason | None = None
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprobs] = field(default_factory=list)
    deltas: list[TokenDelta] = field(default_factory=list, compare=False)


class TinyEngine:
    """Requests in, collected sequences out, one step at a time."""

    def __init__(
        self,
        tiny: TinyModel,
        *,
        max_num_seqs: int = 32,
        max_num_batched_tokens: int = 512,
        cache_tokens: int = 1 << 20,
        runner: ModelRunner | None = None,
        reuses_prefixes: bool = True,
    ) -> None:
        """`reuses_prefixes`: where the runner can."""
        runner = runner or tiny.runner()
        can_reuse = reuses_prefixes and isinstance(runner, CausalRunner) and runner.can_reuse_prefixes
        keeper = runner if isinstance(runner, CausalRunner) and can_reuse else None
        self.inputs = InputProcessor(tiny.tokenizer, tiny.limits, render)
        self.scheduler = Scheduler(
            KVCacheManager(cache_tokens, reuses_prefixes=keeper is not None),
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
        )
        self.core = EngineCore(self.scheduler, runner, OutputProcessor(tiny.tokenizer), keeper)
        self.sequences: dict[tuple[int, int], Collected] = {}
        self.failures: dict[int, HostlerError] = {}

    def add(self, request_id: int, prompt: Prompt, params: SamplingParams, *, priority: int = 0) -> Admission:
        prepared = self.inputs.prepare(request_id, prompt, params, priority=priority)
        self.core.add_request(prepared.sequences)
        for index in range(params.n):
            self.sequences[request_id, index] = Collected()
        return prepared.admission

    def step(self) -> None:
        output = self.core.step()
        self.failures |= output.failures
        for request_id, delta in output.deltas:
            collected = self.sequences[request_id, delta.index]
            assert collected.finish_reason is None, "a delta after the last one"
            collected.deltas.append(delta)
            collected.text += delta.text
            collected.token_ids += delta.token_ids
            collected.num_cached_tokens += delta.num_cached_tokens
            collected.finish_reason = delta.finish_reason
            collected.logprobs += delta.logprobs
            collected.prompt_logprobs += delta.prompt_logprobs

    def run(self) -> None:
        """Step until nothing is left to do."""
        while self.core.has_unfinished_requests():
            self.step()

    def answer(self, prompt: Prompt, params: SamplingParams) -> Collected:
        """One request alone."""
        self.add(0, prompt, params)
        self.run()
        return self.sequences[0, 0]

    def tokens(self, request_ids: Iterable[int]) -> list[list[int]]:
        """New tokens of the first sequence of each request."""
        return [self.sequences[request_id, 0].token_ids for request_id in request_ids]
