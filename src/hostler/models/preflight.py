"""What can be known of a registered model before it is downloaded: whose it is, what is in it, what may go wrong."""

import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from huggingface_hub.errors import GatedRepoError
from msgspec.structs import replace

from hostler.errors import HostlerError
from hostler.models.config_code import has_own_code, keys_of_kernels, needs_own_code
from hostler.models.hub import HubAccess, find_cached_snapshot
from hostler.models.hub_errors import translate
from hostler.models.hub_headers import HubListing, list_commit, read_beginning
from hostler.models.json_files import parse_json, read_json
from hostler.models.repository_files import choose_supporting_files, choose_weights
from hostler.models.source import find_local, hub_source
from hostler.registry import FolderSource, HubSource, ModelSpec, PackageSource
from hostler.struct import Struct

TIMEOUT_S = 10.0
"""For all that is asked of the hub for one model."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_CONFIG_BYTES = 2**20
_FORMATS = {".safetensors": "safetensors", ".gguf": "gguf", ".bin": "pickle", ".pt": "pickle", ".pth": "pickle"}
_DAMAGED_CONFIG = "Its config.json is missing or damaged; name another revision, or correct it."
_NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|rng_state.*)\.(bin|pt|pth)")


class Preflight(Struct, frozen=True, kw_only=True):
    """What was found. `None`: not known."""

    model_id: str
    name: str
    origin: str
    """`hub`, `folder` or `package`."""
    is_here: bool = False
    """Whether it is complete on this machine, so that nothing would be downloaded."""
    revision: str | None = None
    """As the registry has it."""
    commit: str | None = None
    is_pinned: bool | None = None
    """Whether the revision is a commit; `None` where there is no revision to pin."""
    is_gated: bool | None = None
    has_access: bool | None = None
    """Whether its files can be read, with the token where there is one."""
    formats: tuple[str, ...] = ()
    """Of all weights in it."""
    loaded_format: str | None = None
    """Of those that would be loaded."""
    needs_own_code: bool | None = None
    """Whether it has to run Python that comes with it. `None` also where it has some and transformers is not installed
    here, which may have the same."""
    kernel_keys: tuple[str, ...] = ()
    """Keys of `config.json` that name code elsewhere."""
    licence: str | None = None
    download_bytes: int | None = None
    problems: tuple[str, ...] = ()
    """Why it would not be loaded, or should not be. Each is a sentence with its remedy."""
    warnings: tuple[str, ...] = ()


def examine(spec: ModelSpec, hub: HubAccess) -> Preflight:
    """Look at a model's files, here or at the hub; of those only the small ones are read. Blocks; never raises."""
    try:
        if isinstance(spec.source, FolderSource | PackageSource) and (local := find_local(spec, hub)) is not None:
            origin = "folder" if isinstance(spec.source, FolderSource) else "package"
            return _of_folder(spec, local.folder, local.gguf_file, origin)
    except HostlerError as exc:
        return Preflight(model_id=spec.id, name=spec.name, origin="folder", problems=(_sentence(exc.message),))
    source = hub_source(spec.source)
    try:
        return _at_hub(spec, source, hub)
    except Exception as exc:  # huggingface_hub's, httpx2's and the system's errors have no common base
        error = translate(exc, source, has_token=hub.token is not None)
        snapshot = find_cached_snapshot(source, hub, with_code=spec.trust_remote_code)
        if snapshot is not None:
            return _of_folder(spec, snapshot.folder, source.file, "hub", commit=snapshot.commit, source=source)
        is_gated = True if any(isinstance(error, GatedRepoError) for error in (exc, exc.__cause__)) else None
        return Preflight(
            model_id=spec.id,
            name=spec.name,
            origin="hub",
            revision=source.revision,
            is_pinned=_is_commit(source.revision),
            is_gated=is_gated,
            has_access=False if is_gated else None,
            problems=(_sentence(error.message),),
        )


def _at_hub(spec: ModelSpec, source: HubSource, hub: HubAccess) -> Preflight:
    deadline = time.monotonic() + TIMEOUT_S
    listing = list_commit(source, hub, deadline=deadline)
    names = list(listing.sizes)
    wanted = _wanted(spec, source, names)
    problems: list[str] = []
    config: dict[str, Any] | None = None
    try:
        config = _read_config(listing, source, hub, deadline)
        has_access = True
    except GatedRepoError as exc:
        has_access = False
        problems.append(_sentence(translate(exc, source, has_token=hub.token is not None).message))
    except ValueError:
        has_access = True
        problems.append(_DAMAGED_CONFIG)
    is_here = find_cached_snapshot(source, hub, with_code=spec.trust_remote_code) is not None
    return _judged(
        spec,
        names,
        config,
        problems,
        Preflight(
            model_id=spec.id,
            name=spec.name,
            origin="hub",
            is_here=is_here,
            revision=source.revision,
            commit=listing.commit,
            is_pinned=_is_commit(source.revision),
            is_gated=listing.is_gated,
            has_access=has_access,
            licence=listing.licence,
            download_bytes=0 if is_here else sum(listing.sizes.get(name, 0) for name in wanted),
        ),
        source.file,
    )


