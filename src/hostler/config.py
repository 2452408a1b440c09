"""Settings: each from the command line, else the environment, else the registry file, else its default."""

import ipaddress
import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from hostler.errors import ConfigError
from hostler.logs import LogForm, LogLevel
from hostler.quantities import MemoryBudget, parse_bytes, parse_keep_alive, parse_memory_budget
from hostler.suggestions import did_you_mean
from hostler.yaml_file import YamlFile

logger = logging.getLogger(__name__)

SHIPPED_REGISTRY = Path(__file__).parent / "models.yaml"


def _split_commas(value: object) -> object:
    """`a, b` → `["a", "b"]`: how an environment variable holds a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _expand_path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str | Path) else value


def _usual_keys_file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "hostler" / "keys.yaml"


def only_one_gateway(num_workers: int) -> str:
    """Why so many are refused, and what to do."""
    return (
        f"must be 1, not {num_workers}: models live in worker processes of one gateway, several gateways would each"
        " load their own; run more servers behind a balancer instead"
    )


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
UserPath = Annotated[Path, BeforeValidator(_expand_path)]
KeepAlive = Annotated[float, BeforeValidator(parse_keep_alive)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Limit = Annotated[int, Field(gt=0)] | None
TorchDtype = Literal["auto", "float32", "float16", "bfloat16"]


class Settings(BaseSettings):
    """All settings of a server. A field's name is its key under `settings:`, and in capitals its variable."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="forbid", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs a key, or `insecure_no_auth`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port; 0 lets the system choose."""
    workers: int = 1
    """Gateway processes. Only 1: models live in worker processes of one gateway."""
    default_model: str | None = None
    """Model to load at start, by id or Hugging Face name. If that fails, the server starts all the same."""
    api_key: SecretStr | None = None
    """Key for everything; beside it there may be those of `keys_file`. Environment only."""
    keys_file: Annotated[UserPath, Field(default_factory=_usual_keys_file)]
    """File of keys, as `hostler keys` writes it. Where there is none, `api_key` is the only key, if any."""
    public_docs: bool = False
    """Whether the interactive documentation is shown without a key where others need one."""
    insecure_no_auth: bool = False
    """Allow any `host`, and callers from anywhere, without a key."""
    cors_origins: CommaSeparated = []
    """Origins whose pages may call the server from a browser."""
    allowed_hosts: CommaSeparated = []
    """`Host` headers to accept besides loopback names and `host` itself; `*` for any."""
    forwarded_allow_ips: CommaSeparated = []
    """Proxies whose `X-Forwarded-*` headers are believed."""
    enable_metrics: bool = True
    """Serve metrics at `GET /metrics`."""
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = "INFO"
    """How much is logged; `POST /admin/log-level` changes it while the server runs."""
    log_format: Annotated[LogForm, BeforeValidator(_lower)] = "human"
    """`json`: one object a line."""
    log_model_loading: bool = True
    """Log a line for each stage of a load."""
    max_body_bytes: Annotated[int, Field(gt=0)] = 8 * 2**20
    """A larger request is refused."""
    read_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds in which a request must be there, its body included; the connection is cut otherwise."""
    write_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which a connection is cut whose client takes nothing of what is to be sent."""
    max_connections: Annotated[int, Field(gt=0)] = 2048
    """Connections that may be open at once; one more is answered with a 429."""
    max_connections_per_address: Annotated[int, Field(gt=0)] = 1024
    """As `max_connections`, for each address that is no proxy of `forwarded_allow_ips`. Of IPv6, a network of 64 bits
    is one address."""
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    """What is done about fields of a request that no interface has: `refuse`, by name; `ignore`, with a line in the log
    that names them. Known ones are as strict either way."""
    requests_per_minute: Limit = None
    """Requests to models that one caller (a key, or without keys an address) may send in a minute."""
    tokens_per_minute: Limit = None
    """Tokens of their prompts and answers. Not known before an answer ends: one that takes more than is left is counted
    whole, and the caller waits the longer."""
    concurrent_requests: Limit = None
    """Requests to models of one caller that may be under way."""
    queued_requests: Limit = None
    """Those of them that may be waiting for their first token."""
    address_requests_per_minute: Limit = None
    """As `requests_per_minute`, for each address, whatever keys are used there. Of IPv6, a network of 64 bits is one
    address."""
    address_tokens_per_minute: Limit = None
    """As `tokens_per_minute`, for each address."""
    address_concurrent_requests: Limit = None
    """As `concurrent_requests`, for each address."""
    address_queued_requests: Limit = None
    """As `queued_requests`, for each address."""
    total_requests_per_minute: Limit = None
    """As `requests_per_minute`, for all callers together."""
    total_tokens_per_minute: Limit = None
    """As `tokens_per_minute`, for all callers together."""
    total_concurrent_requests: Limit = None
    """As `concurrent_requests`, for all callers together."""
    total_queued_requests: Limit = None
    """As `queued_requests`, for all callers together."""
    limits_redis_url: SecretStr | None = None
    """Where gateways that share their counts a minute keep them: `redis://host:6379/0`. Environment only; needs
    `pip install 'hostler[redis]'`."""
    shutdown_grace_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds that running requests get to finish after SIGTERM."""

    memory_budget: Annotated[MemoryBudget, NoDecode, BeforeValidator(parse_memory_budget)] = MemoryBudget(share=0.8)
    """What models may take of the machine's memory, a container's limit included, and of each GPU's: bytes, `8GiB` or
    `80%`. A load reserves what it will need before it starts."""
    kv_cache_memory: Bytes | None = None
    """Memory for the keys and values of one model: bytes or `2GiB`; without it as much as its weights, a GiB at least.
    Never less than one full sequence needs, never more than `max_num_seqs` of them."""
    max_concurrent_models: Annotated[int, Field(ge=1)] = 3
    """Models in memory at once, whatever room there is."""
    auto_unload_after_minutes: Annotated[
        float, Field(validation_alias=AliasChoices("auto_unload_after_minutes", "auto_unload_minutes"))
    ] = 30.0
    """Minutes after its last request before an idle model leaves; 0 or less: never."""
    memory_cleanup_interval_minutes: float = 5.0
    """Accepted from older files; unloading is process exit, so there is nothing to clean up in between."""
    acquire_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """Seconds that a request may wait for its model, a download included."""
    load_stall_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    """Seconds without progress after which a load is given up."""
    hang_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """Seconds after which a model that has requests and makes no step is ended."""
    max_waiting_per_model: Annotated[int, Field(ge=1)] = 256
    """Requests that may wait for one model to be loaded."""

    discover: CommaSeparated = []
    """Where to look for models that the registry does not name: `cache` (the hub's) and folders, relative to the
    registry file."""
    allow_unlisted: bool = False
    """Whether a request may name any repository of the hub, as `owner/name`."""
    watch_config: bool = False
    """Read the registry file again whenever it has changed, once it has been the same for a second."""

    default_device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N`, or several GPUs for one model: `cuda:0,cuda:1`. `auto` and `cuda` take the GPU
    with the most room, several when no single one can hold the model, and `auto` the CPU when all of them together
    cannot."""
    torch_dtype: TorchDtype = "auto"
    """`auto`: half precision where the device computes it, else float32; on a CPU, float32 for the types `embedding`,
    `reranker` and `classifier`."""
    low_cpu_mem_usage: bool = True
    """Accepted from older files; weights are always mapped."""
    use_fast_tokenizer: bool = True
    """Take a model's fast tokenizer where it has one."""
    trust_remote_code: bool = False
    """Run Python that comes with a model's repository. Better set per model."""
    allow_pickle: bool = True
    """Read repositories that have no safetensors, with torch's restricted unpickler, inside a worker."""
    default_max_length: Annotated[int, Field(gt=0)] = 100
    """New tokens of a native `generate` that gives no `max_length`."""
    max_num_seqs: Annotated[int, Field(gt=0)] = 32
    """Sequences that one model works on at once."""
    max_queued_requests: Annotated[int, Field(gt=0)] = 2048
    """Requests that may wait for one model that is loaded; each prompt of a list counts. The default is twice what one
    request may bring."""
    max_num_batched_tokens: Annotated[int, Field(gt=0)] = 512
    """Tokens that one engine step computes at most; long prompts are cut into pieces of that size."""
    reuse_prefixes: bool = True
    """Compute what a prompt has in common with a recent one only once; `false` where callers must not learn from the
    pace of an answer that somebody asked the same."""
    max_batch_size: int | None = None
    """Accepted from older files; `max_num_seqs` took its place."""

    num_threads: Annotated[int, Field(ge=1)] | None = None
    """Threads that all models compute with together, shared out among the busy ones; without it one for each core that
    this process may use."""

    cache_dir: Annotated[UserPath | None, Field(validation_alias=AliasChoices("cache_dir", "transformers_cache"))] = (
        None
    )
    """Folder with `models--*` of the hub; without it the hub library's own, which follows `HF_HOME`."""
    hostler_cache_dir: UserPath = Path("~/.cache/hostler").expanduser()
    """Folder for converted weights, and for `footprints.json`, which remembers what loads have taken."""
    hf_token: SecretStr | None = None
    """Account token for gated models. Environment only; sent to the hub and nowhere else."""
    hf_username: str | None = None
    """Accepted from older deployments; the token alone is enough."""

    @field_validator("workers")
    @classmethod
    def _only_one_gateway(cls, value: int) -> int:
        if value != 1:
            raise ValueError(only_one_gateway(value))
        return value

    @property
    def secrets(self) -> list[str]:
        """Values that nobody is to read anywhere."""
        return [value.get_secret_value() for value in vars(self).values() if isinstance(value, SecretStr)]

    @property
    def total_threads(self) -> int:
        """`num_threads`, or what it stands for when it is `None`."""
        if self.num_threads is not None:
            return self.num_threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def keep_alive_s(self) -> float | None:
        """Idle seconds before a model leaves; `None`: it stays."""
        return self.auto_unload_after_minutes * 60 if self.auto_unload_after_minutes > 0 else None


WITHOUT_EFFECT = {
    "max_batch_size": "use max_num_seqs, the number of sequences in a batch (32 unless told)",
    "memory_cleanup_interval_minutes": "an unloaded model's process ends, so its memory comes back at once",
    "low_cpu_mem_usage": "weights are always mapped from their file",
    "hf_username": "HF_TOKEN alone is enough",
}
ENVIRONMENT_ONLY = ("api_key", "hf_token", "limits_redis_url")


def load_settings(file: YamlFile | None, command_line: dict[str, Any] | None = None) -> Settings:
    """Join the sources of settings, the strongest first: command line, environment, the file's `settings:`.

    Raises:
        ConfigError: a value cannot be used; names the variable, or file, line and key.
    """
    from_file = _settings_of(file)
    given = {key: value for key, value in (command_line or {}).items() if value is not None}

    class Sources(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=from_file)

    try:
        settings = Sources(**given)
    except ValidationError as exc:
        raise _explain(exc, file, given) from exc
    _refuse_open_door(settings)
    for key, remedy in WITHOUT_EFFECT.items():
        if key in from_file:
            logger.warning("setting_without_effect key=%s remedy=%r", key, remedy)
    return settings


LIVE = frozenset(
    (
        *("discover", "allow_unlisted", "default_device", "torch_dtype", "use_fast_tokenizer", "trust_remote_code"),
        *("allow_pickle", "default_max_length", "max_num_seqs", "max_queued_requests", "max_num_batched_tokens"),
        *("reuse_prefixes", "kv_cache_memory"),
    )
)
"""Settings that hold once the file has been read again: they say which models there are, and how one is loaded."""


def in_force(running: Settings, read: Settings) -> Settings:
    """What holds in a server that started with `running` after it has read `read`."""
    return running.model_copy(update={key: getattr(read, key) for key in LIVE})


def restart_needed(running: Settings, read: Settings) -> tuple[str, ...]:
    """Settings that differ and that a running server does not take up."""
    names = (key for key in Settings.model_fields if key not in LIVE)
    return tuple(key for key in names if getattr(running, key) != getattr(read, key))


def _settings_of(file: YamlFile | None) -> dict[str, Any]:
    section = file.content.get("settings") if file else None
    if file is None or section is None:
        return {}
    if not isinstance(section, dict):
        raise file.error(("settings",), "must be a mapping of setting to value")
    for key in section:
        if key in ENVIRONMENT_ONLY:
            raise file.error(("settings", key), f"a secret does not belong into the file; set {key.upper()} instead")
        if key not in Settings.model_fields:
            raise file.error(("settings", str(key)), f"is not a setting{did_you_mean(str(key), Settings.model_fields)}")
    return {key: value for key, value in section.items() if value is not None}


def _explain(exc: ValidationError, file: YamlFile | None, command_line: dict[str, Any]) -> ConfigError:
    """Name the source that a refused value came from. The value itself is left out: it may be a secret."""
    error = exc.errors(include_url=False, include_input=False)[0]
    key = str(error["loc"][0]) if error["loc"] else "settings"
    problem = error["msg"].removeprefix("Value error, ")
    field_name = next((name for name in Settings.model_fields if key in _names_of(name)), key)
    variable = next((name.upper() for name in _names_of(field_name) if os.environ.get(name.upper())), None)
    if field_name not in command_line and variable:
        return ConfigError(f"environment variable {variable}: {problem}")
    if field_name not in command_line and file is not None and ("settings", field_name) in file.lines:
        return file.error(("settings", field_name), problem)
    return ConfigError(f"{field_name}: {problem}")


def _names_of(field_name: str) -> list[str]:
    """All names that a setting is read under."""
    field = Settings.model_fields.get(field_name)
    if field is not None and isinstance(field.validation_alias, AliasChoices):
        return [str(name) for name in field.validation_alias.choices]
    return [field_name]


def _refuse_open_door(settings: Settings) -> None:
    has_key = settings.api_key is not None or settings.keys_file.exists()
    if has_key or settings.insecure_no_auth or is_loopback(settings.host):
        return
    raise ConfigError(
        f"host {settings.host} is reachable by others and there is no key: set API_KEY, make one with"
        " 'hostler keys create', or set INSECURE_NO_AUTH=1 if everyone there may use, load and unload models"
    )


def is_loopback(host: str) -> bool:
    """Whether an address or `localhost` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def registry_path(given: Path | None = None) -> Path:
    """The registry file to read: the one given, else `MODEL_CONFIG_PATH`, else the one that is shipped."""
    if given is not None:
        return given.expanduser()
    in_environment = os.environ.get("MODEL_CONFIG_PATH")
    return Path(in_environment).expanduser() if in_environment else SHIPPED_REGISTRY
