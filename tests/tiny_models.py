"""Small models of every supported architecture, randomly initialised, each with a real tokenizer made on the spot.

A folder looks like what `save_pretrained` leaves of a hub model. Weights are drawn wide enough that greedy answers
vary from token to token, which the usual initialisation of an untrained model does not give.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BloomConfig,
    CodeGenConfig,
    GemmaConfig,
    GenerationConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from tests.tiny_causal import ALONE_CONFIGS, CAUSAL_CONFIGS, REFUSED_CONFIGS
from tests.tiny_seq2seq import ALONE_SEQ2SEQ_CONFIGS, GENERATION, SEQ2SEQ_CONFIGS

FAMILIES = ("gpt2", "codegen", "t5", "opt", "gpt_neox", "bloom", "llama", "gemma")
"""One for each architecture in the shipped registry."""
VARIANTS = ("dialogpt", "llama_chat", "opt_350m")
"""Further names that `build_tiny_model` knows: the same architectures, put together differently."""
CAUSAL_FAMILIES = tuple(CAUSAL_CONFIGS)
ALONE_FAMILIES = tuple(ALONE_CONFIGS)
REFUSED_FAMILIES = tuple(REFUSED_CONFIGS)
"""Decoder-only models beyond the shipped registry: those that are batched, that cannot be, and that are not served."""
SEQ2SEQ_FAMILIES = tuple(SEQ2SEQ_CONFIGS)
ALONE_SEQ2SEQ_FAMILIES = tuple(ALONE_SEQ2SEQ_CONFIGS)
"""Encoder–decoder models beyond the shipped registry's T5: those that are batched, and those that are not."""

MAX_POSITIONS = 128
"""Of every family with a limit; T5 has none."""
VOCAB_SIZE = 480
ALPHABET_SIZE = 90
"""Characters that have a token of their own where the others fall back to bytes."""

_FIRST_SEED = 4
"""With it, no family falls into repeating one token on the prompts tried; BLOOM and T5 do with most others."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CORPUS = [
    "The stable at the edge of the village holds seven horses, and each of them has a name.",
    "Every morning the hostler opens the door, fills the water trough and brushes the grey mare.",
    "What is the capital of France? The capital of France is Paris, and it lies on the river Seine.",
    "Translate English to German: The house is wonderful. Answer the question: how many legs has a horse?",
    "Human: Hello, how are you today?\nAssistant: I am well, thank you. How can I help you?",
    "def count_horses(stable):\n    total = 0\n    for horse in stable:\n        total += 1\n    return total\n",
    "class Horse:\n    def __init__(self, name: str, age: int = 3) -> None:\n        self.name = name\n",
    "import json\nwith open('horses.json') as file:\n    print(json.load(file)['names'])\n",
    "Größe, Übermut und Maß: der Stallknecht füttert die Pferde. L'élève a déjà mangé à Noël.",
    "Привет, мир! Лошадь стоит в конюшне. こんにちは世界。馬は馬小屋にいます。 你好，世界。🐴🏠",
    "0 1 2 3 4 5 6 7 8 9 10 100 2026 3.14 -1 x = (a + b) * c / d % e; y <= z && w != v || !u",
]


@dataclass(frozen=True)
class _Specials:
    """Special tokens of a tokenizer, in the order of their ids."""

    tokens: tuple[str, ...]
    eos: str
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None


_GPT = _Specials(("<|endoftext|>",), eos="<|endoftext|>", bos="<|endoftext|>", unk="<|endoftext|>")
_DIALOGPT = _Specials(("<|endoftext|>",), eos="<|endoftext|>")
_OPT = _Specials(("<s>", "<pad>", "</s>", "<unk>"), eos="</s>", bos="</s>", pad="<pad>", unk="</s>")
_BLOOM = _Specials(("<unk>", "<s>", "</s>", "<pad>"), eos="</s>", bos="<s>", pad="<pad>", unk="<unk>")
_T5 = _Specials(("<pad>", "</s>", "<unk>"), eos="</s>", pad="<pad>", unk="<unk>")
_LLAMA = _Specials(("<unk>", "<s>", "</s>"), eos="</s>", bos="<s>", unk="<unk>")
_GEMMA = _Specials(("<pad>", "<eos>", "<bos>", "<unk>"), eos="<eos>", bos="<bos>", pad="<pad>", unk="<unk>")
_CHATML = _Specials(
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    eos="<|im_end|>",
    bos="<|im_start|>",
    pad="<|im_end|>",
    unk="<|endoftext|>",
)


def _byte_level_bpe(specials: _Specials) -> Tokenizer:
    """As GPT-2's: every byte has a token, so that any text survives."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(specials.tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _byte_level_bpe_with_bos(specials: _Specials) -> Tokenizer:
    """As OPT's: GPT-2's with one token before the text."""
    tokenizer = _byte_level_bpe(specials)
    _put_bos_first(tokenizer, specials)
    return tokenizer


