"""What went wrong at the hub, in words for the caller; never with a token in them."""

import errno
from collections.abc import Iterator

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hostler.errors import GatedModelError, HostlerError, ModelLoadError
from hostler.registry import HubSource


def translate(exc: BaseException, source: HubSource, *, has_token: bool) -> HostlerError:
    """The error of ours that says the same. Looks through what huggingface_hub wraps around a cause."""
    repo_id = source.repo_id
    chain = list(_with_causes(exc))
    if any(isinstance(error, GatedRepoError) for error in chain):
        return gated(repo_id, has_token=has_token)
    if any(isinstance(error, RevisionNotFoundError) for error in chain):
        return ModelLoadError(f"{repo_id} has no revision {source.revision!r} on the hub; correct 'revision'")
    if any(isinstance(error, RepositoryNotFoundError) for error in chain):
        needs = "a token that may read it" if has_token else "HF_TOKEN set"
        return ModelLoadError(
            f"the hub has no repository {repo_id}: the name is misspelt, or it is private and needs {needs}"
        )
    for error in chain:
        if isinstance(error, HfHubHTTPError):
            status = error.response.status_code
            if status in (401, 403):
                return _refused(repo_id, status, has_token=has_token)
            return ModelLoadError(f"the hub answered with status {status} when asked for {repo_id}; try again later")
    if any(isinstance(error, OSError) and error.errno == errno.ENOSPC for error in chain):
        return ModelLoadError(
            f"no space is left on the disk of the model cache while downloading {repo_id}; free some, or set cache_dir"
        )
    if any(isinstance(error, OfflineModeIsEnabled) for error in chain):
        return ModelLoadError(f"{repo_id} is not in the cache, and HF_HUB_OFFLINE forbids to download it")
    if any(isinstance(error, httpx2.TransportError) for error in chain):
        return ModelLoadError(
            f"{repo_id} is not complete in the cache, and the hub cannot be reached to download it;"
            " look at the network, HTTPS_PROXY and HF_ENDPOINT"
        )
    return ModelLoadError(f"{repo_id} could not be downloaded ({type(exc).__name__}); the log says more")


def _with_causes(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def gated(repo_id: str, *, has_token: bool) -> GatedModelError:
    """Where to ask for access, and what to set."""
    page = f"https://huggingface.co/{repo_id}"
    if has_token:
        return GatedModelError(
            f"{repo_id} is gated, and the account of HF_TOKEN has no access to it: ask for access at {page},"
            " and see that the token may read gated repositories"
        )
    return GatedModelError(
        f"{repo_id} is gated: ask for access at {page}, then set HF_TOKEN to a token of that account and restart"
    )


def _refused(repo_id: str, status: int, *, has_token: bool) -> GatedModelError:
    page = f"https://huggingface.co/{repo_id}"
    if has_token:
        return GatedModelError(
            f"the hub refuses HF_TOKEN for {repo_id} (status {status}): the token is wrong, expired or has no access;"
            f" ask for access at {page}, or set another HF_TOKEN"
        )
    return GatedModelError(
        f"the hub wants a token for {repo_id} (status {status}): ask for access at {page}, then set HF_TOKEN"
    )
