"""Asks the hub what a repository holds, before anything large is downloaded."""

from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HFValidationError, RepositoryNotFoundError

from hostler.config import Settings
from hostler.errors import HostlerError, ModelNotFoundError
from hostler.models.discovery import model_type_of
from hostler.models.generative import context_length
from hostler.models.hub import HubAccess, find_cached_snapshot
from hostler.models.hub_errors import translate
from hostler.models.json_files import read_json
from hostler.registry import HubSource, ModelEntry

_REQUEST_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 10.0
"""Where the hub cannot be asked: as after a first failed load."""


class HubLookUp:
    """Repository → the entry that the registry would have for it. Called in threads."""

    def __init__(self, settings: Settings, endpoint: str | None = None) -> None:
        """`endpoint`: of the hub; `None` as `HubAccess` has it."""
        token = settings.hf_token.get_secret_value() if settings.hf_token else None
        self._hub = HubAccess(settings.cache_dir, token, endpoint)

    def __call__(self, name: str) -> ModelEntry:
        """What the hub's cache or the hub says of the repository; of its files only the small ones are fetched.

        Raises:
            ModelNotFoundError: the hub has no such repository, or it holds no model that writes or reads text.
            GatedModelError: the hub wants a token, or refuses the one it got.
            ModelLoadError: the hub cannot be asked.
        """
        source = HubSource(repo_id=name)
        try:
            snapshot = find_cached_snapshot(source, self._hub, with_code=False)
            if snapshot is None:
                return self._ask(name)
            names = {path.name for path in snapshot.folder.iterdir()}
            return _entry(name, snapshot.folder, names, is_gated=False)
        except GatedRepoError as exc:  # a kind of the next one
            raise self._translate(exc, source) from exc
        except (RepositoryNotFoundError, HFValidationError) as exc:
            needs = "a token that may read it" if self._hub.token else "HF_TOKEN set"
            problem = f"no model {name!r} is registered, and the hub has none, or it is private and needs {needs}"
            raise ModelNotFoundError(problem, param="model") from exc
        except EntryNotFoundError as exc:
            raise ModelNotFoundError(f"{name} has no config.json on the hub", param="model") from exc
        except (OSError, httpx2.HTTPError, ValueError) as exc:
            raise self._translate(exc, source) from exc

    def _translate(self, exc: Exception, source: HubSource) -> HostlerError:
        error = translate(exc, source, has_token=self._hub.token is not None)
        if error.retryable:
            error.retry_after_s = _RETRY_AFTER_S
        return error

    def _ask(self, name: str) -> ModelEntry:
        api = huggingface_hub.HfApi(endpoint=self._hub.endpoint, token=self._hub.credentials)
        found = api.model_info(name, timeout=_REQUEST_TIMEOUT_S)
        names = {file.rfilename for file in found.siblings or ()}
        small = ["config.json", *names.intersection(("tokenizer_config.json", "chat_template.jinja"))]
        paths = [
            huggingface_hub.hf_hub_download(
                found.id,
                file,
                cache_dir=self._hub.cache_dir,
                token=self._hub.credentials,
                endpoint=self._hub.endpoint,
                etag_timeout=_REQUEST_TIMEOUT_S,
            )
            for file in small
        ]
        return _entry(found.id, Path(paths[0]).parent, names, is_gated=bool(found.gated))


def _entry(name: str, folder: Path, file_names: set[str], *, is_gated: bool) -> ModelEntry:
    model_type = model_type_of(folder, file_names)
    if model_type is None:
        raise ModelNotFoundError(
            f"{name} is not known as a model that writes or reads text; if it is one, give it an entry in the registry",
            param="model",
        )
    return ModelEntry(
        name=name,
        type=model_type,
        size="unknown",
        description="Named by a request",
        max_length=context_length(read_json(folder / "config.json")),
        gated=is_gated,
        # Nobody who runs this server has looked at it.
        trust_remote_code=False,
    )
