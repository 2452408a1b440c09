"""What a client sees of an engine that fails, and of a queue that is full."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.e2e.obedient_registry import MODEL, build_obedient_registry
from tests.e2e.server_process import ServerProcess
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import FAIL, WAIT

pytestmark = pytest.mark.timeout(120)

HARMLESS = [40, 41, 42]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_obedient_registry(tmp_path_factory.mktemp("robustness"), max_num_seqs=1, max_queued_requests=1)


@pytest.fixture(scope="module")
def server(folder: Path, hostler_cache_dir: Path) -> Iterator[ServerProcess]:
    environment = {"HF_MODULES_CACHE": str(folder / "modules")}
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log", environment) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def complete(client: openai.OpenAI, prompt: list[int], max_tokens: int = 3) -> str:
    answer = client.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=max_tokens)
    return answer.choices[0].text


def test_an_engine_that_keeps_failing_is_replaced_and_nobody_waits_in_vain(
    client: openai.OpenAI, server: ServerProcess
) -> None:
    expected = complete(client, HARMLESS)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as failed:
            complete(client, [FAIL])
        assert (failed.value.status_code, failed.value.code) == (500, "engine_error")
    with pytest.raises(openai.InternalServerError) as died:
        complete(client, [FAIL])
    assert (died.value.status_code, died.value.code) == (503, "engine_dead")
    assert complete(client, HARMLESS) == expected
    log = server.log.read_text()
    assert log.count("CRITICAL") == 1
    assert "engine_broken model=obedient" in log
    assert "exit status 70" in log


def test_a_full_queue_is_a_429_that_says_when_to_come_back(client: openai.OpenAI, folder: Path) -> None:
    expected = complete(client, HARMLESS)
    gate = Gate(folder / "obedient")
    with ThreadPoolExecutor() as threads:
        # One token, since the answer itself may be to wait.
        held_up = threads.submit(complete, client, [WAIT], 1)
        asyncio.run(gate.begun())
        with pytest.raises(openai.RateLimitError) as refused:
            complete(client, HARMLESS)
        gate.go()
        held_up.result()
    gate.close()
    assert refused.value.code == "queue_full"
    assert int(refused.value.response.headers["retry-after"]) >= 1
    assert complete(client, HARMLESS) == expected


def test_a_list_of_prompts_that_can_never_wait_together_is_a_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="2 prompts, and at most 1"):
        client.completions.create(model=MODEL, prompt=[HARMLESS, HARMLESS])
