"""A random model that is made to call tools, in the form of each family; and what is made of what it might say."""

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
import torch
from msgspec.structs import replace

from hostler.engine.beams.search import Hypothesis
from hostler.engine.text.output_processor import OutputProcessor
from hostler.tools import Tool, ToolUse
from hostler.types import ChatMessage, ChatPrompt, Constraint, ConstraintKind, FinishReason, SamplingParams, TokenDelta
from tests.engine import chat_templates
from tests.engine.answers import Read
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_response_template import TEMPLATE as RESPONSE_TEMPLATE
from tests.tiny_models import build_tiny_model

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "y": {"enum": ["a", "b"]}},
    "required": ["x", "y"],
}
SCHEMAS: dict[str, dict[str, Any]] = {"point": POINT, "clock": {}}
TOOLS = [Tool(name=name, parameters=schema) for name, schema in SCHEMAS.items()]
FORMS: dict[str, str | None] = {
    **chat_templates.OF_TOOLS,
    "words": chat_templates.CHATML,
    "none": None,
}
SPECIAL = ["[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", "[THINK]", "[/THINK]", "<other>"]
SAID = {
    "hermes": '<tool_call>\n{"name": "point", "arguments": {"x": 1, "y": "a"}}\n</tool_call>',
    "llama": '<|python_tag|>{"name": "point", "parameters": {"x": 1, "y": "a"}}',
    "mistral": '[TOOL_CALLS] [{"name": "point", "arguments": {"x": 1, "y": "a"}}]',
    "mistral_named": '[TOOL_CALLS]point[ARGS]{"x": 1, "y": "a"}',
    "words": '{"name": "point", "arguments": {"x": 1, "y": "a"}}',
    "none": '{"name": "point", "arguments": {"x": 1, "y": "a"}}',
}


class Model:
    """A tiny one whose tokenizer has the special tokens of several families."""

    def __init__(self, tiny: TinyModel) -> None:
        self.tiny = tiny
        tiny.tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
        torch.manual_seed(0)
        tiny.model.resize_token_embeddings(len(tiny.tokenizer))

    @property
    def unthinking(self) -> dict[int, float]:
        """A `logit_bias` with which it does not begin to think."""
        return {self.tiny.tokenizer.convert_tokens_to_ids("[THINK]"): -100.0}

    def engine(self, template: str | None) -> TinyEngine:
        self.tiny.tokenizer.chat_template = template
        self.tiny.__dict__.pop("limits", None)
        self.tiny.limits = dataclasses.replace(self.tiny.limits, max_model_len=2048)
        return TinyEngine(self.tiny)

    def reads(self, template: str | None, prompt: ChatPrompt, text: str, **params: Any) -> tuple[Read, FinishReason]:
        """What is told if the model says this, and why it ended."""
        inputs = self.engine(template).inputs
        (request,) = inputs.prepare(0, prompt, SamplingParams(max_tokens=1000, **params)).sequences
        output = OutputProcessor(self.tiny.tokenizer)
        deltas = []
        end_id = self.tiny.tokenizer.eos_token_id
        for token_id in [*self.tiny.tokenizer(text, add_special_tokens=False).input_ids, end_id]:
            deltas.append(output.process(request, token_id, request.append(token_id)))
            if (reason := deltas[-1].finish_reason) is not None:
                return joined(deltas), reason
        raise AssertionError("it never ended")


def joined(deltas: list[TokenDelta]) -> Read:
    whole = Read()
    for delta in deltas:
        whole.add(delta)
    return whole


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(TinyModel(build_tiny_model("llama_chat", tmp_path_factory.mktemp("tools") / "tiny")))


def asked(tools: list[Tool] = TOOLS, **tool_use: Any) -> ChatPrompt:
    return ChatPrompt(
        messages=[ChatMessage(role="user", content="Hi")],
        tool_use=ToolUse(tools=tools, **tool_use) if tools else None,
        splits_reasoning=True,
    )


