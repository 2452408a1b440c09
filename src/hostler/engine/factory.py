"""Puts an engine together around a loaded model."""

from dataclasses import dataclass

import msgspec
import psutil
import torch
from transformers import DynamicCache, EncoderDecoderCache

from hostler.engine.beams.limits import BeamLimits
from hostler.engine.causal.runner import CausalRunner
from hostler.engine.core import EngineCore
from hostler.engine.kv_cache import BLOCK_SIZE, KVCacheManager
from hostler.engine.packed_linear import own_memory, pack_linears
from hostler.engine.scheduler import Scheduler
from hostler.engine.seq2seq.runner import Seq2SeqRunner
from hostler.engine.text.chat_template import Render, render
from hostler.engine.text.input_processor import InputProcessor, ModelLimits
from hostler.engine.text.output_processor import OutputProcessor
from hostler.models.architecture import is_own_class
from hostler.models.loader import LoadedModel
from hostler.models.model_shape import read_shape
from hostler.registry import ModelSpec
from hostler.types import ChatFormat, ModelFacts

CACHE_SHARE = 0.25
"""Part of the memory that is free after the load which the keys and values of this one model may take, where nobody has
said how much."""


@dataclass(frozen=True)
class Engine:
    """The two halves of a loaded model: what checks requests, and what answers them."""

    facts: ModelFacts
    inputs: InputProcessor
    core: EngineCore


def build_engine(loaded: LoadedModel, spec: ModelSpec, render_template: Render = render) -> Engine:
    """Assemble the engine around a model, whose layers are replaced where faster ones are known.

    `render_template`: by default in the thread that asks, and unbounded.

    Raises:
        ModelLoadError: the architecture cannot be served.
    """
    if pack_linears(loaded.model):
        own_memory(loaded.model)
    runner = Seq2SeqRunner(loaded.model) if loaded.facts.is_encoder_decoder else CausalRunner(loaded.model)
    can_reuse = spec.reuse_prefixes and isinstance(runner, CausalRunner) and runner.can_reuse_prefixes
    keeper = runner if isinstance(runner, CausalRunner) and can_reuse else None
    kv_cache = KVCacheManager(_cache_capacity_tokens(loaded, spec), reuses_prefixes=keeper is not None)
    scheduler = Scheduler(kv_cache, max_num_seqs=spec.max_num_seqs, max_num_batched_tokens=spec.max_num_batched_tokens)
    core = EngineCore(scheduler, runner, OutputProcessor(loaded.tokenizer), keeper)
    beams = BeamLimits.of(
        loaded.model.generation_config, max_num_seqs=spec.max_num_seqs, cache_tokens=kv_cache.capacity_tokens
    )
    inputs = InputProcessor(loaded.tokenizer, _limits(loaded, beams), render_template)
    facts = msgspec.structs.replace(loaded.facts, has_tool_template=inputs.has_tool_template)
    return Engine(facts, inputs, core)


def _limits(loaded: LoadedModel, beams: BeamLimits) -> ModelLimits:
    generation_config = loaded.model.generation_config
    start_id = generation_config.decoder_start_token_id
    return ModelLimits(
        max_model_len=loaded.facts.max_model_len,
        is_encoder_decoder=loaded.facts.is_encoder_decoder,
        decoder_start_token_id=start_id if start_id is not None else generation_config.bos_token_id,
        eos_token_ids=_eos_token_ids(loaded),
        vocab_size=loaded.model.get_input_embeddings().num_embeddings,
        chat_format=loaded.facts.chat_format,
        beams=beams,
        is_end_forced=generation_config.forced_eos_token_id is not None,
    )


def _eos_token_ids(loaded: LoadedModel) -> frozenset[int]:
    """The model's own, as `generate` takes them. A chat model also ends at its tokenizer's, which closes a turn."""
    configured = loaded.model.generation_config.eos_token_id
    eos_ids = set(configured if isinstance(configured, list) else [configured])
    if not eos_ids - {None} or loaded.facts.chat_format is ChatFormat.TEMPLATE:
        eos_ids.add(loaded.tokenizer.eos_token_id)
    return frozenset(eos_ids - {None})


def _cache_capacity_tokens(loaded: LoadedModel, spec: ModelSpec) -> int:
    """Never less than one sequence of full length, so that every admitted request can be finished alone; never more
    than as many as are computed at once."""
    max_model_len: int = loaded.facts.max_model_len
    least = -(-max_model_len // BLOCK_SIZE) * BLOCK_SIZE
    bound_bytes = spec.kv_cache_bytes
    if bound_bytes is None:
        bound_bytes = int(_free_bytes(loaded.model.device) * CACHE_SHARE)
    affordable: int = bound_bytes // max(1, _cache_bytes_per_token(loaded))
    return max(least, min(affordable, least * spec.max_num_seqs))


def _cache_bytes_per_token(loaded: LoadedModel) -> int:
    """Measured where the config does not say it, or belongs to code that came with the model."""
    model = loaded.model
    shape = read_shape(model.config.to_dict()) if is_own_class(model) else None
    num_bytes: int = (
        shape.cache_numbers_per_token * model.dtype.itemsize if shape is not None else _measured_cache_bytes(loaded)
    )
    return num_bytes


@torch.inference_mode()
def _measured_cache_bytes(loaded: LoadedModel) -> int:
    """What one token leaves in the model's cache."""
    token = torch.zeros((1, 1), dtype=torch.long, device=loaded.model.device)
    if loaded.facts.is_encoder_decoder:
        pair = EncoderDecoderCache(DynamicCache(), DynamicCache())
        loaded.model(input_ids=token, decoder_input_ids=token, past_key_values=pair, use_cache=True)
        layers = [*pair.self_attention_cache.layers, *pair.cross_attention_cache.layers]
    else:
        cache = DynamicCache(config=loaded.model.config)
        loaded.model(input_ids=token, past_key_values=cache, use_cache=True)
        layers = cache.layers
    tensors = [tensor for layer in layers for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))]
    return sum(int(tensor.nbytes) for tensor in tensors if tensor is not None)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
