"""Fetching a model ahead of its first use."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from hostler.config import registry_path
from hostler.lifecycle.ports import Launcher
from hostler.logs import configure_logging
from hostler.registry import ModelSpec, read_configuration
from hostler.types import LoadProgress, ModelFacts
from hostler.worker.launcher import ForkserverLauncher


def pull_model(model: str, config: Path | None) -> None:
    """Load a model once, in a worker like the server's, and say how it went.

    Raises:
        ConfigError: the registry file cannot be used.
        ModelNotFoundError: it has no such model.
        ServiceError: the engine is not installed, or the load failed.
        RequestError: the model cannot be had, such as a gated one without a token.
    """
    # Nothing listens here, so an address without a key is no danger.
    settings, registry = read_configuration(registry_path(config), {"insecure_no_auth": True})
    spec = registry.resolve(model)
    configure_logging("WARNING")
    with _shown_progress(spec.id) as on_progress:
        facts = asyncio.run(load_once(spec, ForkserverLauncher(settings), on_progress))
    sys.stdout.write(
        f"{spec.id} is ready: {facts.architecture}, {facts.num_parameters / 1e6:.0f}M parameters,"
        f" {facts.memory_bytes / 1e6:.0f} MB in {facts.dtype}\n"
    )


async def load_once(spec: ModelSpec, launcher: Launcher, on_progress: Callable[[LoadProgress], None]) -> ModelFacts:
    """Have a worker fetch, convert and load the model; it has ended when this returns or raises."""
    await launcher.start()
    try:
        worker = await launcher.launch(spec)
        try:
            return await worker.load(on_progress)
        finally:
            await worker.stop()
    finally:
        await launcher.close()


@contextlib.contextmanager
def _shown_progress(model_id: str) -> Iterator[Callable[[LoadProgress], None]]:
    """A bar on a terminal, else a line for each stage."""
    if not sys.stdout.isatty():
        yield _line_per_stage(model_id)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as bars:
        bar = bars.add_task(f"{model_id}: starting", total=None)

        def show(progress: LoadProgress) -> None:
            bars.update(
                bar,
                description=f"{model_id}: {progress.stage}",
                completed=progress.done_bytes,
                total=progress.total_bytes or None,
            )

        yield show


def _line_per_stage(model_id: str) -> Callable[[LoadProgress], None]:
    shown: set[str] = set()

    def show(progress: LoadProgress) -> None:
        if progress.stage not in shown:
            shown.add(progress.stage)
            sys.stdout.write(f"{model_id}: {progress.stage}\n")
            sys.stdout.flush()

    return show
