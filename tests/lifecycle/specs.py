"""Registered models for tests of the lifecycle."""

from hostler.registry import HubSource, ModelSpec, Registry
from hostler.types import ModelType


def make_spec(model_id: str, description: str = "a model") -> ModelSpec:
    return ModelSpec(
        id=model_id,
        name=f"org/{model_id}",
        type=ModelType.TEXT,
        size="1M",
        description=description,
        max_length=1024,
        suggested_temperature=0.7,
        gated=False,
        source=HubSource(repo_id=f"org/{model_id}"),
        device="cpu",
        torch_dtype="float32",
        trust_remote_code=False,
        allow_pickle=False,
        use_fast_tokenizer=True,
        default_max_length=100,
        max_num_seqs=4,
        max_queued_requests=100,
        max_num_batched_tokens=64,
        reuse_prefixes=True,
    )


def make_registry(*model_ids: str) -> Registry:
    return Registry({model_id: make_spec(model_id) for model_id in model_ids})
