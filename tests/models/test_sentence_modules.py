import json
from pathlib import Path
from typing import Any

import pytest

from hostler.errors import ModelLoadError
from hostler.models.repository_files import choose_supporting_files
from hostler.models.sentence_modules import Dense, Normalize, PoolingMode, SentenceRecipe, read_recipe
from tests.tiny_encoders import write_modules


def recipe_of(folder: Path, pooling: dict[str, Any], *types: str, **files: dict[str, Any]) -> SentenceRecipe:
    write_modules(folder, pooling, *types, **files)
    return read_recipe(folder, is_decoder=False, name="owner/tiny")


def test_without_modules_encoders_take_the_mean_and_decoders_the_last_token(tmp_path: Path) -> None:
    assert read_recipe(tmp_path, is_decoder=False, name="a").modes == (PoolingMode.MEAN,)
    assert read_recipe(tmp_path, is_decoder=True, name="a").modes == (PoolingMode.LAST_TOKEN,)


@pytest.mark.parametrize(
    ("pooling", "modes"),
    [
        ({}, [PoolingMode.MEAN]),
        ({"pooling_mode_mean_tokens": True}, [PoolingMode.MEAN]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, [PoolingMode.CLS]),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True, "pooling_mode_lasttoken": True},
            [PoolingMode.MAX, PoolingMode.MEAN, PoolingMode.LAST_TOKEN],
        ),
        ({"pooling_mode": "weightedmean"}, [PoolingMode.WEIGHTED_MEAN]),
        ({"pooling_mode": ["mean", "cls"]}, [PoolingMode.MEAN, PoolingMode.CLS]),
    ],
)
def test_the_pooling_is_read_in_its_old_spelling_and_in_its_new(
    pooling: dict[str, Any], modes: list[PoolingMode], tmp_path: Path
) -> None:
    assert recipe_of(tmp_path, pooling).modes == tuple(modes)


def test_everything_else_that_a_model_says_is_read(tmp_path: Path) -> None:
    write_modules(
        tmp_path,
        {"include_prompt": False},
        "Dense",
        "Normalize",
        sentence_bert_config={"max_seq_length": 256, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"query": "query: "}, "default_prompt_name": "query"},
    )
    dense = {
        "in_features": 4,
        "out_features": 2,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (tmp_path / "2_Dense" / "config.json").write_text(json.dumps(dense))
    assert read_recipe(tmp_path, is_decoder=False, name="a") == SentenceRecipe(
        modes=(PoolingMode.MEAN,),
        layers=(Dense(tmp_path / "2_Dense", 4, 2, has_bias=False, activation="Identity"), Normalize()),
        max_seq_length=256,
        prompts={"query": "query: "},
        default_prompt="query: ",
        pools_prompt=False,
        lowercases=True,
    )


def test_a_part_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="'LSTM', which is not known"):
        recipe_of(tmp_path, {}, "LSTM")


@pytest.mark.parametrize(
    "content", ["{", "[]5", '[{"type": "a.Pooling"}]', '[{"type": "a.Pooling", "path": "../other"}]', '["Pooling"]']
)
def test_damaged_modules_are_reported(content: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ModelLoadError, match=r"owner/tiny: modules\.json or a file that it names"):
        read_recipe(tmp_path, is_decoder=False, name="owner/tiny")


def test_the_files_of_its_layers_are_fetched_with_a_sentence_encoder() -> None:
    layers = ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    others = ["2_Dense/pytorch_model.bin", "onnx/model.onnx", "onnx/config.json", "model.safetensors"]
    chosen = choose_supporting_files(["config.json", "modules.json", *layers, *others], with_code=False)
    assert set(chosen) == {"config.json", "modules.json", *layers}
    assert set(choose_supporting_files(["config.json", *layers], with_code=False)) == {"config.json"}
