"""Small models that read whole texts, randomly initialised, of the families that sentence encoders are made of."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
"""By their ids; RoBERTa and its kin count positions from behind the padding's."""
MAX_TOKENS = 64
VOCAB_SIZE = 320

_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
}
_BEYOND_PADDING = MAX_TOKENS + 2

CONFIGS: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**_SIZES, max_position_embeddings=MAX_TOKENS),
    "roberta": RobertaConfig(**_SIZES, max_position_embeddings=_BEYOND_PADDING),
    "xlm-roberta": XLMRobertaConfig(**_SIZES, max_position_embeddings=_BEYOND_PADDING),
    "mpnet": MPNetConfig(**_SIZES, max_position_embeddings=_BEYOND_PADDING),
    "modernbert": ModernBertConfig(
        **_SIZES,
        max_position_embeddings=MAX_TOKENS,
        local_attention=8,
        global_attn_every_n_layers=2,
        cls_token_id=0,
        sep_token_id=2,
    ),
    "qwen3": Qwen3Config(**_SIZES, max_position_embeddings=MAX_TOKENS, num_key_value_heads=2, head_dim=8),
}
ENCODERS = tuple(family for family in CONFIGS if family != "qwen3")
"""Those that see both sides of a token."""

_CORPUS = [
    "The stable at the edge of the village holds seven horses, and each of them has a name.",
    "Every morning the hostler opens the door, fills the water trough and brushes the grey mare.",
    "Größe, Übermut und Maß: der Stallknecht füttert die Pferde.",
]


def build_encoder(family: str, folder: Path) -> Path:
    """A folder without a head, as `save_pretrained` leaves it."""
    torch.manual_seed(7)
    AutoModel.from_config(CONFIGS[family]).save_pretrained(folder)
    _tokenizer(family).save_pretrained(folder)
    return folder


def build_classifier(family: str, folder: Path, labels: list[str], **changes: Any) -> Path:
    """With a head for so many labels; one label makes a reranker. `changes` to its configuration."""
    torch.manual_seed(7)
    config = type(CONFIGS[family]).from_dict(CONFIGS[family].to_dict() | changes)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    _tokenizer(family).save_pretrained(folder)
    return folder


def write_modules(folder: Path, pooling: dict[str, Any], *types: str, **files: dict[str, Any]) -> None:
    """What sentence-transformers puts beside a model: a pooling, then layers of these types in folders of their own;
    further files by their names without suffix."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [(f"{number}_{name}", name) for number, name in enumerate(types, 2)]
    content = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in modules]
    (folder / "modules.json").write_text(json.dumps(content))
    for path, _ in modules[1:]:
        (folder / path).mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, file in files.items():
        (folder / f"{name}.json").write_text(json.dumps(file))


def _tokenizer(family: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    begins = "" if family == "qwen3" else "<s> "
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begins}$A </s>",
        pair=f"{begins}$A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"] if family == "bert" else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=names,
    )
