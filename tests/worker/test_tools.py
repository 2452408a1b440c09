"""Tools on their way into a worker and its template's process, and calls on their way back."""

import json
from pathlib import Path

import pytest

from hostler.errors import InvalidRequestError
from hostler.tools import Tool, ToolUse
from hostler.types import ChatMessage, ChatPrompt, FinishReason, SamplingParams
from hostler.worker.launcher import ForkserverLauncher
from tests.engine import chat_templates
from tests.engine.answers import Read
from tests.tiny_models import build_tiny_model
from tests.worker.loading import loaded

KIND = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}


def with_template(folder: Path, template: str) -> Path:
    """The same model with another template, and room for tools."""
    (folder / "chat_template.jinja").write_text(template)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    return folder


def asked(tool: Tool) -> ChatPrompt:
    return ChatPrompt(
        messages=[ChatMessage(role="user", content="Hi")],
        tool_use=ToolUse(tools=[tool], is_required=True, is_parallel=False),
        splits_reasoning=True,
    )


@pytest.mark.parametrize(
    ("template", "is_told"), [(chat_templates.HERMES, True), (chat_templates.CHATML, False)], ids=["hermes", "chatml"]
)
async def test_a_call_comes_back_in_pieces(
    launcher: ForkserverLauncher, tmp_path: Path, template: str, is_told: bool
) -> None:
    folder = with_template(build_tiny_model("llama_chat", tmp_path / "tiny"), template)
    worker = await loaded(launcher, folder, max_length=1024)
    generation = await worker.generate(
        asked(Tool(name="sort", parameters=KIND)), SamplingParams(max_tokens=200, seed=1)
    )
    answer, reason = Read(), None
    async for delta in generation:
        answer.add(delta)
        reason = delta.finish_reason

    ((name, arguments),) = answer.calls
    assert (name, answer.text, reason) == ("sort", "", FinishReason.STOP)
    assert json.loads(arguments)["kind"] in ("a", "b")
    assert worker.facts.has_tool_template is is_told
    with pytest.raises(InvalidRequestError) as caught:
        await worker.generate(asked(Tool(name="f", parameters={"$ref": "#"})), SamplingParams(max_tokens=9))
    assert caught.value.param == "tools"
    await worker.stop()
