"""Vectors, scores and labels are those of plain transformers, text by text, whatever is computed beside them."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from hostler.types import ModelType, TextPair
from tests.engine.pooling.harness import CLASSIFY, SCORE, TEXTS, engine_of, pool, prompts
from tests.tiny_encoders import CONFIGS, ENCODERS, MAX_TOKENS, build_classifier, build_encoder, write_modules

TOLERANCE = 1e-5


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.shape == expected.shape and bool(torch.allclose(found, expected, rtol=0, atol=TOLERANCE))


@torch.inference_mode()
def mean_of(folder: Path, text: str) -> torch.Tensor:
    """By hand, of one text without padding."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    return model(**inputs).last_hidden_state[0].mean(dim=0)


@torch.inference_mode()
def logits_of(folder: Path, *texts: str) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    return model(**AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt")).logits[0]


@pytest.mark.parametrize("family", ENCODERS)
def test_a_bare_encoder_gives_the_mean_of_its_tokens(family: str, tmp_path: Path) -> None:
    folder = build_encoder(family, tmp_path)
    engine = engine_of(folder)
    assert engine.facts.max_model_len == MAX_TOKENS
    together = pool(engine, prompts(TEXTS))
    assert close(together, torch.stack([mean_of(folder, text) for text in TEXTS]))
    assert close(together, torch.cat([pool(engine, prompts([text])) for text in TEXTS]))
    assert together.std(dim=0).max() > 0.1


@torch.inference_mode()
def test_a_decoder_gives_its_last_token_with_modules_and_without(tmp_path: Path) -> None:
    folder = build_encoder("qwen3", tmp_path)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    last = torch.stack([model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1] for text in TEXTS])
    assert close(pool(engine_of(folder), prompts(TEXTS)), last)
    write_modules(
        folder,
        {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False},
        "Normalize",
        config_sentence_transformers={"prompts": {"query": "Instruct: find\nQuery:", "document": ""}},
    )
    engine = engine_of(folder)
    assert engine.facts.pooling is not None
    assert engine.facts.pooling.input_types == ["document", "query"]
    assert close(pool(engine, prompts(TEXTS)), torch.nn.functional.normalize(last, dim=-1))


@pytest.mark.parametrize("family", CONFIGS)
def test_a_reranker_scores_pairs(family: str, tmp_path: Path) -> None:
    folder = build_classifier(family, tmp_path, ["relevance"])
    pairs = [TextPair(text="Which mare?", text_pair=text) for text in TEXTS]
    scores = pool(engine_of(folder, ModelType.RERANKER), list(pairs), SCORE)
    expected = torch.stack([logits_of(folder, pair.text, pair.text_pair) for pair in pairs]).sigmoid()
    assert close(scores, expected)
    assert scores.max() - scores.min() > 1e-3


def test_a_reranker_that_names_no_activation_has_none(tmp_path: Path) -> None:
    own = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    folder = build_classifier("bert", tmp_path, ["relevance"], **own)
    pair = TextPair(text="Which mare?", text_pair=TEXTS[0])
    score = pool(engine_of(folder, ModelType.RERANKER), [pair], SCORE)
    assert close(score[0], logits_of(folder, pair.text, pair.text_pair))


@pytest.mark.parametrize("family", CONFIGS)
def test_a_classifier_gives_each_label_a_probability(family: str, tmp_path: Path) -> None:
    folder = build_classifier(family, tmp_path, ["bad", "neutral", "good"])
    engine = engine_of(folder, ModelType.CLASSIFIER)
    assert engine.facts.pooling is not None
    assert engine.facts.pooling.labels == ["bad", "neutral", "good"]
    expected = torch.stack([logits_of(folder, text) for text in TEXTS]).softmax(dim=-1)
    assert close(pool(engine, prompts(TEXTS), CLASSIFY), expected)


def test_labels_that_exclude_nothing_have_probabilities_of_their_own(tmp_path: Path) -> None:
    folder = build_classifier("bert", tmp_path, ["wet", "cold"], problem_type="multi_label_classification")
    found = pool(engine_of(folder, ModelType.CLASSIFIER), prompts(TEXTS), CLASSIFY)
    assert close(found, torch.stack([logits_of(folder, text) for text in TEXTS]).sigmoid())


def test_a_decoder_that_knows_no_padding_classifies_all_the_same(tmp_path: Path) -> None:
    folder = build_classifier("qwen3", tmp_path, ["bad", "good"], pad_token_id=None)
    found = pool(engine_of(folder, ModelType.CLASSIFIER), prompts(TEXTS), CLASSIFY)
    assert close(found, torch.stack([logits_of(folder, text) for text in TEXTS]).softmax(dim=-1))
