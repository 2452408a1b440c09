"""The server as its users meet it: a process, two models, and OpenAI's own client."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionMessageParam

from hostler.client import AsyncHostler, Hostler
from tests.e2e.server_process import END_TIMEOUT_S, HOSTLER, ServerProcess

pytestmark = pytest.mark.timeout(300)

EMBEDDED = "smollm2-135m"
TINY = "tiny-gpt2"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI) -> str:
    answer = client.chat.completions.create(model=EMBEDDED, messages=QUESTION, temperature=0, max_tokens=20)
    return answer.choices[0].message.content or ""


def test_openais_client_lists_both_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [EMBEDDED, TINY]


def test_two_models_answer_openais_client_in_turns(client: openai.OpenAI, server: ServerProcess) -> None:
    assert "Paris" in ask(client)

    chunks = list(
        client.chat.completions.create(
            model="HuggingFaceTB/SmolLM2-135M-Instruct",
            messages=QUESTION,
            temperature=0,
            max_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    completion = client.completions.create(model=TINY, prompt="The hostler", max_tokens=5, temperature=0)
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5

    assert "Paris" in ask(client)
    loaded = httpx2.get(f"{server.url}/models/loaded").json()["loaded_models"]
    assert loaded == [EMBEDDED, TINY]


def test_no_port_but_the_servers_own_is_open(client: openai.OpenAI, server: ServerProcess) -> None:
    ask(client)
    processes = [server.process, *server.process.children(recursive=True)]
    assert len(processes) > 2
    listening = [one.laddr.port for process in processes for one in process.net_connections() if one.status == "LISTEN"]
    assert set(listening) == {int(server.url.rpartition(":")[2])}


def test_an_unknown_model_is_openais_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="smollm2-135m") as caught:
        client.chat.completions.create(model="smollm2", messages=QUESTION)

    assert caught.value.code == "model_not_found"


def test_the_native_client_chats_in_turns_and_streams(server: ServerProcess) -> None:
    with Hostler(server.url) as client:
        first = client.chat("The secret word is banana.", temperature=0, max_length=20)
        second = client.chat("What is the secret word?", context=first["context"], temperature=0, max_length=20)
        stream = client.stream("The hostler", model=TINY, max_new_tokens=5, temperature=0)
        pieces = [piece["text"] for piece in stream]

    assert first["model_id"] == EMBEDDED
    assert "banana" in second["response"]
    assert stream.answer["generated_text"][0].endswith("".join(pieces))


async def test_one_prompt_goes_to_several_models_and_many_to_one(server: ServerProcess) -> None:
    async with AsyncHostler(server.url) as client:
        compared = await client.compare([EMBEDDED, TINY], "The hostler", max_new_tokens=3)
        prompts = [f"Horse number {number}" for number in range(6)]
        items = await client.batch(TINY, prompts, concurrency=3, max_new_tokens=3)

    assert [(answer["model_id"], answer["completion_tokens"]) for answer in compared] == [(EMBEDDED, 3), (TINY, 3)]
    assert [item.prompt for item in items] == prompts
    assert all(item.answer["generated_text"][0].startswith(text) for text, item in zip(prompts, items, strict=True))


def test_the_command_line_lists_what_the_server_has(server: ServerProcess) -> None:
    shown = subprocess.run([HOSTLER, "models", "--url", server.url], capture_output=True, text=True, check=True).stdout

    assert [line.split()[0] for line in shown.splitlines()] == ["id", EMBEDDED, TINY]


def test_a_model_whose_process_was_killed_is_loaded_again(client: openai.OpenAI, server: ServerProcess) -> None:
    ask(client)
    killed = server.workers()
    for worker in killed:
        worker.kill()
    _, alive = psutil.wait_procs(killed, END_TIMEOUT_S)
    assert alive == []

    # A request may come before the gateway has noticed; the client's own retry is what its users have then.
    assert "Paris" in ask(client.with_options(max_retries=2))
    assert httpx2.get(f"{server.url}/health").json()["status"] == "healthy"


def endless_stream(client: openai.OpenAI, max_tokens: int) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    """An answer of exactly so many tokens, of which the first has come."""
    stream = client.chat.completions.create(
        model=EMBEDDED,
        messages=QUESTION,
        max_tokens=max_tokens,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(stream)
    return stream


def test_sigterm_lets_a_stream_finish_and_leaves_no_process(
    registry_file: Path, hostler_cache_dir: Path, tmp_path: Path
) -> None:
    with (
        ServerProcess(registry_file, hostler_cache_dir, tmp_path / "stderr.log") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        stream = endless_stream(client, 60)
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        reasons = [chunk.choices[0].finish_reason for chunk in stream]

        assert reasons[-1] == "length"
        assert server.process.wait(END_TIMEOUT_S) == 0
        assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []


def test_a_stop_during_the_first_load_leaves_no_process(
    registry_file: Path, hostler_cache_dir: Path, tmp_path: Path
) -> None:
    environment = {"DEFAULT_MODEL": EMBEDDED}
    with ServerProcess(registry_file, hostler_cache_dir, tmp_path / "stderr.log", environment) as server:
        family = server.family()
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(END_TIMEOUT_S) == 0
        assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []


def test_a_second_signal_does_not_wait_for_streams(
    registry_file: Path, hostler_cache_dir: Path, tmp_path: Path
) -> None:
    with (
        ServerProcess(registry_file, hostler_cache_dir, tmp_path / "stderr.log") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        stream = endless_stream(client, 4000)
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(END_TIMEOUT_S) == 0
        assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []
        stream.close()
