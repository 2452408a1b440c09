"""The registry: which models there are, read from one YAML file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from hostler.config import Bytes, KeepAlive, Settings, TorchDtype, UserPath, in_force, load_settings
from hostler.errors import ConfigError, ModelNotFoundError
from hostler.struct import Struct
from hostler.suggestions import did_you_mean, nearest
from hostler.types import ModelType
from hostler.yaml_file import YamlFile, read_yaml

T = TypeVar("T")

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


_MAX_HUB_NAME_LENGTH = 96
"""The hub's own limit."""
_MAX_PROBLEMS = 10
"""Told of one file at once."""


class HubSource(Struct, frozen=True, tag="hub"):
    """A repository of the Hugging Face hub."""

    repo_id: str
    revision: str | None = None
    """Branch, tag or commit; `None`: the newest, or what is in the cache already."""
    file: str | None = None
    """One GGUF file of it; `None`: safetensors, else `.bin`."""


class FolderSource(Struct, frozen=True, tag="folder"):
    """A local folder as `save_pretrained` writes it, or one GGUF file in a folder."""

    path: str
    file: str | None = None


class PackageSource(Struct, frozen=True, tag="package"):
    """A GGUF file inside an installed Python package, which is located but never imported."""

    package: str
    """Import name."""
    file: str
    otherwise: HubSource
    """Where the same model is when the package is not installed."""


Source = HubSource | FolderSource | PackageSource


class ModelSpec(Struct, frozen=True):
    """One registered model, every default filled in: all that a worker needs to know to serve it."""

    id: str
    name: str
    """Its Hugging Face id, to which it answers as well."""
    type: ModelType
    size: str
    """Free text, such as `117M`."""
    description: str
    max_length: int
    """Tokens; the model's own limit applies where it is smaller."""
    suggested_temperature: float
    gated: bool
    source: Source
    device: str
    torch_dtype: str
    trust_remote_code: bool
    allow_pickle: bool
    use_fast_tokenizer: bool
    default_max_length: int
    max_num_seqs: int
    max_queued_requests: int
    max_num_batched_tokens: int
    reuse_prefixes: bool
    kv_cache_bytes: int | None = None
    """Memory for keys and values; `None`: by the rule of `hostler.models.footprint`."""
    pinned: bool = False
    """Once loaded, it leaves only by command."""
    keep_alive_s: float | None = None
    """Idle seconds before it leaves, infinity: for ever. `None`: as the settings have it."""


def _checked_hub_name(name: str) -> str:
    if not _HUB_NAME.fullmatch(name):
        raise ValueError("must be a name of the hub such as 'owner/name'; a folder of this machine is a source.folder")
    return name


def _checked_package(name: str) -> str:
    if not all(map(str.isidentifier, name.split("."))):
        raise ValueError("must be the name that a Python package is imported by")
    return name


HubName = Annotated[
    str, AfterValidator(_checked_hub_name), Field(json_schema_extra={"pattern": f"^{_HUB_NAME.pattern}$"})
]