def _frequent_characters(count: int) -> list[str]:
    """Of the corpus. The trainer's own choice between characters of like frequency differs from run to run."""
    counted = Counter("".join(_CORPUS).replace(" ", "▁"))
    return sorted(counted, key=lambda character: (-counted[character], character))[:count]


def _byte_fallback_bpe(specials: _Specials) -> Tokenizer:
    """As Gemma's: `▁` for spaces, a byte token for each byte of a character that has none of its own."""
    trained = Tokenizer(models.BPE())
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE + len(byte_tokens),
        special_tokens=[*specials.tokens, *byte_tokens],
        limit_alphabet=ALPHABET_SIZE,
        initial_alphabet=_frequent_characters(ALPHABET_SIZE),
        max_token_length=12,
        show_progress=False,
    )
    trained.train_from_iterator((f"▁{word}" for line in _CORPUS for word in line.split(" ")), trainer)
    # The trainer knows no tokens that are neither learned nor special; byte tokens must not be special, so the
    # learned model moves into a tokenizer that was not told of them.
    learned = json.loads(trained.to_str())["model"]
    tokenizer = Tokenizer(
        models.BPE(
            learned["vocab"],
            [(left, right) for left, right in learned["merges"]],
            unk_token=specials.unk,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.add_special_tokens(list(specials.tokens))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _put_bos_first(tokenizer, specials)
    return tokenizer


def _byte_fallback_bpe_with_prefix(specials: _Specials) -> Tokenizer:
    """As Llama's first: Gemma's with a space put before the text and taken off again."""
    tokenizer = _byte_fallback_bpe(specials)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _unigram(specials: _Specials) -> Tokenizer:
    """As T5's: SentencePiece's pieces, end-of-sequence after the text; characters it has not seen are unknown."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=list(specials.tokens), unk_token=specials.unk, show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    # The trainer takes characters of like score in another order in each run, which shows in their third decimals.
    learned = json.loads(tokenizer.to_str())["model"]
    pieces = [(piece, round(score, 2)) for piece, score in learned["vocab"]]
    num_specials = len(specials.tokens)
    pieces[num_specials:] = sorted(pieces[num_specials:], key=lambda scored: (-scored[1], scored[0]))
    tokenizer.model = models.Unigram(pieces, learned["unk_id"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {specials.eos}", special_tokens=[(specials.eos, tokenizer.token_to_id(specials.eos))]
    )
    return tokenizer


def _put_bos_first(tokenizer: Tokenizer, specials: _Specials) -> None:
    assert specials.bos is not None
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{specials.bos} $A", special_tokens=[(specials.bos, tokenizer.token_to_id(specials.bos))]
    )


def _gpt2(vocab_size: int) -> PreTrainedConfig:
    return GPT2Config(vocab_size=vocab_size, n_positions=MAX_POSITIONS, n_embd=32, n_layer=2, n_head=4)


def _codegen(vocab_size: int) -> PreTrainedConfig:
    return CodeGenConfig(
        vocab_size=vocab_size,
        n_positions=MAX_POSITIONS,
        n_ctx=MAX_POSITIONS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        rotary_dim=4,
    )


def _t5(vocab_size: int) -> PreTrainedConfig:
    return T5Config(
        vocab_size=vocab_size,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )


def _opt(vocab_size: int) -> PreTrainedConfig:
    return OPTConfig(
        vocab_size=vocab_size,
        max_position_embeddings=MAX_POSITIONS,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
    )


def _opt_350m(vocab_size: int) -> PreTrainedConfig:
    """The one OPT that normalises after its layers and projects its embeddings."""
    return OPTConfig(
        vocab_size=vocab_size,
        max_position_embeddings=MAX_POSITIONS,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
    )


def _gpt_neox(vocab_size: int) -> PreTrainedConfig:
    return GPTNeoXConfig(
        vocab_size=vocab_size,
        max_position_embeddings=MAX_POSITIONS,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
    )


def _bloom(vocab_size: int) -> PreTrainedConfig:
    return BloomConfig(vocab_size=vocab_size, hidden_size=64, n_layer=2, n_head=8, seq_length=MAX_POSITIONS)


def _llama(vocab_size: int) -> PreTrainedConfig:
    return LlamaConfig(
        vocab_size=vocab_size,
        max_position_embeddings=MAX_POSITIONS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )


def _gemma(vocab_size: int) -> PreTrainedConfig:
    return GemmaConfig(
        vocab_size=vocab_size,
        max_position_embeddings=MAX_POSITIONS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
    )


@dataclass(frozen=True)
class _Recipe:
    config: Callable[[int], PreTrainedConfig]
    """From the size of the vocabulary."""
    tokenizer: Callable[[_Specials], Tokenizer]
    specials: _Specials
    chat_template: str | None = None


_RECIPES = {
    "gpt2": _Recipe(_gpt2, _byte_level_bpe, _GPT),
    "codegen": _Recipe(_codegen, _byte_level_bpe, _GPT),
    "t5": _Recipe(_t5, _unigram, _T5),
    "opt": _Recipe(_opt, _byte_level_bpe_with_bos, _OPT),
    "gpt_neox": _Recipe(_gpt_neox, _byte_level_bpe, _GPT),
    "bloom": _Recipe(_bloom, _byte_level_bpe, _BLOOM),
    "llama": _Recipe(_llama, _byte_fallback_bpe_with_prefix, _LLAMA),
    "gemma": _Recipe(_gemma, _byte_fallback_bpe, _GEMMA),
    "dialogpt": _Recipe(_gpt2, _byte_level_bpe, _DIALOGPT),
    "llama_chat": _Recipe(_llama, _byte_level_bpe, _CHATML, CHAT_TEMPLATE),
    "opt_350m": _Recipe(_opt_350m, _byte_level_bpe_with_bos, _OPT),
}
_RECIPES |= {
    family: _Recipe(config, _unigram, _T5) for family, config in (SEQ2SEQ_CONFIGS | ALONE_SEQ2SEQ_CONFIGS).items()
}
_RECIPES |= {
    family: _Recipe(config, _byte_level_bpe, _GPT)
    for family, config in (CAUSAL_CONFIGS | ALONE_CONFIGS | REFUSED_CONFIGS).items()
}


def build_tiny_model(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a complete model into `folder`, which is made if need be, and return it.

    The same family and seed give the same files. `family` is one of `FAMILIES`, `VARIANTS` or `SEQ2SEQ_FAMILIES`.
    """
    recipe = _RECIPES[family]
    specials = recipe.specials
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=recipe.tokenizer(specials),
        eos_token=specials.eos,
        bos_token=specials.bos,
        pad_token=specials.pad,
        unk_token=specials.unk,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = recipe.chat_template
    tokenizer.save_pretrained(folder)

    config = recipe.config(len(tokenizer))
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    for name, token_id in ids.items():
        setattr(config, name, token_id)
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        # What is added to below may be drawn itself, such as the decays of state-space models.
        torch.manual_seed(_FIRST_SEED + seed)
        model = auto_class.from_config(config, dtype=torch.float32)
    _draw_weights(model, seed)
    decoder_start = getattr(config, "decoder_start_token_id", None)
    model.generation_config = GenerationConfig(
        **ids, decoder_start_token_id=decoder_start, **GENERATION.get(family, {})
    )
    model.save_pretrained(folder)
    return folder


def save_as_pickle_repository(folder: Path) -> Path:
    """Turn a folder's safetensors into the `pytorch_model.bin` that older repositories have instead."""
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def _draw_weights(model: torch.nn.Module, seed: int) -> None:
    """Wide matrices, so that layers outweigh the token's own embedding, and biases and norms that are not neutral."""
    generator = torch.Generator().manual_seed(_FIRST_SEED + seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() >= 2:
                parameter.copy_(noise * 0.6)
            else:
                parameter.add_(noise * 0.1)
