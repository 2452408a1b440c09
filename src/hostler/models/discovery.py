"""Finds models that write or read texts in the hub's cache and in folders. Their files are looked at, never loaded."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from hostler.errors import HostlerError
from hostler.models.generative import FALLBACK_MAX_LENGTH, context_length, generates_text
from hostler.models.gguf_header import read_gguf_header
from hostler.models.hub import HubAccess, find_cached_snapshot
from hostler.models.json_files import read_json
from hostler.models.pooling_type import pooling_type_of
from hostler.models.repository_files import TOKENIZER_FILES, WeightsFormat, choose_weights, missing_shards
from hostler.registry import FolderSource, HubSource, is_hub_name
from hostler.types import ModelType

logger = logging.getLogger(__name__)

_NUM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_NOT_WRITING = ("bert", "clip", "whisper", "t5encoder")
"""Parts of the names that GGUF files give to architectures of encoders."""


@dataclass(frozen=True)
class FoundModel:
    """A complete model on this machine."""

    name: str
    """Of the repository, the folder or the file."""
    source: HubSource | FolderSource
    place: str
    """Where it was found, for people."""
    size: str
    """Its parameters, such as `135M`, or its bytes where these cannot be told."""
    max_length: int
    """Tokens."""
    type: ModelType
    is_pickled: bool


def find_in_cache(hub: HubAccess) -> list[FoundModel]:
    """In the hub's cache, by name: what can be loaded without a word over the network."""
    cache = hub.cache_dir or Path(constants.HF_HUB_CACHE)
    repositories = [folder for folder in cache.glob("models--*") if is_hub_name(_repo_id(folder))]
    files = [file for folder in repositories if (snapshot := _snapshot(folder)) for file in snapshot.glob("*.gguf")]
    return [
        *_look_at(repositories, lambda folder: _in_repository(folder, hub)),
        *_look_at(files, _in_cached_file),
    ]


def find_in_folder(place: Path) -> list[FoundModel]:
    """A model that `place` holds, those that its folders hold, and the GGUF files in all of these, by name."""
    folders = [place, *sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))]
    files = [path for folder in folders for path in folder.glob("*.gguf")]
    return [
        *_look_at(folders, lambda folder: _in_folder(folder, place)),
        *_look_at(
            files,
            lambda file: _in_file(file, file.stem, FolderSource(path=str(file.parent), file=file.name), str(place)),
        ),
    ]


def has_chat_template(folder: Path) -> bool:
    """Whether a model's folder says how a conversation is written."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path).get("chat_template"))


def model_type_of(folder: Path, file_names: Collection[str]) -> ModelType | None:
    """What a model could be offered for; `None`: it does something else. Of its files, the small ones are in `folder`.

    Raises:
        OSError, ValueError: its `config.json` cannot be read.
    """
    config = read_json(folder / "config.json")
    if generates_text(config, file_names):
        return ModelType.CONVERSATIONAL if has_chat_template(folder) else ModelType.TEXT
    return pooling_type_of(config, file_names)


def _look_at(paths: Iterable[Path], look: Callable[[Path], FoundModel | None]) -> list[FoundModel]:
    """One that is damaged must not hide the others."""
    found = []
    for path in sorted(paths):
        try:
            model = look(path)
        except (OSError, ValueError, HostlerError) as exc:
            logger.warning("not_discovered name=%s error=%s", path.name, type(exc).__name__)
            continue
        if model is not None:
            found.append(model)
    return found


def _repo_id(repository: Path) -> str:
    return repository.name.removeprefix("models--").replace("--", "/")


def _snapshot(repository: Path) -> Path | None:
    """The commit of a cached repository that is looked at: its main branch, where that is here."""
    main = repository / "refs" / "main"
    if main.is_file():
        return repository / "snapshots" / main.read_text(encoding="utf-8").strip()
    # Somebody asked for another branch or commit; the newest is the best guess of what they want.
    return max((repository / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime, default=None)


def _hub_source(repository: Path, snapshot: Path, file: str | None = None) -> HubSource:
    has_main = (repository / "refs" / "main").is_file()
    return HubSource(repo_id=_repo_id(repository), revision=None if has_main else snapshot.name, file=file)


def _in_repository(repository: Path, hub: HubAccess) -> FoundModel | None:
    folder = _snapshot(repository)
    # Most of a cache may be other things than models that write, and this tells them apart soonest.
    if folder is None or not (folder / "config.json").is_file() or _type_of(folder) is None:
        return None
    source = _hub_source(repository, folder)
    snapshot = find_cached_snapshot(source, hub, with_code=False)
    return None if snapshot is None else _describe(snapshot.folder, source.repo_id, source, "the hub's cache")


def _in_cached_file(path: Path) -> FoundModel | None:
    """A GGUF file of a repository; where it is the only one, it is called as the repository is."""
    repository = path.parents[2]
    is_only = len(list(path.parent.glob("*.gguf"))) == 1
    source = _hub_source(repository, path.parent, path.name)
    return _in_file(path, source.repo_id if is_only else path.stem, source, "the hub's cache")


def _in_folder(folder: Path, place: Path) -> FoundModel | None:
    if not (folder / "config.json").is_file() or _type_of(folder) is None:
        return None
    names = {path.name for path in folder.iterdir()}
    weights = choose_weights(names)
    if weights is None or missing_shards(folder, weights, names) or TOKENIZER_FILES.isdisjoint(names):
        return None
    return _describe(folder, folder.name, FolderSource(path=str(folder)), str(place))


def _type_of(folder: Path) -> ModelType | None:
    return model_type_of(folder, {path.name for path in folder.iterdir()})


def _describe(folder: Path, name: str, source: HubSource | FolderSource, place: str) -> FoundModel | None:
    config = read_json(folder / "config.json")
    weights = choose_weights({path.name for path in folder.iterdir()})
    model_type = _type_of(folder)
    if weights is None or model_type is None:
        return None
    num_bytes = sum((folder / file).stat().st_size for file in weights.names)
    bytes_each = _NUM_BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "float32"))
    is_quantised = config.get("quantization_config") is not None
    return FoundModel(
        name=name,
        source=source,
        place=place,
        size=f"{num_bytes / 2**30:.1f}GiB" if bytes_each is None or is_quantised else _short(num_bytes // bytes_each),
        max_length=context_length(config),
        type=model_type,
        is_pickled=weights.format is WeightsFormat.PICKLE,
    )


def _in_file(path: Path, name: str, source: HubSource | FolderSource, place: str) -> FoundModel | None:
    header = read_gguf_header(path)
    architecture = str(header.metadata.get("general.architecture", ""))
    if not architecture or any(part in architecture for part in _NOT_WRITING):
        return None
    max_length = header.metadata.get(f"{architecture}.context_length")
    return FoundModel(
        name=name,
        source=source,
        place=place,
        size=_short(header.num_weights),
        max_length=max_length if type(max_length) is int and max_length > 0 else FALLBACK_MAX_LENGTH,
        type=ModelType.CONVERSATIONAL if "tokenizer.chat_template" in header.metadata else ModelType.TEXT,
        is_pickled=False,
    )


def _short(number: int) -> str:
    """`134515008` → `135M`."""
    for unit, sign in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            return f"{number / unit:.3g}{sign}"
    return str(number)
