"""Which models transformers has classes for, found without importing it."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_TABLE = "models/auto/modeling_auto.py"
_PAIR = re.compile(r'\(\s*"([^"]+)",\s*"(\w+)"\s*\)')


def has_native_class(model_type: object, architectures: object) -> bool | None:
    """Whether transformers itself has the classes that a `config.json` names, for that type. `None`: it is not
    installed, so that nobody knows."""
    known = _known()
    if known is None:
        return None
    if not isinstance(model_type, str) or not isinstance(architectures, list) or not architectures:
        return False
    return all((model_type, str(name)) in known for name in architectures)


@cache
def _known() -> frozenset[tuple[str, str]] | None:
    """Type and class. Read as a text: the import takes seconds and brings torch, which the gateway does without."""
    found = find_spec("transformers")
    if found is None or found.origin is None:
        return None
    try:
        text = (Path(found.origin).parent / _TABLE).read_text(encoding="utf-8")
    except OSError:
        return None
    return frozenset(_PAIR.findall(text))
