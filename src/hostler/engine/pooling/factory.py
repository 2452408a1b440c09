"""Puts an engine together around a loaded model that reads whole texts."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

from hostler.engine.pooling.core import PoolingCore, PoolingRunner
from hostler.engine.pooling.input_processor import PoolingInputProcessor, PoolingLimits
from hostler.engine.pooling.pooler import SentencePooler
from hostler.engine.pooling.runner import ClassifierRunner, EncoderRunner
from hostler.engine.pooling.scheduler import PoolingScheduler
from hostler.models.loader import LoadedModel
from hostler.models.sentence_modules import Dense, SentenceRecipe, read_recipe
from hostler.registry import ModelSpec
from hostler.types import ModelFacts, ModelType, PoolingFacts

Activation = Callable[[torch.Tensor], torch.Tensor]

_NO_LIMIT = 10**9
"""Tokenizers without a limit have one that is larger by far."""


@dataclass(frozen=True)
class PoolingEngine:
    """The two halves of a loaded model: what checks requests, and what answers them."""

    facts: ModelFacts
    inputs: PoolingInputProcessor
    core: PoolingCore


def build_pooling_engine(loaded: LoadedModel, spec: ModelSpec) -> PoolingEngine:
    """
    Raises:
        ModelLoadError: how the model makes vectors cannot be read, or is not known here.
    """
    model, tokenizer = loaded.model, loaded.tokenizer
    recipe = SentenceRecipe()
    pad_token_id = next((i for i in (tokenizer.pad_token_id, model.config.pad_token_id) if i is not None), 0)
    model.config.use_cache = False
    if spec.type is ModelType.EMBEDDING:
        recipe = read_recipe(loaded.folder, is_decoder=not _is_encoder(model.config), name=spec.name)
        pooler = SentencePooler(
            recipe, dtype=model.dtype, device=model.device, allow_pickle=spec.allow_pickle, name=spec.name
        )
        runner: PoolingRunner = EncoderRunner(model, pooler, pad_token_id)
        pooling = PoolingFacts(num_values=_num_dimensions(recipe, model), input_types=sorted(recipe.prompts))
    else:
        runner = ClassifierRunner(model, _activation_of(model.config, spec.type), pad_token_id)
        labels = [str(name) for _, name in sorted(model.config.id2label.items())]
        pooling = PoolingFacts(num_values=len(labels), labels=labels if spec.type is ModelType.CLASSIFIER else [])
    facts = msgspec.structs.replace(loaded.facts, max_model_len=_max_model_len(loaded, recipe), pooling=pooling)
    limits = PoolingLimits(
        model_type=spec.type,
        max_model_len=facts.max_model_len,
        vocab_size=model.get_input_embeddings().num_embeddings,
        num_values=pooling.num_values,
        prompts=recipe.prompts,
        default_prompt=recipe.default_prompt,
        pools_prompt=recipe.pools_prompt,
        lowercases=recipe.lowercases,
    )
    core = PoolingCore(PoolingScheduler(spec.max_num_batched_tokens), runner)
    return PoolingEngine(facts, PoolingInputProcessor(tokenizer, limits), core)


def _is_encoder(config: PreTrainedConfig) -> bool:
    """Those that are trained to fill gaps see both sides of a token."""
    return type(config) in MODEL_FOR_MASKED_LM_MAPPING


def _num_dimensions(recipe: SentenceRecipe, model: PreTrainedModel) -> int:
    dense = [layer for layer in recipe.layers if isinstance(layer, Dense)]
    if dense:
        return dense[-1].out_features
    num_dimensions: int = len(recipe.modes) * model.config.get_text_config().hidden_size
    return num_dimensions


def _max_model_len(loaded: LoadedModel, recipe: SentenceRecipe) -> int:
    """The least of what the registry, the recipe, the tokenizer and the model's positions allow."""
    limits = [loaded.facts.max_model_len]
    if recipe.max_seq_length is not None:
        limits.append(recipe.max_seq_length)
    if loaded.tokenizer.model_max_length < _NO_LIMIT:
        limits.append(int(loaded.tokenizer.model_max_length))
    for name, module in loaded.model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            # RoBERTa and its kin number their tokens from behind the padding's id.
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(limits)


def _activation_of(config: PreTrainedConfig, model_type: ModelType) -> Activation:
    """As sentence-transformers' cross-encoders and transformers' pipeline for text classification have it."""
    if model_type is ModelType.RERANKER:
        own = getattr(config, "sentence_transformers", None) or {}
        named = own.get("activation_fn") or getattr(config, "sbert_ce_default_activation_function", None) or ""
        return _as_it_is if str(named).endswith(".Identity") else _sigmoid
    if config.problem_type == "regression":
        return _as_it_is
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return _sigmoid
    return _softmax


def _as_it_is(logits: torch.Tensor) -> torch.Tensor:
    return logits


def _sigmoid(logits: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(logits)


def _softmax(logits: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, dim=-1)
