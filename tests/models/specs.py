"""Registry entries for tests."""

from typing import Any

import msgspec

from hostler.registry import HubSource, ModelSpec, Source
from hostler.types import ModelType


def spec_of(source: Source | str, **changes: Any) -> ModelSpec:
    """An entry with that source (a hub id stands for itself), on the CPU in float32 unless told otherwise."""
    name = source if isinstance(source, str) else "owner/tiny"
    spec = ModelSpec(
        id="tiny",
        name=name,
        type=ModelType.TEXT,
        size="tiny",
        description="A small model for tests",
        max_length=100,
        suggested_temperature=0.7,
        gated=False,
        source=HubSource(repo_id=source) if isinstance(source, str) else source,
        device="cpu",
        torch_dtype="float32",
        trust_remote_code=False,
        allow_pickle=True,
        use_fast_tokenizer=True,
        default_max_length=100,
        max_num_seqs=4,
        max_queued_requests=100,
        max_num_batched_tokens=64,
        reuse_prefixes=True,
    )
    return msgspec.structs.replace(spec, **changes)
