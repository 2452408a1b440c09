"""What may be written where calls are asked for, in the form of each family."""

import json
import time
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hostler.engine.constraints.compiler import ConstraintCompiler
from hostler.engine.constraints.tool_calls import MAX_CALLS
from hostler.engine.text.call_syntax import HERMES, JSON, LLAMA, MISTRAL, MISTRAL_NAMED, CallSyntax
from hostler.errors import InvalidRequestError
from hostler.tools import Tool, ToolUse
from hostler.types import Constraint, ConstraintKind
from tests.tiny_models import build_tiny_model

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
TOOLS = [Tool(name="weather", parameters=CITY), Tool(name="clock")]
OSLO = '{"name": "weather", "arguments": {"city": "Oslo"}}'
TIME = '{"name": "clock", "arguments": {}}'


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(build_tiny_model("gpt2", tmp_path_factory.mktemp("calls") / "tiny"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["[TOOL_CALLS]", "[ARGS]"]})
    return tokenizer


@pytest.fixture(scope="module")
def compiler(tokenizer: PreTrainedTokenizerBase) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer, len(tokenizer), [tokenizer.eos_token_id])


def asked(tools: list[Tool] = TOOLS, **fields: Any) -> ToolUse:
    return ToolUse(tools=tools, is_required=True, **fields)


def takes(
    compiler: ConstraintCompiler,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    tool_use: ToolUse,
    syntax: CallSyntax = JSON,
    instead: Constraint | None = None,
) -> bool:
    """Whether the text may be written to its end, token by token."""
    matcher = compiler.compile_calls(tool_use, syntax, instead).fork()
    for token_id in [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]:
        if not matcher.allowed()[token_id]:
            return False
        matcher.accept(token_id)
    return True


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (JSON, OSLO),
        (JSON, f"{OSLO}\n{TIME}"),
        (HERMES, f"<tool_call>\n{OSLO}\n</tool_call>"),
        (HERMES, f"<tool_call>\n{OSLO}\n</tool_call>\n<tool_call>\n{TIME}\n</tool_call>"),
        (LLAMA, f"{OSLO}; {TIME}".replace("arguments", "parameters")),
        (MISTRAL, f"[TOOL_CALLS][{OSLO}, {TIME}]"),
        (MISTRAL_NAMED, '[TOOL_CALLS]weather[ARGS]{"city": "Rome"}[TOOL_CALLS]clock[ARGS]{}'),
    ],
)
def test_calls_may_be_written_as_the_family_writes_them(
    syntax: CallSyntax, text: str, compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert takes(compiler, tokenizer, text, asked(), syntax)
    assert not takes(compiler, tokenizer, f"So: {text}", asked(), syntax)
    assert not takes(compiler, tokenizer, text[:-1], asked(), syntax)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TIME.replace("clock", "nobody"),
        OSLO.replace("Oslo", "Paris"),
        OSLO.replace('"}}', '", "days": 2}}'),
        TIME.replace("{}", '{"city": "Oslo"}'),
        '{"name": "weather", "arguments": {}}',
    ],
)
def test_nothing_may_be_written_that_is_no_call_of_a_tool_by_its_schema(
    text: str, compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert not takes(compiler, tokenizer, text, asked())


def test_a_tool_by_name_is_called_once_and_alone(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    by_name = asked(name="clock", is_parallel=False)

    assert takes(compiler, tokenizer, TIME, by_name)
    assert not takes(compiler, tokenizer, OSLO, by_name)
    assert not takes(compiler, tokenizer, f"{TIME}\n{TIME}", by_name)


def test_there_may_be_so_many_calls_and_no_more(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert takes(compiler, tokenizer, "\n".join([TIME] * MAX_CALLS), asked())
    assert not takes(compiler, tokenizer, "\n".join([TIME] * (MAX_CALLS + 1)), asked())
    assert not takes(compiler, tokenizer, f"{TIME}\n{TIME}", asked(is_parallel=False))


def test_beside_a_format_an_answer_is_that_or_calls(
    compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    number = Constraint(kind=ConstraintKind.JSON_SCHEMA, text='{"type": "integer"}', param="response_format")

    assert takes(compiler, tokenizer, "12", asked(), HERMES, number)
    assert takes(compiler, tokenizer, f"<tool_call>\n{TIME}\n</tool_call>", asked(), HERMES, number)
    assert not takes(compiler, tokenizer, "twelve", asked(), HERMES, number)


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["n"]},
        {
            "$ref": "#/$defs/node",
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
                    "required": ["n"],
                }
            },
        },
    ],
)
def test_a_schema_may_refer_to_itself(
    parameters: dict[str, Any], compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase
) -> None:
    tools = [Tool(name="list", parameters=parameters), Tool(name="clock")]

    good = '{"name": "list", "arguments": {"n": 1, "next": {"n": 2, "next": {"n": 3}}}}'
    assert takes(compiler, tokenizer, good, asked(tools))
    assert not takes(compiler, tokenizer, good.replace("3", '"3"'), asked(tools))


@pytest.mark.parametrize(
    "parameters",
    [
        {"$ref": "#"},
        {"$ref": "http://example.org/schema.json"},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"type": "strin"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["a"]},
    ],
)
def test_schemas_that_cannot_be_followed_are_refused_by_the_field_of_the_tools(
    parameters: dict[str, Any], compiler: ConstraintCompiler
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^functions cannot be followed") as caught:
        compiler.compile_calls(asked([*TOOLS, Tool(name="f", parameters=parameters)], param="functions"), JSON)

    assert caught.value.param == "functions"
    assert len(caught.value.message) < 500


def test_as_many_tools_as_there_may_be_are_compiled_within_a_second_and_kept(compiler: ConstraintCompiler) -> None:
    text = {"type": "string", "pattern": "^[a-z]{1,40}$"}
    parameters = {"type": "object", "properties": {f"p{i}": text for i in range(10)}}
    tools = [Tool(name=f"f{i}", description=json.dumps(i), parameters=parameters) for i in range(128)]
    compiler.compile_calls(asked(), JSON)
    began = time.process_time()
    first = compiler.compile_calls(asked(tools), JSON)

    assert time.process_time() - began < 1
    assert compiler.compile_calls(asked(tools), JSON) is first
    assert compiler.compile_calls(asked(tools), HERMES) is not first