@pytest.mark.parametrize("form", FORMS)
def test_calls_that_are_asked_for_parse_and_fit_their_schemas_in_every_form(form: str, model: Model) -> None:
    engine = model.engine(FORMS[form])
    params = SamplingParams(max_tokens=300, logit_bias=model.unthinking)
    engine.add(0, asked(is_required=True), replace(params, n=2, seed=1, max_tokens=900))
    engine.add(1, asked(is_required=True, is_parallel=False), replace(params, temperature=0))
    engine.add(2, asked(is_required=True, name="point", is_parallel=False), replace(params, seed=2))
    engine.run()

    assert engine.failures == {}
    for (request_id, _), sequence in engine.sequences.items():
        answer = joined(sequence.deltas)
        assert sequence.finish_reason is FinishReason.STOP
        assert (answer.text, answer.reasoning) == ("", "")
        assert answer.calls
        for name, arguments in answer.calls:
            jsonschema.validate(json.loads(arguments), SCHEMAS[name] | {"additionalProperties": False})
        if request_id == 2:
            assert [name for name, _ in answer.calls] == ["point"]
        assert request_id == 0 or len(answer.calls) == 1


@pytest.mark.parametrize("form", FORMS)
def test_of_calls_that_are_asked_for_and_cut_off_nothing_is_text(form: str, model: Model) -> None:
    engine = model.engine(FORMS[form])
    for max_tokens in range(1, 40):
        params = SamplingParams(seed=1, max_tokens=max_tokens, logit_bias=model.unthinking)
        engine.add(max_tokens, asked(is_required=True), params)
    engine.run()

    assert {joined(sequence.deltas).text for sequence in engine.sequences.values()} == {""}


@pytest.mark.parametrize("form", SAID)
@pytest.mark.parametrize("skips", [True, False])
def test_a_call_is_read_in_the_form_that_the_template_shows(form: str, skips: bool, model: Model) -> None:
    text = f"Well. <other>\n{SAID[form]}"
    answer, reason = model.reads(FORMS[form], asked(), text, skip_special_tokens=skips)

    assert answer == Read("Well." if skips else "Well. <other>", calls=[("point", '{"x": 1, "y": "a"}')])
    assert reason is FinishReason.STOP
    assert all(len(call_id) == (9 if "mistral" in form else 29) for call_id in answer.ids)


def test_a_call_may_be_written_in_tags(model: Model) -> None:
    call = (
        "<tool_call>\n<function=point>\n<parameter=x>\n1\n</parameter>\n"
        "<parameter=y>\na\n</parameter>\n</function>\n</tool_call>"
    )
    text = f"<think>\nHm.\n</think>\n\nWell.\n\n{call}\n{call}"
    answer, _ = model.reads(chat_templates.QWEN_XML, asked(), text)

    assert answer == Read("Well.", "Hm.", [("point", '{"x": 1, "y": "a"}')] * 2)


@pytest.mark.parametrize("form", ["hermes", "words"])
def test_sequences_of_a_beam_search_are_read_as_others_are(form: str, model: Model) -> None:
    tiny = model.tiny
    inputs = model.engine(FORMS[form]).inputs
    (request,) = inputs.prepare(0, asked(), SamplingParams(max_tokens=300)).sequences
    token_ids = tiny.tokenizer(SAID[form], add_special_tokens=False).input_ids
    answers = [
        Hypothesis([*token_ids, tiny.tokenizer.eos_token_id], -1.0, FinishReason.STOP),
        Hypothesis(token_ids[:-6], -2.0, FinishReason.LENGTH),
    ]
    whole, cut = OutputProcessor(tiny.tokenizer).process_answers(request, answers)

    assert joined([whole]) == Read(calls=[("point", '{"x": 1, "y": "a"}')])
    assert (whole.finish_reason, cut.finish_reason, cut.index) == (FinishReason.STOP, FinishReason.LENGTH, 1)
    ((name, arguments),) = joined([cut]).calls
    assert name == "point"
    assert '{"x": 1, "y": "a"}'.startswith(arguments)


