"""What the hub says of a model's weights before they are downloaded: sizes of files, and the headers in them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import huggingface_hub

from hostler.models.hub import HubAccess
from hostler.models.json_files import parse_json
from hostler.models.repository_files import WeightsFormat, choose_weights
from hostler.models.weights_header import MAX_HEADER_BYTES, ReadAt, StoredNumbers, count_numbers
from hostler.registry import HubSource

_FIRST_BYTES = 100_000
"""Of a file, asked for at once: nearly every header is shorter."""
_NUM_CONNECTIONS = 8
_MAX_CONFIG_BYTES = 2**20


@dataclass(frozen=True)
class HubListing:
    """One commit of a repository."""

    repo_id: str
    commit: str
    sizes: dict[str, int]
    """Name → bytes of every file."""
    is_gated: bool = False
    licence: str | None = None
    """As its card has it."""


@dataclass(frozen=True)
class HubWeights:
    """What could be learnt of the weights that would be downloaded."""

    file_bytes: int
    numbers: StoredNumbers | None
    """`None`: they are no safetensors, or their headers may not be read or not in time."""
    config: dict[str, Any] | None
    """Of `config.json`."""


def list_commit(source: HubSource, hub: HubAccess, *, deadline: float) -> HubListing:
    """Ask which commit a revision is now, and for its files. `deadline`: by the clock of `time.monotonic`.

    Raises:
        Exception: whatever huggingface_hub has to say, errors of transport included.
    """
    api = huggingface_hub.HfApi(endpoint=hub.endpoint, token=hub.credentials)
    found = api.model_info(
        source.repo_id, revision=source.revision, files_metadata=True, timeout=_seconds_until(deadline)
    )
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
    licence = found.card_data.license if found.card_data is not None else None
    return HubListing(
        source.repo_id,
        found.sha or "",
        sizes,
        is_gated=bool(found.gated),
        licence=licence if isinstance(licence, str) else None,
    )


def read_beginning(listing: HubListing, hub: HubAccess, name: str, num_bytes: int, *, deadline: float) -> bytes:
    """Of a file of the commit; less where it ends before.

    Raises:
        Exception: whatever huggingface_hub has to say, errors of transport included.
    """
    return _FileReader(listing, hub, deadline).read(name, 0, num_bytes)


def read_weights(
    listing: HubListing, hub: HubAccess, *, deadline: float, on_problem: Callable[[Exception], None]
) -> HubWeights | None:
    """Read the headers of a commit's weights, and its configuration, by parts of files; `None`: it has no weights.

    What cannot be read is left out and told to `on_problem`.
    """
    reader = _FileReader(listing, hub, deadline)
    weights = choose_weights(listing.sizes)
    if weights is None:
        return None
    shards = [name for name in weights.names if name != weights.index]
    file_bytes = sum(listing.sizes[name] for name in shards)
    config = numbers = None
    try:
        config = parse_json(reader.read("config.json", 0, _MAX_CONFIG_BYTES))
        if weights.format is WeightsFormat.SAFETENSORS:
            is_tied = config.get("tie_word_embeddings") is True
            numbers = _count_shards(reader, shards, is_output_tied=is_tied)
    except Exception as exc:
        on_problem(exc)
    return HubWeights(file_bytes, numbers, config)


def _count_shards(reader: "_FileReader", names: list[str], *, is_output_tied: bool) -> StoredNumbers:
    def count(name: str) -> StoredNumbers:
        return count_numbers(reader.of(name), is_output_tied=is_output_tied)

    with ThreadPoolExecutor(min(_NUM_CONNECTIONS, len(names))) as pool:
        return sum(pool.map(count, names), StoredNumbers())


class _FileReader:
    """Reads parts of a commit's files, and no more of them even where a server sends all."""

    def __init__(self, listing: HubListing, hub: HubAccess, deadline: float) -> None:
        self._listing = listing
        self._endpoint = hub.endpoint
        self._headers = {"authorization": f"Bearer {hub.token}"} if hub.token is not None else {}
        self._deadline = deadline

    def of(self, name: str) -> ReadAt:
        """A way to read one file, its first bytes asked for once."""
        first = self.read(name, 0, _FIRST_BYTES)

        def read(offset: int, length: int) -> bytes:
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"{length} bytes of a header")
            is_there = offset + length <= len(first)
            return first[offset : offset + length] if is_there else self.read(name, offset, length)

        return read

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Less where the file ends."""
        url = huggingface_hub.hf_hub_url(
            self._listing.repo_id, name, revision=self._listing.commit, endpoint=self._endpoint
        )
        headers = {**self._headers, "range": f"bytes={offset}-{offset + length - 1}"}
        session = huggingface_hub.get_session()
        with session.stream("GET", url, headers=headers, timeout=_seconds_until(self._deadline)) as response:
            if response.is_error:
                response.read()
            huggingface_hub.hf_raise_for_status(response)
            skipped = offset if response.status_code == 200 else 0
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                _seconds_until(self._deadline)
                if len(content) >= skipped + length:
                    break
            return bytes(content[skipped : skipped + length])


def _seconds_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the hub took too long")
    return left
