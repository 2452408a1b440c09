"""What is installed, as bug reports need it."""

import platform
from importlib.metadata import PackageNotFoundError, version

from hostler import __version__

_SHOWN = ("torch", "transformers", "huggingface-hub", "fastapi")


def versions() -> dict[str, str | None]:
    """By name; `None`: it is not installed. Imports none of them."""
    return {"hostler": __version__, "python": platform.python_version(), **{name: _version(name) for name in _SHOWN}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
