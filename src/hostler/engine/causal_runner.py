"""Runs decoder-only models: a path computes the logits, the sampler chooses the tokens."""

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from hostler.engine.capabilities import capabilities_of
from hostler.engine.causal_path import CausalPath
from hostler.engine.generation_rules import GenerationRules
from hostler.engine.generic_path import GenericPath
from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure
from hostler.engine.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput


class CausalRunner:
    """Implements `ModelRunner` over a transformers causal model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._sampler = Sampler(model.device, GenerationRules(model.generation_config, model.device))
        self._path: CausalPath = GenericPath(model, capabilities_of(model))

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, int | NumericalFailure]:
        self._path.drop(output.preempted)
        sampled: dict[Request, int | NumericalFailure] = {}
        for requests, logits in self._path.compute(output):
            sampled |= self._sampler.sample(logits, requests)
        # In the order of the schedule, not in that of the passes.
        return {request: sampled[request] for request in output.num_scheduled_tokens if request in sampled}

    @torch.inference_mode()
    def free(self, requests: Iterable[Request]) -> None:
        gone = list(requests)
        self._path.drop(gone)
        for request in gone:
            self._sampler.free(request)
