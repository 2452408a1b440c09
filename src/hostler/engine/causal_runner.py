"""Runs decoder-only models: a path computes the logits, the sampler chooses the tokens."""

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from hostler.engine.beam_models import CausalBeams
from hostler.engine.beam_runner import BeamRunner, without_searches
from hostler.engine.capabilities import capabilities_of
from hostler.engine.causal_path import CausalPath
from hostler.engine.generation_rules import GenerationRules
from hostler.engine.generic_path import GenericPath
from hostler.engine.request import Request
from hostler.engine.runner import Outcome
from hostler.engine.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput


class CausalRunner:
    """Implements `ModelRunner` over a transformers causal model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        rules = GenerationRules(model.generation_config, model.device)
        capabilities = capabilities_of(model)
        self._sampler = Sampler(model.device, rules)
        self._path: CausalPath = GenericPath(model, capabilities)
        self._beams = BeamRunner(CausalBeams(model, capabilities), rules)

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, Outcome]:
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
