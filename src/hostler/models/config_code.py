"""What in a `config.json` makes transformers run code that came with the model, or fetch some."""

from collections.abc import Iterator, Mapping
from typing import Any

from hostler.models.native_classes import has_native_class

_IMPLEMENTATION = "_implementation"
_INTERNAL = "_implementation_internal"


def has_own_code(config: Mapping[str, Any]) -> bool:
    """Whether the repository has Python of its own, which runs only with `trust_remote_code`."""
    return bool(config.get("auto_map"))


def needs_own_code(config: Mapping[str, Any]) -> bool | None:
    """Whether nothing but that Python may run the model: transformers has no class of that name for its type. One of
    another name, which it would take, computes something else. `None`: nobody knows, for it is not installed."""
    if not has_own_code(config):
        return False
    is_native = has_native_class(config.get("model_type"), config.get("architectures"))
    return None if is_native is None else not is_native


def repositories_of_code(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Other repositories that hold the Python it needs: transformers fetches that from there, at load."""
    auto_map = config.get("auto_map")
    if not isinstance(auto_map, Mapping):
        return ()
    # A tokenizer's value is a pair, of which either may be None.
    values = [name for value in auto_map.values() for name in (value if isinstance(value, list) else [value])]
    return tuple(sorted({name.split("--")[0] for name in values if isinstance(name, str) and "--" in name}))


def keys_of_kernels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys, also in nested tables, that name a kernel in a repository of the hub, or set what transformers keeps to
    itself: its versions before 5.3.0 fetched and ran such a kernel whatever `trust_remote_code` said (CVE-2026-4372).
    """
    return tuple(sorted(set(_keys(config, ""))))


def _keys(table: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in table.items():
        name = f"{path}{key}"
        is_internal = str(key).endswith(_INTERNAL) and value is not None
        if is_internal or (str(key).endswith(_IMPLEMENTATION) and _names_repository(value)):
            yield name
        elif isinstance(value, Mapping):
            yield from _keys(value, f"{name}.")


def _names_repository(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_names_repository(part) for part in value.values())
    return isinstance(value, str) and "/" in value
