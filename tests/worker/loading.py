"""How the tests of real workers load a folder."""

from pathlib import Path
from typing import Any

import msgspec

from hostler.registry import FolderSource, ModelSpec
from hostler.types import ModelType
from hostler.worker.client import WorkerClient
from hostler.worker.launcher import ForkserverLauncher


def spec_of(folder: Path, **changes: Any) -> ModelSpec:
    spec = ModelSpec(
        id=folder.name,
        name=f"tests/{folder.name}",
        type=ModelType.TEXT,
        size="tiny",
        description="",
        max_length=128,
        suggested_temperature=0.7,
        gated=False,
        source=FolderSource(path=str(folder)),
        device="cpu",
        torch_dtype="float32",
        trust_remote_code=False,
        allow_pickle=True,
        use_fast_tokenizer=True,
        default_max_length=100,
        max_num_seqs=8,
        max_queued_requests=100,
        max_num_batched_tokens=64,
        reuse_prefixes=True,
    )
    return msgspec.structs.replace(spec, **changes)


async def loaded(launcher: ForkserverLauncher, folder: Path, **changes: Any) -> WorkerClient:
    """A worker that is ready; `changes` to its spec."""
    worker = await launcher.launch(spec_of(folder, **changes))
    await worker.load(lambda _: None)
    return worker
