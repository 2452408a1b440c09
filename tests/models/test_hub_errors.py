"""What callers read when the hub, the network or the disk fails."""

import errno

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from hostler.errors import GatedModelError, HostlerError, ModelLoadError
from hostler.models.hub_errors import translate
from hostler.registry import HubSource

SOURCE = HubSource(repo_id="owner/tiny")


def answered(status: int) -> HfHubHTTPError:
    response = httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/api/models/owner/tiny"))
    return HfHubHTTPError(f"{status} secret=hf_0123456789", response=response)


def wrapped(cause: Exception) -> Exception:
    """As huggingface_hub raises it when it has looked into the cache in vain."""
    error = LocalEntryNotFoundError("not found, hf_0123456789")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answered(401), GatedModelError, "wants a token"),
        (answered(403), GatedModelError, "wants a token"),
        (answered(503), ModelLoadError, "status 503"),
        (wrapped(answered(502)), ModelLoadError, "status 502"),
        (OSError(errno.ENOSPC, "No space left on device"), ModelLoadError, "no space is left"),
        (wrapped(httpx2.ConnectTimeout("too slow")), ModelLoadError, "cannot be reached"),
        (wrapped(OfflineModeIsEnabled("offline")), ModelLoadError, "HF_HUB_OFFLINE"),
        (ValueError("hf_0123456789"), ModelLoadError, "ValueError"),
    ],
)
def test_each_failure_says_what_happened_and_shows_nothing_of_the_original(
    error: Exception, kind: type[HostlerError], said: str
) -> None:
    translated = translate(error, SOURCE, has_token=False)
    assert type(translated) is kind
    assert said in translated.message
    assert "owner/tiny" in translated.message
    assert "hf_0123456789" not in translated.message


def test_a_refused_token_is_told_apart_from_none() -> None:
    assert "refuses HF_TOKEN" in translate(answered(403), SOURCE, has_token=True).message
