"""Reads tokenizers, and has those at hand that were read before."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hostler.errors import ModelLoadError
from hostler.registry import ModelSpec

logger = logging.getLogger(__name__)

ReadTokenizer = Callable[[ModelSpec, Path], PreTrainedTokenizerBase]
"""The tokenizer of a model whose files are in that folder."""

MAX_KEPT_BYTES = 256 * 2**20
_FILE = "tokenizer.json"
_TEMPLATES_FOLDER = "additional_chat_templates"
_TRIE_BYTES_PER_FILE_BYTE = 55
_BYTES_PER_FILE_BYTE = 3
"""Of memory, for each of `tokenizer.json`: where the vocabulary is a trie, as Unigram's is, and else. Measured, rounded
up: 53 for 250,000 random words, 2.5 for SmolLM2's 49,152 tokens."""

_Identity = frozenset[tuple[str, int, int, int]]


def read_tokenizer(spec: ModelSpec, folder: Path) -> PreTrainedTokenizerBase:
    """Raises `ModelLoadError` where it cannot be read; the message is for the caller, details are in the log."""
    try:
        return AutoTokenizer.from_pretrained(
            folder,
            use_fast=spec.use_fast_tokenizer,
            trust_remote_code=spec.trust_remote_code,
            local_files_only=True,
        )
    except (OSError, ValueError, ImportError, KeyError) as exc:
        logger.warning("tokenizer_not_loadable model=%s", spec.id, exc_info=exc)
        raise ModelLoadError(
            f"the tokenizer of {spec.name} could not be loaded: its files are missing, damaged or of an unknown kind"
        ) from exc


@dataclass(frozen=True)
class _Kept:
    tokenizer: PreTrainedTokenizerBase
    identity: _Identity
    """Of the files that it was read from."""
    num_bytes: int


class TokenizerCache:
    """Tokenizers for processes that are forked from this one, as many as fit; those least recently used go first.

    Only such as `tokenizer.json` says all of: neither a repository's code nor a slow tokenizer's is run for them.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()

    def get_or_read(self, spec: ModelSpec, folder: Path) -> PreTrainedTokenizerBase:
        """A `ReadTokenizer`. The caller's to change, where it is a process of its own."""
        kept = self._kept.get(folder)
        if kept is None or not _is_plain(spec) or kept.identity != _identity_of(folder):
            return read_tokenizer(spec, folder)
        return kept.tokenizer

    def takes(self, spec: ModelSpec, folder: Path, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether `keep` would be of use for a model whose tokenizer was read already."""
        return _is_plain(spec) and 0 < _num_bytes(tokenizer, folder) <= self._max_bytes

    def keep(self, folder: Path) -> None:
        """Read the tokenizer of that folder, unless it is here already, and have it count as used just now."""
        kept = self._kept.pop(folder, None)
        try:
            identity = _identity_of(folder)
            if kept is None or kept.identity != identity:
                tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
                kept = _Kept(tokenizer, identity, _num_bytes(tokenizer, folder))
        except BaseException as exc:  # a panic of Rust's is no `Exception`
            logger.warning("tokenizer_not_kept folder=%s reason=%s", folder, type(exc).__name__)
            return
        if 0 < kept.num_bytes <= self._max_bytes:
            self._kept[folder] = kept
        while sum(each.num_bytes for each in self._kept.values()) > self._max_bytes:
            self._kept.popitem(last=False)


def _is_plain(spec: ModelSpec) -> bool:
    return spec.use_fast_tokenizer and not spec.trust_remote_code


def _num_bytes(tokenizer: PreTrainedTokenizerBase, folder: Path) -> int:
    """What it takes in memory, at most; 0: more was needed to read it than `tokenizer.json`."""
    file = folder / _FILE
    if not tokenizer.is_fast or not file.is_file():
        return 0
    is_trie = type(tokenizer.backend_tokenizer.model).__name__ == "Unigram"
    return file.stat().st_size * (_TRIE_BYTES_PER_FILE_BYTE if is_trie else _BYTES_PER_FILE_BYTE)


def _identity_of(folder: Path) -> _Identity:
    """Changes with any file of the folder: transformers looks at the model's config too, and at what else there is."""
    return frozenset(_stamps(folder)) | frozenset(_stamps(folder / _TEMPLATES_FOLDER))


def _stamps(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    if folder.is_dir():
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # a link that leads nowhere
                status = file.stat()
                yield file.name, status.st_size, status.st_mtime_ns, status.st_ino
