"""Grammars for a real tokenizer: what they allow, what is refused, and what is kept."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hostler.engine.constraints import compiler as compiler_module
from hostler.engine.constraints.compiler import ConstraintCompiler
from hostler.errors import InvalidRequestError
from hostler.types import Constraint, ConstraintKind
from tests.tiny_models import build_tiny_model

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(build_tiny_model("gpt2", tmp_path_factory.mktemp("grammar") / "tiny"))


@pytest.fixture
def compiler(tokenizer: PreTrainedTokenizerBase) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer, len(tokenizer), [tokenizer.eos_token_id])


def schema(content: object) -> Constraint:
    return Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(content), param="response_format")


def written(kind: ConstraintKind, text: str) -> Constraint:
    return Constraint(kind=kind, text=text, param=kind.value)


def takes(compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase, constraint: Constraint, text: str) -> bool:
    """Whether the text may be written to its end, token by token."""
    matcher = compiler.compile(constraint).fork()
    for token_id in [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]:
        if not matcher.allowed()[token_id]:
            return False
        matcher.accept(token_id)
    assert matcher.error is None
    return True


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (schema(PERSON), '{"name": "Ann", "age": 3}', '{"name": "Ann", "age": -3}'),
        (schema(PERSON), '{"name": "Änn 🐎", "age": 0}', '{"name": "Ann"}'),
        (schema({"type": "object"}), '{"a": [1, {"b": null}]}', "[1]"),
        (schema({"enum": ["red", 3, None]}), "null", '"blue"'),
        (schema({"$defs": {"n": {"type": "number"}}, "$ref": "#/$defs/n"}), "1.5", '"1.5"'),
        (schema({"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 2}]}), '"ab"', '"abc"'),
        (schema({"type": "string", "format": "date"}), '"2026-11-22"', '"2026-13-22"'),
        (schema({"type": "array", "items": {"const": 1}, "minItems": 2}), "[1, 1]", "[1]"),
        (written(ConstraintKind.REGEX, r"\d{3}-[a-z]+"), "123-abc", "123-ABC"),
        (written(ConstraintKind.CHOICE, '["yes", "no"]'), "yes", "maybe"),
        (written(ConstraintKind.GRAMMAR, 'start: "a" start | "b"'), "aab", "aa"),
        (written(ConstraintKind.GRAMMAR, 'root ::= "a" root | "b"'), "aab", "ba"),
    ],
)
def test_a_text_may_be_written_when_it_is_what_was_asked_for(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase, constraint: Constraint, good: str, bad: str
) -> None:
    assert takes(compiler, tokenizer, constraint, good)
    assert not takes(compiler, tokenizer, constraint, bad)


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (schema({"type": "objec"}), "Invalid type: objec"),
        (schema({"not": {"type": "string"}}), "no grammar holds an answer to not; leave that out"),
        (schema({"if": {}, "then": {}, 'ä"]\n': 1}), "no grammar holds an answer to if, then"),
        (schema({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "use anyOf"),
        (schema({"$ref": "https://example.com/schema"}), "example.com"),
        (schema({"allOf": [{"type": "string"}, {"type": "integer"}]}), ""),
        (schema([]), "object"),
        (written(ConstraintKind.REGEX, "("), "unclosed group"),
        (written(ConstraintKind.REGEX, "(?=a)b"), "look-around"),
        (written(ConstraintKind.GRAMMAR, "no grammar"), ""),
    ],
)
def test_a_grammar_that_cannot_be_followed_is_refused_by_its_field(
    compiler: ConstraintCompiler, constraint: Constraint, reason: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        compiler.compile(constraint)
    assert caught.value.param == constraint.param
    assert caught.value.message.startswith(f"{constraint.param} cannot be followed: ")
    assert reason in caught.value.message
    assert len(caught.value.message) < 600


def test_a_schema_that_explodes_is_refused(compiler: ConstraintCompiler) -> None:
    exploding: dict[str, object] = {"type": "object"}
    for _ in range(14):
        exploding = {"type": "object", "properties": {"left": exploding, "right": exploding}}
    with pytest.raises(InvalidRequestError, match="response_format cannot be followed"):
        compiler.compile(schema(exploding))


def test_a_schema_that_refers_to_itself_is_followed_as_deep_as_the_text_goes(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    assert takes(compiler, tokenizer, schema(tree), '{"child": {"child": {"child": {}}}}')


def test_a_schema_that_no_text_fits_is_refused(compiler: ConstraintCompiler) -> None:
    with pytest.raises(InvalidRequestError):
        compiler.compile(schema({"$ref": "#"}))


def test_forks_go_on_without_each_other(compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase) -> None:
    matcher = compiler.compile(written(ConstraintKind.CHOICE, '["ab", "ac"]'))
    one, other = matcher.fork(), matcher.fork()
    (a,) = tokenizer("a", add_special_tokens=False).input_ids[-1:]
    one.accept(a)
    assert one.allowed() != other.allowed() == matcher.allowed()


def test_a_token_is_allowed_by_itself_just_when_it_is_among_all_that_are(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    matcher = compiler.compile(schema(PERSON)).fork()
    for token_id in [*tokenizer('{"name": "Ann", "age": 3}', add_special_tokens=False).input_ids, None]:
        allowed = matcher.allowed()
        assert [matcher.allows(other) for other in range(len(allowed))] == [value != 0 for value in allowed]
        assert not matcher.allows(len(allowed))
        if token_id is not None:
            matcher.accept(token_id)
    assert matcher.allows(tokenizer.eos_token_id)


def test_a_grammar_is_compiled_once_and_the_least_used_is_forgotten(
    compiler: ConstraintCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler_module, "MAX_KEPT", 2)
    first, second, third = (schema({"const": number}) for number in range(3))
    compiled = compiler.compile(first)
    forgotten = compiler.compile(second)
    assert compiler.compile(first) is compiled
    compiler.compile(third)
    assert compiler.compile(first) is compiled
    kept = compiler.compile(third)
    assert compiler.compile(second) is not forgotten
    assert compiler.compile(third) is kept


def test_a_model_without_an_end_token_has_no_grammars(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="regex is not available with this model"):
        ConstraintCompiler(tokenizer, len(tokenizer), []).compile(written(ConstraintKind.REGEX, "a"))
