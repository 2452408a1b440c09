"""Configurations of small encoder–decoder models beyond the shipped registry's T5, and what their authors set."""

from collections.abc import Callable
from typing import Any

from transformers import (
    BartConfig,
    BlenderbotConfig,
    BlenderbotSmallConfig,
    LEDConfig,
    LongT5Config,
    M2M100Config,
    MarianConfig,
    MBartConfig,
    MT5Config,
    MvpConfig,
    PegasusConfig,
    PLBartConfig,
    PreTrainedConfig,
    ProphetNetConfig,
    SwitchTransformersConfig,
    UMT5Config,
)

_LIKE_T5: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
_LIKE_BART: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


def _of(config_class: type[PreTrainedConfig], start: int, **sizes: Any) -> Callable[[int], PreTrainedConfig]:
    """From the size of the vocabulary. `start` is the token that decoders begin with."""
    return lambda vocab_size: config_class(vocab_size=vocab_size, decoder_start_token_id=start, **sizes)


def _marian(vocab_size: int) -> PreTrainedConfig:
    """Its decoder's vocabulary is that of the large models where it is not told otherwise."""
    return _of(MarianConfig, 0, decoder_vocab_size=vocab_size, **_LIKE_BART)(vocab_size)


SEQ2SEQ_CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "mt5": _of(MT5Config, 0, **_LIKE_T5),
    # Unlike T5's, each of its layers has a position bias of its own.
    "umt5": _of(UMT5Config, 0, **_LIKE_T5),
    "bart": _of(BartConfig, 1, **_LIKE_BART),
    "mbart": _of(MBartConfig, 1, **_LIKE_BART),
    "mvp": _of(MvpConfig, 2, **_LIKE_BART),
    "plbart": _of(PLBartConfig, 2, **_LIKE_BART),
    "marian": _marian,
    "pegasus": _of(PegasusConfig, 0, **_LIKE_BART),
    "blenderbot": _of(BlenderbotConfig, 2, **_LIKE_BART),
    "blenderbot_small": _of(BlenderbotSmallConfig, 2, **_LIKE_BART),
    "m2m_100": _of(M2M100Config, 1, **_LIKE_BART),
}

ALONE_SEQ2SEQ_CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    # What an expert computes for a token depends on how many others of the batch have chosen it.
    "switch_transformers": _of(
        SwitchTransformersConfig,
        0,
        **_LIKE_T5,
        num_decoder_layers=2,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        num_experts=2,
    ),
    "longt5": _of(LongT5Config, 0, **_LIKE_T5, num_decoder_layers=2, local_radius=15),
    "led": _of(
        LEDConfig,
        2,
        **_LIKE_BART,
        max_encoder_position_embeddings=128,
        max_decoder_position_embeddings=128,
        attention_window=[16, 16],
    ),
    "prophetnet": _of(
        ProphetNetConfig,
        2,
        hidden_size=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_encoder_layers=2,
        num_decoder_layers=2,
        num_encoder_attention_heads=4,
        num_decoder_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=0,
    ),
}
"""Those whose sequences are computed one by one."""

GENERATION: dict[str, dict[str, Any]] = {
    "bart": {"forced_bos_token_id": 3, "forced_eos_token_id": 1, "no_repeat_ngram_size": 3, "min_length": 6},
    "mbart": {"forced_bos_token_id": 9, "forced_eos_token_id": 1},
    "marian": {"bad_words_ids": [[0]], "forced_eos_token_id": 1},
    "pegasus": {"forced_eos_token_id": 1},
}
"""What their authors put into `generation_config.json` beside the ids of special tokens."""
