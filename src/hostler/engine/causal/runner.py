"""Runs decoder-only models: a path computes the logits, the sampler chooses the tokens."""

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from hostler.engine.beams.models import CausalBeams
from hostler.engine.beams.runner import BeamRunner, without_searches
from hostler.engine.causal.architectures import capabilities_of
from hostler.engine.causal.capabilities import Batching
from hostler.engine.causal.flat_path import FlatPath
from hostler.engine.causal.generic_path import GenericPath
from hostler.engine.causal.path import CausalPath, States
from hostler.engine.prefix_cache import Prefix
from hostler.engine.request import Request
from hostler.engine.runner import Outcome
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.engine.sampling.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput


class CausalRunner:
    """Implements `ModelRunner` and `PrefixKeeper` over a transformers causal model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        rules = GenerationRules(model.generation_config, model.device)
        capabilities = capabilities_of(model)
        self._sampler = Sampler(model.device, rules)
        is_flat = capabilities.batching is Batching.FLAT
        self._path: CausalPath = FlatPath(model) if is_flat else GenericPath(model, capabilities)
        self._beams = BeamRunner(CausalBeams(model, capabilities), rules)
        self._kept: dict[Request, States] = {}
        self.can_reuse_prefixes = capabilities.batching is not Batching.ALONE and capabilities.computes_chunks
        """Whether the state of a sequence is keys and values of its tokens, which another can begin with."""

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, Outcome]:
        try:
            for request, prefix in output.reused.items():
                self._path.adopt(request, self._states(prefix))
        finally:
            self.drop(output.dropped)
            self._path.drop(output.preempted)
        sampled = self._beams.execute(output)
        for requests, logits in self._path.compute(without_searches(output)):
            sampled |= self._sampler.sample(logits, requests)
        # In the order of the schedule, not in that of the passes.
        return {request: sampled[request] for request in output.num_scheduled_tokens if request in sampled}

    @torch.inference_mode()
    def free(self, requests: Iterable[Request]) -> None:
        gone = list(requests)
        self._path.drop(gone)
        self._beams.free(gone)
        for request in gone:
            self._sampler.free(request)

    @torch.inference_mode()
    def keep(self, request: Request, num_tokens: int) -> None:
        self._kept[request] = self._path.states(request, num_tokens)

    def drop(self, kept: Iterable[Request]) -> None:
        for request in kept:
            self._kept.pop(request, None)

    def _states(self, prefix: Prefix) -> States:
        if prefix.source not in self._kept:
            return self._path.states(prefix.source, prefix.num_tokens)
        return [
            (keys[:, :, : prefix.num_tokens], values[:, :, : prefix.num_tokens])
            for keys, values in self._kept[prefix.source]
        ]
