"""From the vectors of a text's tokens to one vector, as sentence-transformers' modules define it."""

from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch.nn import functional

from hostler.errors import ModelLoadError
from hostler.models.repository_files import WeightsFormat, check_format_allowed
from hostler.models.sentence_modules import Dense, Normalize, PoolingMode, SentenceRecipe

Layer = Callable[[torch.Tensor], torch.Tensor]

_ACTIVATIONS: dict[str, Layer] = {
    "Identity": lambda vectors: vectors,
    "Tanh": torch.tanh,
    "ReLU": functional.relu,
    "GELU": functional.gelu,
    "SiLU": functional.silu,
    "Sigmoid": torch.sigmoid,
}


class SentencePooler:
    """Pools, then applies the layers that come after it."""

    def __init__(
        self, recipe: SentenceRecipe, *, dtype: torch.dtype, device: torch.device, allow_pickle: bool, name: str
    ) -> None:
        """
        Raises:
            ModelLoadError: a layer's file is missing, damaged, not allowed or of a kind that is not known; `name` is
                whose.
        """
        self._modes = recipe.modes
        self._layers: list[Layer] = [
            _normalize if isinstance(layer, Normalize) else _load_dense(layer, dtype, device, allow_pickle, name)
            for layer in recipe.layers
        ]

    def __call__(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        hidden: `[num_rows, num_tokens, hidden_size]`, of the model's last layer.
        mask: `[num_rows, num_tokens]`, true for tokens that count; at least one of each row does.
        """
        vectors = torch.cat([_pool(mode, hidden, mask) for mode in self._modes], dim=-1)
        for layer in self._layers:
            vectors = layer(vectors)
        return vectors


def _pool(mode: PoolingMode, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    counts = mask.unsqueeze(-1).float()
    match mode:
        case PoolingMode.CLS:
            return _pick(hidden, mask.int().argmax(dim=1))
        case PoolingMode.LAST_TOKEN:
            return _pick(hidden, mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1))
        case PoolingMode.MAX:
            return hidden.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)
        case PoolingMode.WEIGHTED_MEAN:
            # The places of tokens are those in the whole text, whether or not those before them count.
            counts = counts * torch.arange(1, mask.shape[1] + 1, device=mask.device).view(1, -1, 1)
    total, number = (hidden.float() * counts).sum(dim=1), counts.sum(dim=1)
    pooled = total / (number.sqrt() if mode is PoolingMode.MEAN_SQRT_LEN else number)
    return pooled.to(hidden.dtype)


def _pick(hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), places]


def _normalize(vectors: torch.Tensor) -> torch.Tensor:
    return functional.normalize(vectors, dim=-1)


def _load_dense(layer: Dense, dtype: torch.dtype, device: torch.device, allow_pickle: bool, name: str) -> Layer:
    activation = _ACTIVATIONS.get(layer.activation)
    if activation is None:
        raise ModelLoadError(f"{name} has a layer whose activation, {layer.activation[:80]!r}, is not known here")
    weights, pickled = layer.folder / "model.safetensors", layer.folder / "pytorch_model.bin"
    if weights.is_file():
        tensors = load_file(weights)
    else:
        check_format_allowed(WeightsFormat.PICKLE, f"a layer of {name}", allow_pickle=allow_pickle)
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
    weight = tensors["linear.weight"].to(device, dtype)
    bias = tensors["linear.bias"].to(device, dtype) if layer.has_bias else None
    if weight.shape != (layer.out_features, layer.in_features):
        raise ModelLoadError(f"{name} has a layer whose weights are not of the size that its configuration says")
    return lambda vectors: activation(functional.linear(vectors, weight, bias))
