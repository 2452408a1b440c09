"""all-MiniLM-L6-v2 beside the vectors that sentence-transformers made of the same texts."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from hostler.engine.pooling.factory import PoolingEngine
from hostler.types import PoolingInput, TextPair, TextPrompt
from tests.embedder import embedder_folder
from tests.engine.pooling.harness import EMBED, SCORE, engine_of, pool

REFERENCE: dict[str, Any] = json.loads(Path(__file__).with_name("all_minilm_l6_v2.json").read_text(encoding="utf-8"))
"""`SentenceTransformer(folder, device="cpu").encode(texts)`, float32; the last text is longer than the model takes,
and was cut."""
EXPECTED = torch.stack(
    [torch.frombuffer(bytearray(base64.b64decode(row)), dtype=torch.float32) for row in REFERENCE["vectors"]]
)
TEXTS: list[PoolingInput] = [TextPrompt(text=text) for text in REFERENCE["texts"]]
CUT = replace(EMBED, truncate_tokens=-1)


@pytest.fixture(scope="module")
def engine() -> PoolingEngine:
    return engine_of(embedder_folder())


def test_vectors_are_those_of_sentence_transformers(engine: PoolingEngine) -> None:
    assert (engine.facts.max_model_len, engine.facts.dtype) == (256, "float32")
    together = pool(engine, TEXTS, CUT)
    alone = torch.cat([pool(engine, [text], CUT) for text in TEXTS])
    for found in (together, alone):
        assert (found - EXPECTED).abs().max() < 1e-5


def test_what_answers_a_question_is_nearest_to_it(engine: PoolingEngine) -> None:
    texts = REFERENCE["texts"]
    pairs: list[PoolingInput] = [TextPair(text=texts[1], text_pair=text) for text in texts[2:6]]
    scores = pool(engine, pairs, SCORE)[:, 0]
    assert scores.argmax() == 0
    assert (scores - EXPECTED[2:6] @ EXPECTED[1]).abs().max() < 1e-5
