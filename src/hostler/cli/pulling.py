"""`hostler pull`: models fetched, and converted where that is needed, ahead of their first use."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from hostler.catalogue import read_catalogue
from hostler.cli.pull_report import PullReport
from hostler.config import Settings, registry_path
from hostler.lifecycle.ports import Launcher
from hostler.logs import configure_logging
from hostler.models.converted import converted_folder
from hostler.models.hub import HubAccess
from hostler.models.hub_download import RemoteFile, RemoteModel, check_space, download, look_up
from hostler.models.hub_errors import gated
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel, fetch, find_local, hub_source
from hostler.registry import ModelSpec
from hostler.types import LoadProgress, ModelFacts
from hostler.worker.launcher import ForkserverLauncher

_FILES_AT_ONCE = 4
"""Enough to fill a line whose server gives each connection a part of it."""


@dataclass(frozen=True)
class Pulled:
    """What became of one model."""

    model_id: str
    name: str
    format: str
    """Of its weights as they were fetched."""
    commit: str | None
    """`None`: it is from no repository."""
    downloaded_bytes: int
    """0 where all of it was here."""
    folder: str
    """Where its files are; the converted ones, where it was converted."""


class _StoppedError(Exception):
    """Nobody waits for this file any more."""


def pull_models(names: Sequence[str], config: Path | None, report: PullReport) -> list[Pulled]:
    """Fetch models of the registry; several at once.

    Raises:
        ConfigError: the registry file cannot be used.
        ModelNotFoundError: it has no such model.
        HostlerError: what `bring_here` raises.
    """
    settings, specs, hub = chosen_models(names, config)
    return bring_here(specs, settings, hub, report)


def chosen_models(names: Sequence[str], config: Path | None) -> tuple[Settings, list[ModelSpec], HubAccess]:
    """Each model once, with what is needed to fetch it. Raises as `pull_models` does."""
    # Nothing listens here, so an address without a key is no danger.
    settings, registry = read_catalogue(registry_path(config), {"insecure_no_auth": True})
    specs = {spec.id: spec for spec in map(registry.resolve, names)}
    configure_logging("ERROR")
    token = settings.hf_token.get_secret_value() if settings.hf_token is not None else None
    return settings, list(specs.values()), HubAccess(cache_dir=settings.cache_dir, token=token)


def bring_here(specs: Sequence[ModelSpec], settings: Settings, hub: HubAccess, report: PullReport) -> list[Pulled]:
    """Have all of them on this machine as safetensors.

    Raises:
        ServiceError: the engine is not installed and something has to be converted, or that failed.
        GatedModelError, ModelLoadError: a model cannot be had; nothing was downloaded where that was plain before.
    """
    remotes = {spec.id: remote for spec in specs if (remote := _remote(spec, hub)) is not None}
    check_space(remotes.values(), hub)
    missing = {model_id: remote.num_bytes - remote.done_bytes for model_id, remote in remotes.items()}
    with report.downloading(remotes):
        _download_all(remotes, hub, report.on_bytes)
    return [_finish(spec, settings, hub, report, missing.get(spec.id, 0)) for spec in specs]


def _remote(spec: ModelSpec, hub: HubAccess) -> RemoteModel | None:
    """`None`: all of it is here."""
    if find_local(spec, hub) is not None:
        return None
    source = hub_source(spec.source)
    if spec.gated and hub.token is None:
        # The registry knows what the hub would answer, also where the hub cannot be reached.
        raise gated(source.repo_id, has_token=False)
    return look_up(source, hub, allow_pickle=spec.allow_pickle, with_code=spec.trust_remote_code)


def _download_all(
    remotes: dict[str, RemoteModel], hub: HubAccess, on_bytes: Callable[[str, RemoteFile, int], None]
) -> None:
    """Returns when all files are there. Left by an exception or Ctrl-C, it has no thread waited for: they end with the
    next piece of their file, or with the process."""
    files = [(model_id, file) for model_id, remote in remotes.items() for file in remote.files]
    waiting: SimpleQueue[tuple[str, RemoteFile]] = SimpleQueue()
    ended: SimpleQueue[Exception | None] = SimpleQueue()
    is_over = threading.Event()
    for pair in files:
        waiting.put(pair)

    def fetch_files() -> None:
        while not is_over.is_set():
            try:
                model_id, file = waiting.get_nowait()
            except Empty:
                return

            def note(done_bytes: int, model_id: str = model_id, file: RemoteFile = file) -> None:
                if is_over.is_set():
                    raise _StoppedError
                on_bytes(model_id, file, done_bytes)

            try:
                download(remotes[model_id], file, hub, note)
            except Exception as exc:
                ended.put(exc)
            else:
                ended.put(None)

    try:
        for _ in range(min(_FILES_AT_ONCE, len(files))):
            threading.Thread(target=fetch_files, daemon=True).start()
        for _ in files:
            if (error := ended.get()) is not None:
                raise error
    finally:
        is_over.set()


def _finish(spec: ModelSpec, settings: Settings, hub: HubAccess, report: PullReport, downloaded_bytes: int) -> Pulled:
    """Have huggingface_hub take up what is in its cache now, and convert what is no safetensors."""
    local = fetch(spec, hub, lambda _: None)
    folder = local.folder
    facts: ModelFacts | None = None
    if local.weights_format is not WeightsFormat.SAFETENSORS:
        folder = converted_folder(local, settings.hostler_cache_dir / "converted", name=spec.name)
        if not folder.is_dir():
            with report.converting(spec.id) as on_progress:
                facts = asyncio.run(load_once(spec, ForkserverLauncher(settings), on_progress))
    pulled = _pulled(spec, local, folder, downloaded_bytes)
    report.tell_end(spec.id, local, facts, downloaded_bytes)
    return pulled


def _pulled(spec: ModelSpec, local: LocalModel, folder: Path, downloaded_bytes: int) -> Pulled:
    return Pulled(
        model_id=spec.id,
        name=spec.name,
        format=local.weights_format.value,
        commit=local.revision,
        downloaded_bytes=downloaded_bytes,
        folder=str(folder),
    )


async def load_once(spec: ModelSpec, launcher: Launcher, on_progress: Callable[[LoadProgress], None]) -> ModelFacts:
    """Have a worker convert and load the model; it has ended when this returns or raises."""
    await launcher.start()
    try:
        worker = await launcher.launch(spec)
        try:
            return await worker.load(on_progress)
        finally:
            await worker.stop()
    finally:
        await launcher.close()
