"""Which keys of a `config.json` name code."""

from typing import Any

import pytest

from hostler.errors import ModelLoadError
from hostler.models.architecture import read_config
from hostler.models.config_code import has_own_code, keys_of_kernels, needs_own_code, repositories_of_code


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2", "attn_implementation": "sdpa"}, ()),
        ({"attn_implementation": "someone/kernels"}, ("attn_implementation",)),
        ({"_attn_implementation": "someone/kernels:attention"}, ("_attn_implementation",)),
        ({"_attn_implementation_internal": "eager"}, ("_attn_implementation_internal",)),
        ({"_attn_implementation_internal": None}, ()),
        ({"experts_implementation": {"": "a/b"}}, ("experts_implementation",)),
        ({"text_config": {"attn_implementation": "a/b"}}, ("text_config.attn_implementation",)),
    ],
)
def test_keys_that_name_a_repository_of_kernels_are_found(config: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert keys_of_kernels(config) == expected


def test_an_auto_map_says_that_the_repository_has_code() -> None:
    known = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    own = {"auto_map": {"AutoModel": "modeling_x.X"}}
    assert has_own_code(own)
    assert has_own_code(own | known)
    assert not has_own_code({"auto_map": {}})
    assert needs_own_code(own)
    assert needs_own_code(own | known | {"architectures": ["X"]})
    assert not needs_own_code(own | known)
    assert not needs_own_code({"architectures": ["X"]})


def test_a_model_whose_configuration_names_kernels_is_not_loaded(tmp_path: Any) -> None:
    config = {"model_type": "gpt2", "_attn_implementation_internal": "someone/kernels"}
    with pytest.raises(ModelLoadError, match=r"names code elsewhere \(_attn_implementation_internal\)"):
        read_config(tmp_path, config, trust_remote_code=False, name="a/b")


@pytest.mark.parametrize(
    ("auto_map", "repositories"),
    [
        (None, ()),
        ({"AutoConfig": "configuration.Own"}, ()),
        ({"AutoConfig": "some/code--configuration.Own", "AutoModel": "some/code--model.Own"}, ("some/code",)),
        ({"AutoTokenizer": ["other/words--slow.Own", None], "AutoConfig": "c.Own"}, ("other/words",)),
    ],
    ids=["none", "own", "elsewhere", "tokenizer"],
)
def test_the_repositories_whose_python_a_model_needs_are_told(auto_map: object, repositories: tuple[str, ...]) -> None:
    assert repositories_of_code({"auto_map": auto_map}) == repositories
