"""Configurations of small decoder-only models beyond the shipped registry, one for each way an architecture can differ.

Windows are 16 tokens wide, so that ordinary prompts are longer; layers alternate where the real models' do.
"""

from collections.abc import Callable
from typing import Any

from transformers import (
    BigBirdPegasusConfig,
    FalconConfig,
    FalconH1Config,
    Gemma2Config,
    Gemma3TextConfig,
    GPTJConfig,
    GPTNeoConfig,
    JambaConfig,
    Lfm2Config,
    Mamba2Config,
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    MptConfig,
    Olmo2Config,
    Olmo3Config,
    OpenAIGPTConfig,
    PhiConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3NextConfig,
    RecurrentGemmaConfig,
    RwkvConfig,
    StableLmConfig,
    XGLMConfig,
)

WINDOW = 16
_POSITIONS = 128

_LLAMA_LIKE: dict[str, Any] = {
    "max_position_embeddings": _POSITIONS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_GPT_LIKE: dict[str, Any] = {"n_positions": _POSITIONS, "n_embd": 32, "n_layer": 2, "n_head": 4}
_FALCON: dict[str, Any] = {
    "max_position_embeddings": _POSITIONS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_ALTERNATING = ["sliding_attention", "full_attention"]


def _of(config_class: type[PreTrainedConfig], **sizes: Any) -> Callable[[int], PreTrainedConfig]:
    return lambda vocab_size: config_class(vocab_size=vocab_size, **sizes)


CAUSAL_CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "gptj": _of(GPTJConfig, **_GPT_LIKE, rotary_dim=4),
    "gpt_neo": _of(
        GPTNeoConfig,
        max_position_embeddings=_POSITIONS,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=WINDOW,
    ),
    "falcon_rotary": _of(FalconConfig, **_FALCON, multi_query=True, alibi=False),
    "falcon_alibi": _of(FalconConfig, **_FALCON, multi_query=False, alibi=True, parallel_attn=False, bias=True),
    "falcon_grouped": _of(FalconConfig, **_FALCON, new_decoder_architecture=True, num_kv_heads=2, alibi=False),
    "phi": _of(PhiConfig, **_LLAMA_LIKE),
    "mistral": _of(MistralConfig, **_LLAMA_LIKE, sliding_window=WINDOW),
    "qwen2": _of(Qwen2Config, **_LLAMA_LIKE),
    "qwen2_windowed": _of(
        Qwen2Config, **_LLAMA_LIKE, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen3": _of(Qwen3Config, **_LLAMA_LIKE, head_dim=8),
    "gemma2": _of(
        Gemma2Config,
        **_LLAMA_LIKE,
        head_dim=8,
        sliding_window=WINDOW,
        query_pre_attn_scalar=8,
        layer_types=_ALTERNATING,
    ),
    "gemma3": _of(
        Gemma3TextConfig,
        **_LLAMA_LIKE,
        head_dim=8,
        sliding_window=WINDOW,
        query_pre_attn_scalar=8,
        layer_types=_ALTERNATING,
    ),
    "mpt": _of(MptConfig, d_model=32, n_heads=4, n_layers=2, max_seq_len=_POSITIONS),
    "stablelm": _of(StableLmConfig, **_LLAMA_LIKE),
    "olmo2": _of(Olmo2Config, **_LLAMA_LIKE),
    "xglm": _of(
        XGLMConfig,
        max_position_embeddings=_POSITIONS,
        d_model=32,
        ffn_dim=64,
        num_layers=2,
        attention_heads=4,
    ),
    "mixtral": _of(MixtralConfig, **_LLAMA_LIKE, num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": _of(
        Qwen2MoeConfig,
        **_LLAMA_LIKE,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
    ),
}
"""Architectures that are batched."""

ALONE_CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "mamba": _of(MambaConfig, hidden_size=32, num_hidden_layers=2, state_size=8),
    "mamba2": _of(
        Mamba2Config,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=8,
        head_dim=8,
        state_size=8,
        n_groups=1,
        chunk_size=8,
    ),
    "jamba": _of(
        JambaConfig,
        **_LLAMA_LIKE,
        num_experts=2,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        mamba_d_state=8,
        mamba_dt_rank=4,
        use_mamba_kernels=False,
    ),
    "falcon_h1": _of(
        FalconH1Config,
        **_LLAMA_LIKE,
        mamba_d_ssm=64,
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_n_groups=1,
        mamba_d_state=8,
        mamba_chunk_size=8,
    ),
    "lfm2": _of(Lfm2Config, **{**_LLAMA_LIKE, "num_hidden_layers": 3}, layer_types=["conv", "full_attention", "conv"]),
    "qwen3_next": _of(
        Qwen3NextConfig,
        **{**_LLAMA_LIKE, "num_hidden_layers": 4},
        head_dim=8,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
    ),
    "bigbird_pegasus": _of(
        BigBirdPegasusConfig,
        max_position_embeddings=_POSITIONS,
        d_model=32,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        is_encoder_decoder=False,
        is_decoder=True,
    ),
    "olmo3": _of(Olmo3Config, **_LLAMA_LIKE, sliding_window=WINDOW, layer_types=_ALTERNATING),
}
"""Architectures whose sequences keep to themselves: those whose state is not keys and values alone, one that counts
positions by the length of its cache, and one with windows that is not in the engine's table."""

REFUSED_CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "recurrent_gemma": _of(
        RecurrentGemmaConfig,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        lru_width=32,
        attention_window_size=WINDOW,
    ),
    "rwkv": _of(RwkvConfig, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2, context_length=_POSITIONS),
    "openai_gpt": _of(OpenAIGPTConfig, **_GPT_LIKE),
}
"""Architectures that keep one sequence's state in the model, take it under a name of their own, or keep none."""
