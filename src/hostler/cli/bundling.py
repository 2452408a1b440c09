"""`hostler pull --to`: models that were pulled and their registry in one folder, for machines without a network."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from hostler.catalogue import read_catalogue
from hostler.cli.consoles import is_live
from hostler.cli.pull_report import new_bars, size
from hostler.config import Settings, registry_path
from hostler.errors import ModelLoadError
from hostler.models.bundle import REGISTRY_NAME, Bundle, OnBytes
from hostler.models.bundled_entry import bundled_entry, origin_of
from hostler.models.config_code import repositories_of_code
from hostler.models.converted import converted_folder
from hostler.models.hub import HubAccess
from hostler.models.preflight import examine
from hostler.models.repository_files import WeightsFormat, choose_supporting_files, choose_weights
from hostler.models.source import LocalModel, find_local
from hostler.registry import FolderSource, ModelSpec


def put_into(folder: Path, names: Sequence[str], config: Path | None, console: Console | None) -> None:
    """Copy models that were pulled into a bundle, and tell it on the console; `None`: in silence.

    Raises:
        ConfigError: the registry file cannot be used, or the folder is somebody else's.
        ModelNotFoundError: the registry has no such model.
        ModelLoadError: a model is not here after all, or no server would load it.
        ServiceError: the folder cannot be written, or there is no room.
    """
    settings, registry = read_catalogue(registry_path(config), {"insecure_no_auth": True})
    specs = {spec.id: spec for spec in map(registry.resolve, names)}.values()
    hub = HubAccess(cache_dir=settings.cache_dir)
    folders = [(spec, _pulled(spec, settings, hub)) for spec in specs]
    for spec, local in folders:
        _refuse_what_would_not_load(spec, local.folder, hub)
    with Bundle.opened(folder) as bundle:
        for spec, local in folders:
            line = _add(bundle, spec, local, console)
            if console is not None:
                console.print(line, soft_wrap=True)
    if console is not None:
        console.print(f"serve it with: hostler serve --config {folder / REGISTRY_NAME}", soft_wrap=True)


def _pulled(spec: ModelSpec, settings: Settings, hub: HubAccess) -> LocalModel:
    """The model as safetensors on this machine."""
    local = find_local(spec, hub)
    if local is None:
        raise ModelLoadError(f"{spec.id} is not complete on this machine any more; pull again")
    if local.weights_format is WeightsFormat.SAFETENSORS:
        return local
    folder = converted_folder(local, settings.hostler_cache_dir / "converted", name=spec.name)
    return LocalModel(folder, WeightsFormat.SAFETENSORS, revision=local.revision)


def _refuse_what_would_not_load(spec: ModelSpec, folder: Path, hub: HubAccess) -> None:
    found = examine(replace(spec, source=FolderSource(path=str(folder))), hub)
    if found.problems:
        raise ModelLoadError(f"{spec.id} would not be loaded from there. {' '.join(found.problems)}")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if spec.trust_remote_code and (elsewhere := repositories_of_code(config)):
        raise ModelLoadError(
            f"{spec.id} would not be loaded from there: its Python lies in {', '.join(elsewhere)}; name a repository"
            " that has both, or make a folder of the two"
        )


def _add(bundle: Bundle, spec: ModelSpec, local: LocalModel, console: Console | None) -> str:
    """Says what was done."""
    names = [path.relative_to(local.folder).as_posix() for path in local.folder.rglob("*") if path.is_file()]
    weights = choose_weights(names)
    assert weights is not None, "what was pulled has weights"
    chosen = [*choose_supporting_files(names, with_code=spec.trust_remote_code), *weights.names]
    with _copying(spec.id, console) as on_bytes:
        was_added = bundle.add(
            spec.id,
            bundled_entry(spec),
            {name: local.folder / name for name in chosen},
            origin=origin_of(spec, local),
            commit=local.revision,
            on_bytes=on_bytes,
        )
    total_bytes = sum((local.folder / name).stat().st_size for name in chosen)
    state = "is in the folder" if was_added else "was in the folder already"
    return f"{spec.id} {state}: {len(chosen)} files, {size(total_bytes)}"


@contextmanager
def _copying(model_id: str, console: Console | None) -> Iterator[OnBytes]:
    """A bar, where the console is a terminal that can move its cursor."""
    if console is None or not is_live(console):
        yield lambda _done_bytes, _total_bytes: None
        return
    with new_bars(console) as bars:
        bar = bars.add_task(f"{model_id}: comparing", total=None)

        def show(done_bytes: int, total_bytes: int) -> None:
            bars.update(bar, description=f"{model_id}: copying", completed=done_bytes, total=total_bytes)

        yield show
