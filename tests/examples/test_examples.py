"""Every example, run against the fake server."""

import json
import os
import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostler.testing import FakeServer

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = {"smollm2-135m": "conversational", "distilgpt2": "text", "all-minilm-l6-v2": "embedding"}
RUN_ELSEWHERE = {
    "05_langchain.py": "tests/clients/test_examples.py",
    "08_own_model.py": "tests/e2e/test_examples.py",
    "10_testing.py": "tests/examples/test_testing_example.py",
}

Run = Callable[..., str]


@pytest.fixture(scope="module")
def _fake_server() -> Iterator[FakeServer]:
    with FakeServer(MODELS) as server:
        yield server


@pytest.fixture
def server(_fake_server: FakeServer) -> FakeServer:
    _fake_server.reset()
    _fake_server.model("smollm2-135m").answer = "The capital of France is Paris."
    return _fake_server


@pytest.fixture
def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs an example in this process: what it prints."""
    monkeypatch.setenv("HOSTLER_URL", server.url)
    for name in ("HOSTLER_API_KEY", "MODEL"):
        monkeypatch.delenv(name, raising=False)

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_table_has_every_example_and_every_example_is_run() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if re.match(r"\d\d_", path.name)}
    listed = re.findall(r"\[(\d\d_[\w.]+)\]\(\1\)", (EXAMPLES / "README.md").read_text())
    assert set(listed) == files
    run_here = set(re.findall(r'"(\d\d_\w+\.\w+)"', Path(__file__).read_text())) - set(RUN_ELSEWHERE)
    assert run_here | set(RUN_ELSEWHERE) == {name for name in files if not name.endswith(".yaml")}
    for name, tests in RUN_ELSEWHERE.items():
        assert name in (EXAMPLES.parent / tests).read_text()


def test_the_quickstart_prints_an_answer(run: Run, server: FakeServer) -> None:
    assert run("01_quickstart.py", "Where", "is", "Paris?") == "The capital of France is Paris.\n"
    assert server.requests[0].json["message"] == "Where is Paris?"


def test_openais_client_lists_models_and_streams(run: Run) -> None:
    shown = run("02_openai_client.py")
    assert shown.startswith("models: smollm2-135m, distilgpt2, all-minilm-l6-v2\nThe capital of France is Paris.")
    assert shown.endswith(" answered\n")


def test_the_basic_client_goes_through_everything(run: Run, server: FakeServer) -> None:
    shown = run("03_basic_client.py")
    for line in ("health: healthy", "chat: The capital of France is Paris.", "Model smollm2-135m is unloaded"):
        assert f"{line}\n" in shown
    assert len(server.requests[-2].json["messages"]) == 4


def test_a_mistake_ends_the_basic_client_with_one_line(run: Run) -> None:
    with pytest.raises(SystemExit, match="ModelNotFoundError: no model 'gtp2'"):
        run("03_basic_client.py", "gtp2")


def test_models_are_compared_and_prompts_are_batched(run: Run) -> None:
    shown = run("04_compare_and_batch.py", "smollm2-135m", "distilgpt2").splitlines()
    assert re.fullmatch(r"smollm2-135m: 'The capital of France is Paris.' after [\d.]+ s", shown[0])
    assert shown[1].startswith("distilgpt2: 'word0 ")
    assert [line.split()[6] for line in shown[2:]] == ["horse", "dog", "hen", "cow", "bee", "cat"]


def test_a_search_finds_the_nearest(run: Run, server: FakeServer) -> None:
    server.model("all-minilm-l6-v2").read = lambda text: [float("horses" in text), *[0.0] * 7]
    assert run("06_search.py", "who looks after the horses?", "--num", "1").endswith("the horses at dawn.\n")


def test_facts_are_read_as_json(run: Run, server: FakeServer) -> None:
    fact = json.dumps({"animal": "horse", "legs": 4, "can_fly": False})
    server.model("smollm2-135m").answers = [fact, fact, fact, "yes"]
    shown = run("07_structured_output.py").splitlines()
    assert shown == ["horse: 4 legs, does not fly"] * 3 + ["A horse is larger than a dog: yes"]
    assert server.requests[0].json["json_schema"]["required"] == ["animal", "legs", "can_fly"]


def test_curl_alone_will_do(server: FakeServer) -> None:
    environment = os.environ | {"HOSTLER_URL": server.url}
    done = subprocess.run(
        ["bash", EXAMPLES / "09_curl.sh"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for piece in ('"status":"healthy"', '"verdict":"fits"', "data: [DONE]", '"finish_reason":"stop"', "is unloaded"):
        assert piece in done.stdout