class SourceEntry(BaseModel):
    """`source:` of a model: exactly one of `hub`, `folder` and `package`."""

    model_config = ConfigDict(extra="forbid")

    hub: HubName | None = None
    """Another repository of the hub."""
    folder: UserPath | None = None
    """A folder as `save_pretrained` writes it, relative to the registry file."""
    package: Annotated[str, AfterValidator(_checked_package)] | None = None
    """An installed Python package, which is located and never imported; where it is missing, the hub is asked for
    `name`."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """One GGUF file in the repository, the folder or the package; a package needs it."""

    @model_validator(mode="after")
    def _one_kind(self) -> "SourceEntry":
        if sum(kind is not None for kind in (self.hub, self.folder, self.package)) != 1:
            raise ValueError("needs exactly one of hub, folder, package")
        if self.package is not None and self.file is None:
            raise ValueError("needs file: which file of the package to read")
        if self.file is not None and (Path(self.file).is_absolute() or ".." in Path(self.file).parts):
            raise ValueError("file must lie inside its source")
        if self.file is not None and not self.file.endswith(".gguf"):
            raise ValueError("file must be a .gguf file; other weights are found by themselves")
        return self


class ModelEntry(BaseModel):
    """One entry under `models:`, as it stands in the file."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    name: HubName
    """Hugging Face id; the model answers to it as well as to its own."""
    type: ModelType
    """What the model is offered for. Which class loads it is read from its `config.json`."""
    size: str
    """Free text, such as `1.1B`; a first guess of its memory where nothing better is known."""
    description: str
    """For people."""
    max_length: Annotated[int, Field(gt=0)]
    """Tokens; the model's own limit applies where it is smaller."""
    suggested_temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """For chat, where a request names none."""
    gated: bool = False
    """Whether the hub wants a licence accepted."""
    source: SourceEntry | None = None
    """Where the weights are, when not on the hub under `name`."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository; without it the newest, or what is in the cache."""
    device: str | None = None
    """As `default_device`."""
    torch_dtype: TorchDtype | None = None
    trust_remote_code: bool | None = None
    allow_pickle: bool | None = None
    use_fast_tokenizer: bool | None = None
    default_max_length: Annotated[int, Field(gt=0)] | None = None
    max_num_seqs: Annotated[int, Field(gt=0)] | None = None
    max_queued_requests: Annotated[int, Field(gt=0)] | None = None
    max_num_batched_tokens: Annotated[int, Field(gt=0)] | None = None
    reuse_prefixes: bool | None = None
    kv_cache_memory: Bytes | None = None
    """Memory for keys and values."""
    pinned: bool = False
    """Once loaded, it leaves only by command: neither to make room nor for idleness."""
    keep_alive: KeepAlive | None = None
    """How long it stays without requests: seconds, `5m`, 0, or -1 for ever."""

    def spec(self, model_id: str, settings: Settings, base: Path) -> ModelSpec:
        """Fill in from the settings what the entry leaves open; `base` is where a relative folder starts."""
        return ModelSpec(
            id=model_id,
            name=self.name,
            type=self.type,
            size=self.size,
            description=self.description,
            max_length=self.max_length,
            suggested_temperature=self.suggested_temperature,
            gated=self.gated,
            source=self._source(base),
            device=_own_or(self.device, settings.default_device),
            torch_dtype=_own_or(self.torch_dtype, settings.torch_dtype),
            trust_remote_code=_own_or(self.trust_remote_code, settings.trust_remote_code),
            allow_pickle=_own_or(self.allow_pickle, settings.allow_pickle),
            use_fast_tokenizer=_own_or(self.use_fast_tokenizer, settings.use_fast_tokenizer),
            default_max_length=_own_or(self.default_max_length, settings.default_max_length),
            max_num_seqs=_own_or(self.max_num_seqs, settings.max_num_seqs),
            max_queued_requests=_own_or(self.max_queued_requests, settings.max_queued_requests),
            max_num_batched_tokens=_own_or(self.max_num_batched_tokens, settings.max_num_batched_tokens),
            reuse_prefixes=_own_or(self.reuse_prefixes, settings.reuse_prefixes),
            kv_cache_bytes=_own_or(self.kv_cache_memory, settings.kv_cache_memory),
            pinned=self.pinned,
            keep_alive_s=self.keep_alive,
        )

    def _source(self, base: Path) -> Source:
        on_hub = HubSource(repo_id=self.name, revision=self.revision)
        if self.source is None:
            return on_hub
        if self.source.folder is not None:
            return FolderSource(path=str(base / self.source.folder), file=self.source.file)
        if self.source.package is not None and self.source.file is not None:
            return PackageSource(package=self.source.package, file=self.source.file, otherwise=on_hub)
        return HubSource(repo_id=self.source.hub or self.name, revision=self.revision, file=self.source.file)


