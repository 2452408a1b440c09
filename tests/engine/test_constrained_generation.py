"""Answers that follow a grammar, token by token, beside answers that follow none."""

import json
from pathlib import Path

import jsonschema
import pytest
import torch

from hostler.engine.constraints.compiler import ConstraintCompiler
from hostler.errors import InvalidRequestError
from hostler.types import Constraint, ConstraintKind, FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.json_schemas import SCHEMAS
from tests.tiny_models import build_tiny_model

PROMPT = TokenPrompt(token_ids=[20, 21, 22])
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "y": {"enum": ["a", "b"]}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
CHECKED_FORMATS = ("date", "uuid", "ipv4", "ipv6", "email")
"""Python's own readers of times refuse more than six digits of a second, which the standard allows."""


def of_schema(schema: object) -> Constraint:
    return Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(schema), param="response_format")


def params(schema: object, seed: int = 0, max_tokens: int = 60, **more: object) -> SamplingParams:
    return SamplingParams(constraint=of_schema(schema), seed=seed, max_tokens=max_tokens, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["gpt2", "llama", "bloom", "t5"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """All tokens in one pass, rows of a batch, and an encoder–decoder; with tokenizers of both kinds."""
    tiny = TinyModel(build_tiny_model(request.param, tmp_path_factory.mktemp("constrained") / "tiny"))
    if tiny.is_encoder_decoder:
        # Its own tokenizer has no braces, as that of T5 has none.
        tiny.tokenizer = request.getfixturevalue("gpt2").tokenizer
        torch.manual_seed(0)
        tiny.model.resize_token_embeddings(len(tiny.tokenizer))
        tiny.model.generation_config.eos_token_id = tiny.tokenizer.eos_token_id
    return tiny


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return TinyModel(build_tiny_model("gpt2", tmp_path_factory.mktemp("constrained") / "gpt2"))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return TinyModel(build_tiny_model("t5", tmp_path_factory.mktemp("constrained") / "t5"))


def test_every_answer_parses_and_its_neighbours_are_what_they_were(tiny: TinyModel) -> None:
    engine = TinyEngine(tiny, max_num_batched_tokens=16)
    free = SamplingParams(temperature=0, max_tokens=20)
    engine.add(0, PROMPT, free)
    engine.add(1, PROMPT, params(POINT, n=3))
    engine.add(2, PROMPT, params(POINT, temperature=0))
    engine.add(3, PROMPT, free)
    engine.run()
    assert engine.tokens([0, 3]) == [tiny.reference(PROMPT.token_ids, 20)] * 2
    for key in [(1, 0), (1, 1), (1, 2), (2, 0)]:
        answer = engine.sequences[key]
        assert answer.finish_reason is FinishReason.STOP
        jsonschema.validate(json.loads(answer.text), POINT)


def test_a_greedy_answer_is_that_of_generate_with_the_same_tokens_allowed(gpt2: TinyModel) -> None:
    schema = {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 3}
    compiled = ConstraintCompiler(gpt2.tokenizer, 480, gpt2.limits.eos_token_ids).compile(of_schema(schema))

    def allowed(_: int, token_ids: torch.Tensor) -> list[int]:
        matcher = compiled.fork()
        for token_id in token_ids.tolist()[len(PROMPT.token_ids) :]:
            matcher.accept(token_id)
        return [token_id for token_id, may_come in enumerate(matcher.allowed()) if may_come]

    answer = TinyEngine(gpt2).answer(PROMPT, params(schema, temperature=0))
    assert answer.token_ids == gpt2.reference(PROMPT.token_ids, 60, prefix_allowed_tokens_fn=allowed)


def test_a_preempted_answer_goes_on_where_it_was_in_its_grammar(gpt2: TinyModel) -> None:
    def answers(cache_tokens: int) -> list[str]:
        engine = TinyEngine(gpt2, cache_tokens=cache_tokens)
        for request_id in range(6):
            engine.add(request_id, PROMPT, params(POINT, seed=request_id))
        engine.run()
        return [engine.sequences[request_id, 0].text for request_id in range(6)]

    unhindered = answers(1 << 20)
    assert answers(64) == unhindered
    for text in unhindered:
        jsonschema.validate(json.loads(text), POINT)


def test_texts_of_two_hundred_schemas_are_what_the_schemas_say(gpt2: TinyModel) -> None:
    assert len(SCHEMAS) >= 200
    engine = TinyEngine(gpt2, max_num_seqs=16)
    for request_id, schema in enumerate(SCHEMAS):
        engine.add(request_id, PROMPT, params(schema, seed=request_id, max_tokens=110))
    engine.run()
    assert engine.failures == {}
    checker = jsonschema.FormatChecker(formats=CHECKED_FORMATS)
    num_whole = 0
    for request_id, schema in enumerate(SCHEMAS):
        answer = engine.sequences[request_id, 0]
        if answer.finish_reason is FinishReason.STOP:
            num_whole += 1
            jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(answer.text))
        else:
            # The deepest have no room for all of their keys; digits and names may go on for ever.
            assert answer.finish_reason is FinishReason.LENGTH
    assert num_whole > 0.9 * len(SCHEMAS)


def test_an_answer_that_is_cut_short_is_the_beginning_of_one(gpt2: TinyModel) -> None:
    answer = TinyEngine(gpt2).answer(PROMPT, params(POINT, max_tokens=4))
    assert answer.finish_reason is FinishReason.LENGTH
    matcher = ConstraintCompiler(gpt2.tokenizer, 480, gpt2.limits.eos_token_ids).compile(of_schema(POINT)).fork()
    for token_id in answer.token_ids:
        assert matcher.allowed()[token_id]
        matcher.accept(token_id)


def test_penalties_and_biases_choose_among_what_the_grammar_allows(gpt2: TinyModel) -> None:
    (brace,) = gpt2.tokenizer("{", add_special_tokens=False).input_ids
    biased = params(POINT, logit_bias={brace: -100.0}, repetition_penalty=50.0, presence_penalty=2.0)
    jsonschema.validate(json.loads(TinyEngine(gpt2).answer(PROMPT, biased).text), POINT)


def test_a_rule_that_forbids_what_the_grammar_asks_for_gives_way(gpt2: TinyModel, tmp_path: Path) -> None:
    own = TinyModel(build_tiny_model("gpt2", tmp_path / "tiny"))
    own.model.generation_config.suppress_tokens = own.tokenizer("{", add_special_tokens=False).input_ids
    answer = TinyEngine(own).answer(PROMPT, params(POINT))
    jsonschema.validate(json.loads(answer.text), POINT)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (ConstraintKind.CHOICE, '["yes", "no"]', {"yes", "no"}),
        (ConstraintKind.REGEX, "[ab]{2}", {"aa", "ab", "ba", "bb"}),
        (ConstraintKind.GRAMMAR, 'start: "left" | "right"', {"left", "right"}),
    ],
)
def test_other_grammars_are_followed_too(tiny: TinyModel, kind: ConstraintKind, text: str, expected: set[str]) -> None:
    constraint = Constraint(kind=kind, text=text, param=kind.value)
    engine = TinyEngine(tiny)
    engine.add(0, PROMPT, SamplingParams(constraint=constraint, n=8, max_tokens=20, seed=1))
    engine.run()
    assert {engine.sequences[0, index].text for index in range(8)} <= expected


