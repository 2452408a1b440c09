"""How a sentence encoder makes one vector of a text, read from the files that sentence-transformers puts beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hostler.errors import ModelLoadError
from hostler.models.json_files import parse_value, read_json

MODULES_FILE = "modules.json"
"""Says that a model is a sentence encoder, and what comes after the transformer."""


class PoolingMode(StrEnum):
    """How the vectors of a text's tokens become one; the values are sentence-transformers' names."""

    CLS = "cls"
    """The first token's."""
    MAX = "max"
    MEAN = "mean"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    """Their sum by the square root of their number."""
    WEIGHTED_MEAN = "weightedmean"
    """The mean, in which the n-th token counts n times."""
    LAST_TOKEN = "lasttoken"  # noqa: S105


_OLD_MODES = {
    "pooling_mode_cls_token": PoolingMode.CLS,
    "pooling_mode_max_tokens": PoolingMode.MAX,
    "pooling_mode_mean_tokens": PoolingMode.MEAN,
    "pooling_mode_mean_sqrt_len_tokens": PoolingMode.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": PoolingMode.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": PoolingMode.LAST_TOKEN,
}
"""Keys of older files, each true or false; where several are true, vectors stand one behind another in this order."""


@dataclass(frozen=True)
class Dense:
    """A layer after the pooling."""

    folder: Path
    """Holds its weights: `model.safetensors` or `pytorch_model.bin`."""
    in_features: int
    out_features: int
    has_bias: bool
    activation: str
    """Name of torch's class, such as `Tanh`."""


@dataclass(frozen=True)
class Normalize:
    """Vectors get the length 1."""


@dataclass(frozen=True)
class SentenceRecipe:
    """From token vectors to one for the text. The default is that of a bare encoder."""

    modes: tuple[PoolingMode, ...] = (PoolingMode.MEAN,)
    """With several, their vectors stand one behind another."""
    layers: tuple[Dense | Normalize, ...] = ()
    """In this order."""
    max_seq_length: int | None = None
    """Tokens; `None`: as many as the model takes."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Name → what stands before a text."""
    default_prompt: str = ""
    pools_prompt: bool = True
    """Whether tokens of a prompt are pooled with those of the text."""
    lowercases: bool = False


def read_recipe(folder: Path, *, is_decoder: bool, name: str) -> SentenceRecipe:
    """Of a model's folder. Where no `modules.json` says, encoders take the mean and decoders the last token.

    Raises:
        ModelLoadError: it has a part that is not known here, or a file that cannot be read. `name` is whose.
    """
    if not (folder / MODULES_FILE).is_file():
        return SentenceRecipe(modes=(PoolingMode.LAST_TOKEN if is_decoder else PoolingMode.MEAN,))
    try:
        return _read(folder, name)
    except (OSError, ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as exc:
        raise ModelLoadError(f"{name}: {MODULES_FILE} or a file that it names is missing or damaged") from exc


def _read(folder: Path, name: str) -> SentenceRecipe:
    modes: tuple[PoolingMode, ...] = (PoolingMode.MEAN,)
    pools_prompt = True
    layers: list[Dense | Normalize] = []
    encoder_path = ""
    for module in parse_value((folder / MODULES_FILE).read_bytes()):
        path = _inside(folder, module["path"])
        match str(module["type"]).rpartition(".")[2]:
            case "Transformer":
                encoder_path = module["path"]
            case "Pooling":
                config = _read_object(path / "config.json")
                modes = _modes_of(config)
                pools_prompt = bool(config.get("include_prompt", True))
            case "Normalize":
                layers.append(Normalize())
            case "Dense":
                layers.append(_dense_of(path))
            case "Dropout":
                pass  # nothing is dropped where nothing is learnt
            case other:
                raise ModelLoadError(f"{name}: {MODULES_FILE} has a {other[:80]!r}, which is not known here")
    if encoder_path:
        raise ModelLoadError(f"{name}: {MODULES_FILE} puts the model into a folder of its own, which is not known here")
    encoder = _read_object(folder / "sentence_bert_config.json")
    prompts = _read_object(folder / "config_sentence_transformers.json")
    named = {str(key): str(text) for key, text in (prompts.get("prompts") or {}).items()}
    limit = encoder.get("max_seq_length")
    return SentenceRecipe(
        modes=modes,
        layers=tuple(layers),
        max_seq_length=limit if type(limit) is int and limit > 0 else None,
        prompts=named,
        default_prompt=named.get(prompts.get("default_prompt_name") or "", ""),
        pools_prompt=pools_prompt,
        lowercases=bool(encoder.get("do_lower_case", False)),
    )


def _inside(folder: Path, path: str) -> Path:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("a module outside of its model")
    return folder / path


def _read_object(path: Path) -> dict[str, Any]:
    """A file that may not be there."""
    return read_json(path) if path.is_file() else {}


def _modes_of(config: Mapping[str, Any]) -> tuple[PoolingMode, ...]:
    mode = config.get("pooling_mode")
    if mode is not None:
        return tuple(PoolingMode(item) for item in ([mode] if isinstance(mode, str) else mode))
    return tuple(mode for key, mode in _OLD_MODES.items() if config.get(key)) or (PoolingMode.MEAN,)


def _dense_of(path: Path) -> Dense:
    config = _read_object(path / "config.json")
    return Dense(
        folder=path,
        in_features=int(config["in_features"]),
        out_features=int(config["out_features"]),
        has_bias=bool(config.get("bias", True)),
        activation=str(config.get("activation_function", "Tanh")).rpartition(".")[2],
    )
