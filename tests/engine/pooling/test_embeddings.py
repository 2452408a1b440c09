"""From texts to vectors as sentence-transformers' modules define it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from hostler.errors import ContextLengthError, HostlerError, InvalidRequestError, ModelLoadError
from hostler.types import ModelType, PoolingInput, PoolingParams, PoolingTask, TextPair, TextPrompt, TokenPrompt
from tests.engine.pooling.harness import EMBED, SCORE, TEXTS, engine_of, pool, pool_many, prompts
from tests.engine.pooling.test_families import close
from tests.tiny_encoders import MAX_TOKENS, build_classifier, build_encoder, write_modules


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")


@torch.inference_mode()
def hidden_of(folder: Path, text: str) -> torch.Tensor:
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    return model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).last_hidden_state[0]


def vectors(values: bytes, num_rows: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(values), dtype=torch.float32).view(num_rows, -1)


def test_several_modes_stand_one_behind_another(tmp_path: Path) -> None:
    folder = build_encoder("bert", tmp_path)
    modes = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
    write_modules(folder, {"pooling_mode": modes})
    expected = []
    for text in TEXTS:
        hidden = hidden_of(folder, text)
        weights = torch.arange(1, len(hidden) + 1).unsqueeze(1)
        expected.append(
            torch.cat(
                [
                    hidden[0],
                    hidden.max(dim=0).values,
                    hidden.mean(dim=0),
                    hidden.sum(dim=0) / len(hidden) ** 0.5,
                    (hidden * weights).sum(dim=0) / weights.sum(),
                    hidden[-1],
                ]
            )
        )
    assert close(pool(engine_of(folder), prompts(TEXTS)), torch.stack(expected))


def test_layers_follow_the_pooling(tmp_path: Path) -> None:
    folder = build_encoder("bert", tmp_path)
    write_modules(folder, {}, "Dense", "Normalize")
    weight, bias = torch.randn(8, 32), torch.randn(8)
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense" / "model.safetensors")
    dense = {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    engine = engine_of(folder)
    assert engine.facts.pooling is not None
    assert engine.facts.pooling.num_values == 8
    pooled = torch.stack([hidden_of(folder, text).mean(dim=0) for text in TEXTS])
    expected = functional.normalize(torch.tanh(functional.linear(pooled, weight, bias)), dim=-1)
    assert close(pool(engine, prompts(TEXTS)), expected)
    dense["activation_function"] = "os.system"
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    with pytest.raises(ModelLoadError, match="'system', is not known"):
        engine_of(folder)


def test_prompts_are_put_before_texts_and_pooled_where_the_model_says_so(tmp_path: Path) -> None:
    folder = build_encoder("bert", tmp_path)
    named = {"prompts": {"query": "The horse: ", "none": ""}, "default_prompt_name": "query"}
    write_modules(folder, {}, config_sentence_transformers=named)
    engine = engine_of(folder)
    with_prompt = hidden_of(folder, "The horse: mare")
    assert close(pool(engine, prompts(["mare"]))[0], with_prompt.mean(dim=0))
    without = replace(EMBED, input_type="none")
    assert close(pool(engine, prompts(["mare"]), without)[0], hidden_of(folder, "mare").mean(dim=0))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"include_prompt": False}))
    num_prompt_tokens = len(AutoTokenizer.from_pretrained(folder)("The horse: ").input_ids) - 1
    assert close(pool(engine_of(folder), prompts(["mare"]))[0], with_prompt[num_prompt_tokens:].mean(dim=0))


def test_fewer_dimensions_are_cut_and_of_length_one(folder: Path) -> None:
    engine = engine_of(folder)
    whole = pool(engine, prompts(TEXTS))
    cut = pool(engine, prompts(TEXTS), replace(EMBED, dimensions=5))
    assert close(cut, functional.normalize(whole[:, :5], dim=-1))
    assert close(pool(engine, prompts(TEXTS), replace(EMBED, dimensions=32)), whole)


def test_token_ids_are_taken_as_they_are(folder: Path) -> None:
    token_ids = AutoTokenizer.from_pretrained(folder)(TEXTS[0]).input_ids
    engine = engine_of(folder)
    assert close(pool(engine, [TokenPrompt(token_ids=token_ids)]), pool(engine, prompts(TEXTS[:1])))


def test_an_encoder_scores_pairs_by_their_cosine_and_reads_each_text_once(folder: Path) -> None:
    engine = engine_of(folder)
    pairs: list[PoolingInput] = [TextPair(text=TEXTS[0], text_pair=text) for text in TEXTS]
    read = pool(engine, prompts(TEXTS))
    expected = functional.cosine_similarity(read[:1], read)
    assert close(pool(engine, pairs, SCORE)[:, 0], expected)
    preparation = engine.inputs.begin(1, pairs, SCORE)
    assert preparation.advance()
    assert len(preparation.request.sequences) == len(TEXTS)


def test_requests_that_are_computed_together_get_what_they_would_alone(folder: Path) -> None:
    engine = engine_of(folder, max_num_batched_tokens=100)
    outputs = pool_many(engine, [prompts(TEXTS), prompts(TEXTS[::-1]), prompts(TEXTS[1:3])], EMBED)
    whole = pool(engine, prompts(TEXTS))
    assert close(vectors(outputs[0].values, 5), whole)
    assert close(vectors(outputs[1].values, 5), whole.flip(0))
    assert close(vectors(outputs[2].values, 2), whole[1:3])


def test_a_large_request_is_tokenised_in_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostler.engine.pooling.input_processor.PIECE_CHARS", 20)
    engine = engine_of(folder)
    for inputs, params in ((prompts(TEXTS), EMBED), ([TextPair(text="a", text_pair=text) for text in TEXTS], SCORE)):
        preparation = engine.inputs.begin(1, list(inputs), params)
        assert not preparation.advance()
        while not preparation.advance():
            pass
        engine.core.add_request(preparation.request)
        while engine.core.has_unfinished_requests():
            output = engine.core.step().outputs.get(1)
        assert output is not None
        monkeypatch.undo()
        (at_once,) = pool_many(engine, [list(inputs)], params)
        assert (output.values, output.num_tokens) == (at_once.values, at_once.num_tokens)
        monkeypatch.setattr("hostler.engine.pooling.input_processor.PIECE_CHARS", 20)


def test_what_is_too_long_is_refused_or_cut(folder: Path) -> None:
    engine = engine_of(folder)
    long = "horse " * 100
    with pytest.raises(ContextLengthError, match=rf"input\[1\] is too long: .* context length is {MAX_TOKENS} tokens"):
        pool(engine, prompts(["mare", long]))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for limit in (-1, 10):
        token_ids = tokenizer(long, truncation=True, max_length=MAX_TOKENS if limit < 0 else limit).input_ids
        params = replace(EMBED, truncate_tokens=limit)
        found = pool(engine, prompts([long]), params)
        assert close(found, pool(engine, [TokenPrompt(token_ids=token_ids)]))


@pytest.mark.parametrize(
    ("item", "changes", "param", "words"),
    [
        (TokenPrompt(token_ids=[5, 100_000]), {}, "input", "outside the vocabulary"),
        (TextPrompt(text="mare"), {"dimensions": 33}, "dimensions", "vectors have 32"),
        (TextPrompt(text="mare"), {"input_type": "query"}, "input_type", "it has none"),
        (TextPrompt(text="mare"), {"truncate_tokens": 65}, "truncate_prompt_tokens", "takes 64"),
        (TextPrompt(text="mare"), {"truncate_tokens": 2}, "truncate_prompt_tokens", "2 tokens are special"),
        (TextPrompt(text="mare"), {"task": PoolingTask.CLASSIFY}, "model", "does not classify"),
    ],
)
def test_what_does_not_suit_the_model_is_refused_by_name(
    folder: Path, item: PoolingInput, changes: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        pool(engine_of(folder), [item], replace(EMBED, **changes))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("labels", "model_type", "params"),
    [(["relevance"], ModelType.RERANKER, EMBED), (["bad", "good"], ModelType.CLASSIFIER, SCORE)],
)
def test_a_head_does_what_it_was_made_for_and_nothing_else(
    labels: list[str], model_type: ModelType, params: PoolingParams, tmp_path: Path
) -> None:
    engine = engine_of(build_classifier("bert", tmp_path, labels), model_type)
    with pytest.raises(InvalidRequestError, match="does not"):
        pool(engine, prompts(["mare"]), params)


@pytest.mark.parametrize(
    ("model_type", "words"),
    [
        (ModelType.RERANKER, "2 labels and a reranker has one; set its type to classifier"),
        (ModelType.TEXT, "does not generate text"),
    ],
)
def test_a_model_that_is_something_else_is_refused_at_its_load(
    model_type: ModelType, words: str, tmp_path: Path
) -> None:
    folder = build_classifier("bert", tmp_path, ["bad", "good"])
    with pytest.raises(ModelLoadError, match=words):
        engine_of(folder, model_type)


def test_an_encoder_without_a_head_neither_ranks_nor_classifies(folder: Path) -> None:
    for model_type in (ModelType.RERANKER, ModelType.CLASSIFIER):
        with pytest.raises(ModelLoadError, match=f"is no {model_type}: its architecture is BertModel"):
            engine_of(folder, model_type)


def test_what_is_infinite_is_an_error(folder: Path) -> None:
    engine = engine_of(folder)
    engine.core._runner._model.embeddings.word_embeddings.weight[:] = float("inf")  # type: ignore[attr-defined]
    with pytest.raises(HostlerError, match="not a number"):
        pool(engine, prompts(["mare"]), EMBED)


def test_texts_of_a_model_that_reads_lower_case_are_made_so(tmp_path: Path) -> None:
    folder = build_encoder("bert", tmp_path)
    write_modules(folder, {}, sentence_bert_config={"max_seq_length": 20, "do_lower_case": True})
    engine = engine_of(folder)
    assert engine.facts.max_model_len == 20
    assert close(pool(engine, prompts(["GREY Mare"])), pool(engine, prompts(["grey mare"])))


def test_its_tokenizer_can_be_asked(folder: Path) -> None:
    inputs = engine_of(folder).inputs
    token_ids = inputs.tokenize(TextPrompt(text="mare"), add_special_tokens=True)
    assert token_ids == AutoTokenizer.from_pretrained(folder)("mare").input_ids
    assert inputs.detokenize(token_ids) == "<s>mare</s>"
    assert inputs.tokenizer_facts().pad_token == "<pad>"
