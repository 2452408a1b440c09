"""Where models are kept, and whether the hub gives them."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants

from hostler.config import Settings
from hostler.diagnosis.findings import Finding, problem, warning
from hostler.quantities import format_bytes
from hostler.registry import Registry

HUB_TIMEOUT_S = 5.0
_LITTLE_BYTES = 5 * 2**30
"""Less free space than that, and a middling model does not fit."""


def check_folders(settings: Settings) -> Iterator[Finding]:
    hub_cache = settings.cache_dir or Path(huggingface_hub.constants.HF_HUB_CACHE)
    yield _check_folder("hub cache", hub_cache, "cache_dir or HF_HOME")
    yield _check_folder("own cache", settings.hostler_cache_dir, "HOSTLER_CACHE_DIR")


def _check_folder(topic: str, folder: Path, setting: str) -> Finding:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return problem(
            topic, f"The folder {folder} cannot be written to.", f"Change its owner, or name another with {setting}."
        )
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < _LITTLE_BYTES:
        return warning(
            topic,
            f"The disk of {folder} has only {format_bytes(free_bytes)} left.",
            f"Make room, or name a folder on another disk with {setting}.",
        )
    return Finding(topic=topic, text=f"{folder}, {format_bytes(free_bytes)} free")


def check_token(
    settings: Settings, registry: Registry, ask: Callable[[str], bool | None], timeout_s: float = HUB_TIMEOUT_S
) -> Iterator[Finding]:
    """`ask`: whether the hub takes a token, `None` where it cannot be asked; it may block for longer than there is
    time."""
    gated = [spec.id for spec in registry.values() if spec.gated]
    if settings.hf_token is None:
        needed = f", which {len(gated)} gated models need" if gated else ""
        yield Finding(topic="hub token", text=f"not set{needed}")
        return
    token = settings.hf_token.get_secret_value()
    match _within(timeout_s, lambda: ask(token)):
        case True:
            yield Finding(topic="hub token", text="set, and the hub takes it")
        case False:
            yield problem(
                "hub token",
                "The hub refuses the token of HF_TOKEN.",
                "Make a new one at huggingface.co/settings/tokens.",
            )
        case None:
            yield Finding(topic="hub token", text="set; the hub could not be asked about it")


def _within(timeout_s: float, ask: Callable[[], bool | None]) -> bool | None:
    """In a thread that nobody waits for any longer than that, not even the end of the process."""
    answers: list[bool | None] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers[0] if answers else None
