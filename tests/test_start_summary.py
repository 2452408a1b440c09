"""What a server says when it starts."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hostler.config import Settings
from hostler.lifecycle.ledger import PLACES
from hostler.registry import ModelEntry, Registry
from hostler.start_summary import start_summary

BUDGET = {"host": 12 * 2**30, "cuda:0": 20 * 2**30, PLACES: 3}
ENTRY: dict[str, Any] = {"type": "text", "size": "1M", "max_length": 64}


def registry() -> Registry:
    """One listed, one gated, one found on the disk."""
    entries = {
        "tiny": ModelEntry(name="acme/tiny", description="Tiny", **ENTRY),
        "closed": ModelEntry(name="acme/closed", description="Closed", gated=True, **ENTRY),
        "there": ModelEntry(name="acme/there", description="Found in the hub's cache", **ENTRY),
    }
    return Registry({model_id: entry.spec(model_id, Settings(), Path()) for model_id, entry in entries.items()})


def lines(settings: Settings, models: Registry | None = None) -> list[str]:
    return start_summary(settings, registry() if models is None else models, BUDGET, ("127.0.0.1", 8123)).splitlines()


def test_it_says_where_what_and_for_whom() -> None:
    assert lines(Settings(hf_token=SecretStr("hf_secret0123456789"))) == [
        lines(Settings())[0],
        "  models      2 listed, 1 discovered; loaded on demand",
        "  default     tiny, loaded when it is asked for",
        "  memory      host 12.0 GiB, cuda:0 20.0 GiB for models (80% of each memory); 3 of them at once",
        "  key         not needed (there is none)",
        "  playground  http://127.0.0.1:8123/playground",
        "  docs        http://127.0.0.1:8123/docs",
    ]
    assert lines(Settings())[0].endswith("serves on http://127.0.0.1:8123")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "  warning     1 gated models cannot be downloaded: HF_TOKEN is not set"),
        ({"api_key": "s3cret"}, "  key         needed"),
        ({"default_model": "acme/Tiny"}, "  default     acme/Tiny, loaded now"),
        ({"default_model": "tny"}, "  warning     DEFAULT_MODEL: no model 'tny' is registered; the nearest are tiny"),
        ({"trust_remote_code": True}, "  warning     trust_remote_code: Python that comes with models is run"),
        (
            {"host": "0.0.0.0", "insecure_no_auth": True},
            "  warning     whoever reaches 0.0.0.0 may use, load and unload models: there is no key",
        ),
        ({"memory_budget": "8GiB"}, "  memory      host 12.0 GiB, cuda:0 20.0 GiB for models; 3 of them at once"),
    ],
)
def test_it_says_what_may_surprise_later(settings: dict[str, Any], expected: str) -> None:
    shown = lines(Settings(**settings))
    assert [line for line in shown if line.startswith(expected)], shown
    assert "s3cret" not in "".join(shown)


def test_nothing_is_listed_without_a_model() -> None:
    assert "  default     none" in lines(Settings(), Registry({}))