@pytest.mark.parametrize("form", SAID)
def test_without_tools_nothing_is_a_call(form: str, model: Model) -> None:
    answer, _ = model.reads(FORMS[form], asked([]), SAID[form], skip_special_tokens=False)

    assert answer == Read(SAID[form])


def test_a_single_call_ends_the_answer_where_there_may_be_no_more(model: Model) -> None:
    text = SAID["hermes"] + SAID["hermes"] + " So much."
    answer, reason = model.reads(chat_templates.HERMES, asked(is_parallel=False), text)

    assert answer == Read(calls=[("point", '{"x": 1, "y": "a"}')])
    assert reason is FinishReason.STOP


def test_a_stop_string_ends_a_call_as_it_ends_a_text(model: Model) -> None:
    answer, reason = model.reads(chat_templates.HERMES, asked(), SAID["hermes"], stop=['"y"'])

    assert answer == Read(calls=[("point", '{"x": 1, ')])
    assert reason is FinishReason.STOP


def test_what_is_thought_is_parted_from_the_answer_where_the_template_begins_it(model: Model) -> None:
    answer, _ = model.reads(chat_templates.REASONING, asked([]), "Hm.\n</think>\n\nYes.")

    assert answer == Read("Yes.", "Hm.")


@pytest.mark.parametrize("tools", [[], TOOLS])
def test_marks_of_reasoning_may_be_special_tokens(tools: list[Tool], model: Model) -> None:
    answer, _ = model.reads(chat_templates.MISTRAL, asked(tools), "[THINK]Hm.[/THINK]Yes. <other>")

    assert answer == Read("Yes. ", "Hm.")


def test_where_it_is_not_asked_for_nothing_is_parted(model: Model) -> None:
    prompt = ChatPrompt(messages=[ChatMessage(role="user", content="Hi")])

    assert model.reads(chat_templates.REASONING, prompt, "Hm.</think>Yes.")[0] == Read("Hm.</think>Yes.")


def test_a_format_may_stand_beside_tools(model: Model) -> None:
    number = Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(POINT), param="response_format")
    engine = model.engine(chat_templates.HERMES)
    for seed in range(6):
        params = SamplingParams(seed=seed, max_tokens=200, constraint=number, logit_bias=model.unthinking)
        engine.add(seed, asked(is_parallel=False), params)
    engine.run()

    answers = [joined(engine.sequences[seed, 0].deltas) for seed in range(6)]
    for answer in answers:
        assert bool(answer.calls) != bool(answer.text)
        content = answer.calls[0][1] if answer.calls else answer.text
        schema = SCHEMAS[answer.calls[0][0]] if answer.calls else POINT
        jsonschema.validate(json.loads(content), schema)


def test_a_response_template_is_read_and_where_a_call_is_asked_for_json_is(model: Model) -> None:
    own = RESPONSE_TEMPLATE | {"start_anchor": "<|im_start|>assistant\n"}
    model.tiny.tokenizer.response_template = own
    try:
        answer, _ = model.reads(
            chat_templates.HERMES, asked(), '<thought>Hm.</thought>Well.<call>point{"x": 1, "y": "a"}</call>'
        )
        engine = model.engine(chat_templates.HERMES)
        params = SamplingParams(seed=1, max_tokens=300, logit_bias=model.unthinking)
        engine.add(0, asked(is_required=True, is_parallel=False), params)
        engine.run()
    finally:
        del model.tiny.tokenizer.response_template

    assert answer == Read("Well.", "Hm.", [("point", '{"x": 1, "y": "a"}')])
    ((name, arguments),) = joined(engine.sequences[0, 0].deltas).calls
    jsonschema.validate(json.loads(arguments), SCHEMAS[name])