class Registry(Mapping[str, ModelSpec]):
    """Models by id, in the order of the file."""

    def __init__(self, specs: Mapping[str, ModelSpec]) -> None:
        self._specs = dict(specs)
        self._id_by_name: dict[str, str] = {}
        for spec in self._specs.values():
            self._id_by_name.setdefault(spec.name.casefold(), spec.id)

    def __getitem__(self, model_id: str) -> ModelSpec:
        return self._specs[model_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def resolve(self, name: str) -> ModelSpec:
        """The model of that id or Hugging Face name; an id wins over a name.

        Raises:
            ModelNotFoundError: none answers to it; the nearest names are in the message.
        """
        if name in self._specs:
            return self._specs[name]
        if (model_id := self._id_by_name.get(name.casefold())) is not None:
            return self._specs[model_id]
        shown = name if len(name) <= 200 else name[:200] + "…"
        near = nearest(shown, [*self._specs, *(spec.name for spec in self._specs.values())])
        hint = f"; the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else ""
        raise ModelNotFoundError(f"no model {shown!r} is registered{hint} (GET /models lists all)", param="model")

    def answers_to(self, name: str) -> bool:
        """Whether `resolve` would find a model."""
        return name in self._specs or name.casefold() in self._id_by_name

    def first(self) -> ModelSpec:
        """The first registered model.

        Raises:
            ModelNotFoundError: there is none.
        """
        for spec in self._specs.values():
            return spec
        raise ModelNotFoundError("no model is registered")

    def first_of_type(self, model_type: ModelType) -> ModelSpec:
        """The first registered model of a type.

        Raises:
            ModelNotFoundError: there is none.
        """
        for spec in self._specs.values():
            if spec.type is model_type:
                return spec
        raise ModelNotFoundError(f"no model of type {model_type.value!r} is registered")


def is_hub_name(name: str) -> bool:
    """Whether a repository of the hub could be called so."""
    return len(name) <= _MAX_HUB_NAME_LENGTH and _HUB_NAME.fullmatch(name) is not None


def free_id(name: str, registry: Registry) -> str:
    """An id for a model that nobody gave one: from its Hugging Face or file name, and answering for no other model."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("/", "--")).lstrip("._-")[:120] or "model"
    candidates = (stem, *(f"{stem}-{number}" for number in range(2, len(registry) + 3)))
    return next(candidate for candidate in candidates if not registry.answers_to(candidate))


def read_configuration(
    path: Path, command_line: dict[str, Any] | None = None, running: Settings | None = None
) -> tuple[Settings, Registry]:
    """Settings and registry as the file, the environment and the command line have them now.

    `running`: the settings that a server started with, of which some hold for its registry until its next start.

    Raises:
        ConfigError: one of them cannot be used.
    """
    file = read_yaml(path)
    settings = load_settings(file, command_line)
    return settings, load_registry(file, in_force(running, settings) if running else settings)


def load_registry(file: YamlFile, settings: Settings) -> Registry:
    """Build the registry of a file.

    Raises:
        ConfigError: entries cannot be used; for each problem a line that names file, line and key.
    """
    for key in file.content:
        if key not in ("models", "settings"):
            raise file.error((str(key),), "is neither 'models' nor 'settings'")
    models = file.content.get("models")
    if not isinstance(models, dict) or not models:
        raise file.error(("models",), "must be a mapping of at least one model id to its entry")
    specs: dict[str, ModelSpec] = {}
    problems: list[str] = []
    for model_id, entry in models.items():
        try:
            specs[str(model_id)] = _read_entry(entry, str(model_id), file.path, settings)
        except ValidationError as exc:
            problems += _explain(file, str(model_id), exc.errors(include_url=False))
        except ValueError as exc:
            problems.append(file.error(("models", str(model_id)), str(exc)).message)
    if problems:
        more = [f"and {len(problems) - _MAX_PROBLEMS} more"] if len(problems) > _MAX_PROBLEMS else []
        raise ConfigError("\n".join((*problems[:_MAX_PROBLEMS], *more)))
    return Registry(specs)


def _own_or(own: T | None, default: T) -> T:
    return default if own is None else own


def _read_entry(entry: Any, model_id: str, path: Path, settings: Settings) -> ModelSpec:
    """
    Raises:
        ValueError: it is none. A `ValidationError` where parts of it are wrong.
    """
    if not _MODEL_ID.fullmatch(model_id):
        raise ValueError("an id has letters, digits, '.', '_' and '-' only, 128 at most, and starts with no sign")
    if not isinstance(entry, dict):
        raise ValueError("must be a mapping with name, type, size, description and max_length")
    entry = {str(key): value for key, value in entry.items()}
    return ModelEntry.model_validate(entry).spec(model_id, settings, path.absolute().parent)


def _explain(file: YamlFile, model_id: str, errors: Sequence[ErrorDetails]) -> Iterator[str]:
    """One line for each problem of an entry."""
    has_unknown = any(error["type"] == "extra_forbidden" for error in errors)
    for error in errors:
        where, problem = error["loc"], error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            owner, known = ("a model", ModelEntry) if len(where) == 1 else (str(where[-2]), SourceEntry)
            problem = f"is not a key of {owner}{did_you_mean(str(where[-1]), known.model_fields)}"
        elif error["type"] == "missing":
            if has_unknown:  # under which the missing one is likely to stand
                continue
            problem = "is missing"
        yield file.error(("models", model_id, *where), problem).message