@pytest.mark.parametrize("seed", range(4))
def test_a_first_space_that_is_not_written_does_not_count(t5: TinyModel, seed: int) -> None:
    constraint = Constraint(kind=ConstraintKind.CHOICE, text='["the", "to"]', param="choice")
    answer = TinyEngine(t5).answer(PROMPT, SamplingParams(constraint=constraint, seed=seed, max_tokens=20))
    assert answer.finish_reason is FinishReason.STOP
    assert answer.text in ("the", "to")


def test_what_the_models_tokens_cannot_spell_is_refused(t5: TinyModel) -> None:
    with pytest.raises(InvalidRequestError, match="response_format cannot be followed"):
        TinyEngine(t5).add(0, PROMPT, params(POINT))


def test_a_grammar_whose_end_cannot_be_spelled_fails_its_own_request_alone(t5: TinyModel) -> None:
    engine = TinyEngine(t5)
    halfway = Constraint(kind=ConstraintKind.CHOICE, text='["to {"]', param="choice")
    engine.add(0, PROMPT, SamplingParams(constraint=halfway, max_tokens=20))
    engine.add(1, PROMPT, SamplingParams(temperature=0, max_tokens=10))
    engine.run()
    assert set(engine.failures) == {0}
    assert isinstance(engine.failures[0], InvalidRequestError)
    assert engine.failures[0].param == "choice"
    assert engine.tokens([1]) == [t5.reference(PROMPT.token_ids, 10)]


def test_logprobs_are_the_models_own_and_not_those_of_the_grammar(gpt2: TinyModel) -> None:
    answer = TinyEngine(gpt2).answer(PROMPT, params(POINT, logprobs=3))
    assert answer.logprobs[0].text == "{"
    assert answer.logprobs[0].logprob is not None
    assert answer.logprobs[0].logprob < -1
    assert len(answer.logprobs[0].top) == 3


def test_a_grammar_is_refused_before_it_is_queued(gpt2: TinyModel) -> None:
    engine = TinyEngine(gpt2)
    with pytest.raises(InvalidRequestError, match="response_format cannot be followed"):
        engine.add(0, PROMPT, params({"type": "no such type"}))
    assert not engine.core.has_unfinished_requests()
