"""A tokenizer that was read before is given again while its files are the same; only as many are kept as fit."""

import gc
import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hostler.errors import ModelLoadError
from hostler.models.tokenizer import TokenizerCache, read_tokenizer
from tests.models.specs import spec_of
from tests.tiny_models import build_tiny_model

SPEC = spec_of("owner/tiny")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model("llama_chat", tmp_path_factory.mktemp("origin") / "llama")


@pytest.fixture
def folder(origin: Path, tmp_path: Path) -> Path:
    return copied(origin, tmp_path / "one")


def copied(origin: Path, folder: Path) -> Path:
    """All but the weights."""
    folder.mkdir()
    for file in origin.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def is_kept(cache: TokenizerCache, folder: Path) -> bool:
    return cache.get_or_read(SPEC, folder) is cache.get_or_read(SPEC, folder)


def num_bytes(folder: Path) -> int:
    """The least bound under which its tokenizer is kept."""
    tokenizer = read_tokenizer(SPEC, folder)
    too_small, enough = 0, 2**30
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if TokenizerCache(middle).takes(SPEC, folder, tokenizer):
            enough = middle
        else:
            too_small = middle
    return enough


def test_one_that_was_kept_is_given_again_and_is_what_a_new_one_would_be(folder: Path) -> None:
    cache = TokenizerCache()
    assert not is_kept(cache, folder)
    cache.keep(folder)
    assert is_kept(cache, folder)
    kept, read = cache.get_or_read(SPEC, folder), read_tokenizer(SPEC, folder)
    assert kept("The grey mare 🐴").input_ids == read("The grey mare 🐴").input_ids
    assert kept.get_chat_template() == read.get_chat_template()
    assert kept.special_tokens_map == read.special_tokens_map


def grow(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}))


def touch(folder: Path) -> None:
    os.utime(folder / "tokenizer.json", ns=(1, 1))


def replace(folder: Path) -> None:
    file = folder / "tokenizer.json"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    (folder / "new").write_bytes(file.read_bytes())
    os.utime(folder / "new", ns=times)
    (folder / "new").replace(file)


def add_template(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ messages }}")


def change_the_model(folder: Path) -> None:
    os.utime(folder / "config.json", ns=(1, 1))


def remove(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


@pytest.mark.parametrize("change", [grow, remove, touch, replace, add_template, change_the_model])
def test_after_a_change_of_any_file_that_it_may_rest_on_it_is_read_anew(
    change: Callable[[Path], None], folder: Path
) -> None:
    cache = TokenizerCache()
    cache.keep(folder)
    before = cache.get_or_read(SPEC, folder)
    change(folder)
    assert not is_kept(cache, folder)
    cache.keep(folder)
    assert is_kept(cache, folder)
    assert cache.get_or_read(SPEC, folder) is not before


def test_a_link_that_leads_nowhere_is_no_obstacle(folder: Path) -> None:
    (folder / "vocab.json").symlink_to(folder / "none")
    cache = TokenizerCache()
    cache.keep(folder)
    assert is_kept(cache, folder)


def test_those_least_recently_used_go_when_there_are_too_many_and_their_memory_with_them(
    origin: Path, tmp_path: Path
) -> None:
    folders = [copied(origin, tmp_path / name) for name in ("one", "two", "three")]
    cache = TokenizerCache(2 * num_bytes(origin))
    cache.keep(folders[0])
    cache.keep(folders[1])
    second = weakref.ref(cache.get_or_read(SPEC, folders[1]))
    cache.keep(folders[0])
    cache.keep(folders[2])
    assert [is_kept(cache, folder) for folder in folders] == [True, False, True]
    gc.collect()
    assert second() is None


def test_one_that_is_larger_than_the_bound_is_not_kept_and_costs_no_other_its_place(
    origin: Path, folder: Path, tmp_path: Path
) -> None:
    larger = copied(origin, tmp_path / "larger")
    file = larger / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4))
    cache = TokenizerCache(num_bytes(folder))
    cache.keep(folder)
    assert not cache.takes(SPEC, larger, read_tokenizer(SPEC, larger))
    cache.keep(larger)
    assert (is_kept(cache, folder), is_kept(cache, larger)) == (True, False)


def test_a_trie_counts_for_what_it_takes(tmp_path: Path) -> None:
    """Unigram's vocabulary; measured as more than fifty bytes for each of the file."""
    folder = build_tiny_model("t5", tmp_path)
    assert num_bytes(folder) > 50 * (folder / "tokenizer.json").stat().st_size


def test_code_of_a_repository_is_not_run_to_keep_a_tokenizer(folder: Path) -> None:
    marker = folder / "ran"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w')\nclass Own:\n    pass\n")
    file = folder / "tokenizer_config.json"
    own = {"auto_map": {"AutoTokenizer": [None, "own.Own"]}, "tokenizer_class": "Own"}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    TokenizerCache().keep(folder)
    assert not marker.exists()


def test_where_code_of_a_repository_may_be_run_or_a_slow_tokenizer_was_asked_for_none_is_given_that_was_kept(
    folder: Path,
) -> None:
    cache = TokenizerCache()
    cache.keep(folder)
    kept = cache.get_or_read(SPEC, folder)
    for changes in ({"trust_remote_code": True}, {"use_fast_tokenizer": False}):
        spec = spec_of("owner/tiny", **changes)
        assert not cache.takes(spec, folder, kept)
        assert cache.get_or_read(spec, folder) is not kept


def test_one_that_needs_other_files_than_tokenizer_json_is_not_kept(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    cache = TokenizerCache()
    assert not cache.takes(SPEC, folder, tokenizer)
    cache.keep(folder)
    with pytest.raises(ModelLoadError, match="tokenizer"):
        cache.get_or_read(SPEC, folder)


def test_damaged_files_are_an_error_of_the_load_and_of_nothing_else(folder: Path) -> None:
    cache = TokenizerCache()
    cache.keep(folder)
    (folder / "tokenizer.json").write_text("{")
    cache.keep(folder)
    with pytest.raises(ModelLoadError, match="the tokenizer of owner/tiny could not be loaded"):
        cache.get_or_read(SPEC, folder)
