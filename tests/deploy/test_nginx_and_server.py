"""nginx in front of `hostler serve` and a model of its own; `test_nginx.py` has what can be shown with a fake one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from tests.deploy.test_nginx import proxied
from tests.e2e.obedient_registry import MODEL, build_obedient_registry
from tests.e2e.test_restart import Supervisor
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import WAIT

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

# Every token that it chooses holds up the pass that makes the next one. Without text of their own, tokens have events
# for their probabilities.
HELD = {"model": MODEL, "prompt": [5], "temperature": 0, "logit_bias": {str(WAIT): 100}, "logprobs": 0, "stream": True}
PATH = "/v1/completions"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_obedient_registry(tmp_path)


@pytest.fixture
def gate(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder / MODEL)
    yield gate
    gate.close()


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(folder)
    yield supervisor
    supervisor.close()


@pytest.fixture
async def client(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """Of nginx."""
    async with proxied(tmp_path_factory.mktemp("nginx"), int(supervisor.url.rpartition(":")[2])) as client:
        yield client


async def tokens(response: httpx2.Response) -> AsyncIterator[str]:
    """The event of each."""
    async for line in response.aiter_lines():
        if '"token_logprobs"' in line:
            yield line


async def test_each_token_is_there_before_the_pass_for_the_next_one_may_go_on(
    client: httpx2.AsyncClient, gate: Gate
) -> None:
    num_tokens = 0
    async with client.stream("POST", PATH, json=HELD | {"max_tokens": 6}) as response:
        async for _ in tokens(response):
            num_tokens += 1
            gate.go()
    assert num_tokens == 6


async def test_who_hangs_up_holds_nothing_any_more(client: httpx2.AsyncClient, gate: Gate) -> None:
    async with client.stream("POST", PATH, json=HELD | {"max_tokens": 4000}) as response:
        await anext(tokens(response))
        await gate.begun()
    gate.go()
    # The request would go on to the next gate, and hold its model.
    while (await client.get("/models")).json()[MODEL]["num_leases"]:
        pass


async def test_a_stream_of_a_killed_gateway_breaks_off_and_who_asks_again_is_answered(
    client: httpx2.AsyncClient, gate: Gate, supervisor: Supervisor
) -> None:
    killed = supervisor.server
    async with client.stream("POST", PATH, json=HELD | {"max_tokens": 6}) as response:
        arriving = tokens(response)
        await anext(arriving)
        killed.process.kill()
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            await anext(arriving)
    async with openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=20) as retrying:
        answer = await retrying.completions.create(model=MODEL, prompt=[5], max_tokens=4, temperature=0)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4
    assert supervisor.server is not killed
