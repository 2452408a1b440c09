"""Every block of code in the documents does what it says."""

import json
from pathlib import Path

import pytest
import yaml

from hostler.keys_file import read_keys
from hostler.registry import read_configuration
from hostler.testing import FakeServer, ToolCall
from tests.docs.blocks import BLOCKS, CHECKED, PAGES, ROOT, RUN, SHOWN, Block, blocks_of, run

ANSWERS = {
    "docs/guides/structured-answers.md": ['{"animal": "horse", "legs": 4}', "yes", " 1066"],
    "docs/guides/tools.md": ["", "It is warm in Lyon."],
}
"""Said by the model one after the other, where a page reads more out of it than that there is one."""
CALLS = {"docs/guides/tools.md": [ToolCall(id="call_1", name="weather", arguments='{"city": "Lyon"}')]}
MODEL = "models:\n  tiny: {name: tiny, type: text, size: 1M, description: Tiny, max_length: 64}\n"
"""For settings that are shown by themselves; a file needs a model."""

_RUN = [block for block in BLOCKS if block.language in RUN and block.not_run is None]
_CHECKED = [block for block in BLOCKS if block.language in CHECKED and block.not_run is None]


def by_place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", _RUN, ids=by_place)
def test_a_block_runs_and_shows_something(block: Block, fake_server: FakeServer, tmp_path: Path) -> None:
    model = fake_server.model("smollm2-135m")
    model.answers, model.tool_calls = list(ANSWERS.get(block.page, [])), CALLS.get(block.page, [])

    assert run(block, fake_server.url, tmp_path).strip()


@pytest.mark.parametrize("block", _CHECKED, ids=by_place)
def test_a_file_that_is_shown_can_be_used(block: Block, tmp_path: Path) -> None:
    if block.language == "json":
        json.loads(block.text)
        return
    path = tmp_path / "models.yaml"
    path.write_text(block.text)
    match sorted(yaml.safe_load(block.text)):
        case ["keys"]:
            assert read_keys(path)
        case ["settings"]:
            path.write_text(MODEL + block.text)
            read_configuration(path, {"insecure_no_auth": True})
        case ["models"] | ["models", "settings"]:
            read_configuration(path, {"insecure_no_auth": True})
        case others:
            raise AssertionError(f"{block.place} is neither a registry nor a file of keys but has {others}")


@pytest.mark.parametrize("block", BLOCKS, ids=by_place)
def test_a_block_is_run_or_checked_or_says_why_not(block: Block) -> None:
    if block.not_run is None:
        assert block.language in (*RUN, *CHECKED, *SHOWN), "put `<!-- not run: reason -->` above it"
    else:
        assert block.language not in SHOWN, "nobody would run it"
        assert len(block.not_run.split()) >= 2, "say the reason"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_fence_begins_or_ends_a_block(page: Path) -> None:
    fences = [line for line in page.read_text().splitlines() if line.strip().startswith("```")]

    assert len(fences) == 2 * len(blocks_of(page))