def _of_folder(
    spec: ModelSpec,
    folder: Path,
    file: str | None,
    origin: str,
    *,
    commit: str | None = None,
    source: HubSource | None = None,
) -> Preflight:
    names = [file] if file is not None else [path.name for path in folder.iterdir() if path.is_file()]
    config, problems = (None, []) if file is not None else _config_of(folder)
    found = Preflight(
        model_id=spec.id,
        name=spec.name,
        origin=origin,
        is_here=True,
        revision=source.revision if source is not None else None,
        commit=commit,
        is_pinned=_is_commit(source.revision) if source is not None else None,
        has_access=True,
        download_bytes=0,
    )
    return _judged(spec, names, config, problems, found, file)


def _judged(
    spec: ModelSpec,
    names: Collection[str],
    config: dict[str, Any] | None,
    problems: list[str],
    found: Preflight,
    file: str | None,
) -> Preflight:
    """What its files say, added to what is known, with the verdict."""
    weights = choose_weights(names)
    loaded_format = "gguf" if file is not None else weights.format.value if weights is not None else None
    own_code = needs_own_code(config) if config is not None else None
    kernel_keys = keys_of_kernels(config) if config is not None else ()
    warnings = []
    if file is not None and file not in names:
        problems.append(f"It has no file {file!r}; correct 'source'.")
    elif loaded_format is None:
        problems.append("It has neither safetensors nor pytorch_model.bin; name a 'file' that ends in .gguf, if any.")
    if loaded_format == "pickle":
        if spec.allow_pickle:
            warnings.append("Its weights are pickled; prefer a revision with safetensors, or a converted copy.")
        else:
            problems.append("Its weights are pickled, which allow_pickle: false forbids; name another revision.")
    if config is not None and has_own_code(config) and not spec.trust_remote_code:
        if own_code:
            problems.append(
                "It runs only with Python of its own (auto_map); read that, and if you trust it, set"
                " trust_remote_code: true for this model and pin its revision."
            )
        elif own_code is None:
            warnings.append("It brings Python of its own (auto_map), without which it may be refused.")
        else:
            warnings.append("It brings Python of its own (auto_map), which is not run: transformers has its class.")
    if config is not None and has_own_code(config) and spec.trust_remote_code:
        warnings.append("It brings Python of its own and trust_remote_code runs it; read it, and pin its revision.")
    if kernel_keys:
        problems.append(f"Its config.json names code elsewhere ({', '.join(kernel_keys)}); do not load it.")
    if found.is_pinned is False:
        warnings.append(f"Its revision may change; pin it with 'revision: {found.commit or 'a commit'}'.")
    return replace(
        found,
        formats=_formats_of(names),
        loaded_format=loaded_format,
        needs_own_code=own_code,
        kernel_keys=kernel_keys,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def _read_config(listing: HubListing, source: HubSource, hub: HubAccess, deadline: float) -> dict[str, Any] | None:
    """`None`: it has none.

    Raises:
        ValueError: it is no JSON object.
        Exception: as `read_beginning`.
    """
    name = source.file or "config.json"
    if name not in listing.sizes:
        return None
    if source.file is not None:
        read_beginning(listing, hub, name, 4, deadline=deadline)  # to see whether that is allowed
        return None
    return parse_json(read_beginning(listing, hub, name, _MAX_CONFIG_BYTES, deadline=deadline))


def _config_of(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """With what is wrong with it."""
    try:
        return read_json(folder / "config.json"), []
    except (OSError, ValueError):
        return None, [_DAMAGED_CONFIG]


def _wanted(spec: ModelSpec, source: HubSource, names: Collection[str]) -> Collection[str]:
    """The files that a download would fetch."""
    if source.file is not None:
        return (source.file,)
    weights = choose_weights(names)
    return (
        *choose_supporting_files(names, with_code=spec.trust_remote_code),
        *(weights.names if weights is not None else ()),
    )


def _formats_of(names: Collection[str]) -> tuple[str, ...]:
    kinds = {_FORMATS.get(Path(name).suffix) for name in names if not _NO_WEIGHTS.fullmatch(Path(name).name)}
    return tuple(sorted(kind for kind in kinds if kind is not None))


def _is_commit(revision: str | None) -> bool:
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def _sentence(message: str) -> str:
    return f"{message}."
