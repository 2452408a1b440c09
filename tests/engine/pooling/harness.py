"""An engine that reads whole texts, without process, socket or thread."""

from pathlib import Path
from typing import Any

import torch

from hostler.engine.pooling.factory import PoolingEngine, build_pooling_engine
from hostler.errors import HostlerError
from hostler.models.loader import load_model
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from hostler.types import ModelType, PoolingInput, PoolingOutput, PoolingParams, PoolingTask, TextPrompt
from tests.models.specs import spec_of

torch.set_num_threads(1)

EMBED = PoolingParams(task=PoolingTask.EMBED, param="input")
SCORE = PoolingParams(task=PoolingTask.SCORE, param="documents")
CLASSIFY = PoolingParams(task=PoolingTask.CLASSIFY, param="input")

TEXTS = [
    "The grey mare",
    "Every morning the hostler opens the door and fills the water trough.",
    "a",
    "seven horses in a stable at the edge of the village",
    "Größe",
]


def engine_of(folder: Path, model_type: ModelType = ModelType.EMBEDDING, **changes: Any) -> PoolingEngine:
    """Of a folder, as a worker makes it; `changes` to its spec."""
    spec = spec_of("owner/tiny", **({"type": model_type, "max_length": 512} | changes))
    loaded = load_model(spec, LocalModel(folder, WeightsFormat.SAFETENSORS), lambda _: None)
    return build_pooling_engine(loaded, spec)


def pool(engine: PoolingEngine, inputs: list[PoolingInput], params: PoolingParams = EMBED) -> torch.Tensor:
    """The values, `[num_inputs, num_values]`."""
    output = pool_many(engine, [inputs], params)[0]
    return torch.frombuffer(bytearray(output.values), dtype=torch.float32).view(len(inputs), -1)


def pool_many(engine: PoolingEngine, requests: list[list[PoolingInput]], params: PoolingParams) -> list[PoolingOutput]:
    """Of requests that are there at the same time."""
    outputs: dict[int, PoolingOutput] = {}
    failures: dict[int, HostlerError] = {}
    for request_id, inputs in enumerate(requests):
        preparation = engine.inputs.begin(request_id, inputs, params)
        while not preparation.advance():
            pass
        engine.core.add_request(preparation.request)
    while engine.core.has_unfinished_requests():
        step = engine.core.step()
        outputs |= step.outputs
        failures |= step.failures
    for failure in failures.values():
        raise failure
    return [outputs[request_id] for request_id in range(len(requests))]


def prompts(texts: list[str]) -> list[PoolingInput]:
    return [TextPrompt(text=text) for text in texts]
