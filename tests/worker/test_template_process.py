"""A model's chat template may be anything; what it takes is bounded, and nobody else notices."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from transformers import AutoTokenizer

from hostler.errors import InvalidRequestError
from hostler.types import ChatMessage, ChatPrompt, SamplingParams, TokenPrompt
from hostler.worker.client import WorkerClient
from hostler.worker.launcher import ForkserverLauncher
from hostler.worker.template_process import MAX_MEMORY_BYTES
from tests.tiny_models import build_tiny_model
from tests.worker.loading import loaded
from tests.worker.pidfds import not_ended

DOUBLING = (
    "{%% set t = namespace(s='x') %%}{%% for i in range(%d) %%}{%% set t.s = t.s ~ t.s %%}{%% endfor %%}{{ t.s }}"
)
EVIL = {
    "loop": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "power": "{{ (n + 9) ** ((n + 9) ** (n + 9)) }}",
    "product": "{{ 'x' * (n * 10 ** 10) }}",
    "list": "{{ [n] * 10 ** 10 }}",
    "range": "{{ range(n * 10 ** 9) | list }}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(n) }}",
    "tree": "{% macro f(n) %}{% if n < 100 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(n) }}",
    "doubling": DOUBLING % 99,
    "a few doublings": DOUBLING % 24,
    "center": "{{ 'x' | center(n * 10 ** 10) }}",
    "indent": "{{ '\n\n' | indent(n * 10 ** 10, true) }}",
    "replace": "{{ ('x' * 10 ** 5 * n) | replace('x', 'y' * 10 ** 6) }}",
    "join": "{{ range(99999) | join('x' * 10 ** 6 * n) }}",
    "format": "{{ '%*d' | format(10 ** 9 * n, 1) }}",
    "str.format": "{{ '{:>{}}'.format(1, 10 ** 10 * n) }}",
    "ljust": "{{ 'x'.ljust(n * 10 ** 10) }}",
    "lipsum": "{{ lipsum(n=n * 10 ** 6) }}",
    "json": "{{ [[[n]]] | tojson(indent=10 ** 10) }}",
    "long": "{{ 'x' * (n * 10 ** 6) }}",
    "memory alone": "{{ ('x' * (n * 2 ** 29))[:5] }}",
    "surrogate": "{{ '\\ud800' * n }}",
}
SAME = "{% else %}{{ messages | map(attribute='content') | join(' ') }}{% endif %}"
TEMPLATE = (
    "{% set n = messages | length %}{% set last = messages[-1].content %}"
    + "".join(f"{{% {'el' if i else ''}if last == '{name}' %}}{text}" for i, (name, text) in enumerate(EVIL.items()))
    + SAME
)
"""Does what the last message says, or repeats the conversation. With `n`, nothing of it is computed beforehand."""


def chat(*contents: str) -> ChatPrompt:
    return ChatPrompt(messages=[ChatMessage(role="user", content=content) for content in contents])


async def load_with(template: str, launcher: ForkserverLauncher, tmp_path: Path) -> WorkerClient:
    folder = build_tiny_model("llama_chat", tmp_path / "llama_chat")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return await loaded(launcher, folder)


@pytest.fixture
async def worker(launcher: ForkserverLauncher, tmp_path: Path) -> AsyncIterator[WorkerClient]:
    worker = await load_with(TEMPLATE, launcher, tmp_path)
    yield worker
    await worker.stop()


def renderer_of(worker: WorkerClient) -> psutil.Process | None:
    (keeper,) = psutil.Process(worker.pid).children()
    return next((child for child in keeper.children() if child.status() != psutil.STATUS_ZOMBIE), None)


@pytest.mark.long
async def test_whatever_a_template_takes_ends_in_a_refusal_that_says_whose_fault_it_is(worker: WorkerClient) -> None:
    good = await worker.tokenize(chat("The grey mare"))
    before = psutil.Process(worker.pid).memory_info().rss
    for name in EVIL:
        began_s = time.perf_counter()
        with pytest.raises(InvalidRequestError, match="chat template") as caught:
            await worker.generate(chat(name), SamplingParams(max_tokens=1))
        assert caught.value.param == "messages", name
        assert len(caught.value.message) < 500, name
        # Much more than what it may compute: other processes of the machine may take their share.
        assert time.perf_counter() - began_s < 5, name
        assert await worker.tokenize(chat("The grey mare")) == good, name
    assert psutil.Process(worker.pid).memory_info().rss - before < 32 * 2**20
    renderer = renderer_of(worker)
    assert renderer is not None
    assert renderer.memory_info().rss < MAX_MEMORY_BYTES + 512 * 2**20


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{{ 9 ** (9 ** 9) }}", marks=pytest.mark.long),
        "{{ 'x' * 10 ** 10 }}",
        "{{ 'x' | center(10 ** 10) }}",
    ],
)
async def test_a_template_that_is_too_much_before_it_is_rendered_is_refused_too(
    template: str, launcher: ForkserverLauncher, tmp_path: Path
) -> None:
    worker = await load_with(template, launcher, tmp_path)
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match="chat template is at fault"):
            await worker.tokenize(chat("Hello"))
    assert await worker.tokenizer_facts()
    await worker.stop()


async def test_streams_heartbeats_and_aborts_go_on_while_a_template_loops(worker: WorkerClient) -> None:
    params = SamplingParams(temperature=0, ignore_eos=True, max_tokens=20)
    alone = await worker.generate(TokenPrompt(token_ids=[5, 6, 7]), params)
    expected = [token_id async for delta in alone for token_id in delta.token_ids]
    stream = await worker.generate(TokenPrompt(token_ids=[5, 6, 7]), params)
    looping = [asyncio.create_task(worker.generate(chat(name), params)) for name in ("loop", "power", *["loop"] * 10)]
    # The first is being prepared, the others wait for it; one of these is given up.
    await asyncio.sleep(0)
    looping[2].cancel()
    received = [token_id async for delta in stream for token_id in delta.token_ids]
    assert received == expected
    assert await worker.seconds_since_step() >= 0
    # So many that they take longer than a busy machine does with all of the above.
    assert not looping[-1].done(), "all of this was answered while templates looped"
    for task in looping[3:]:
        task.cancel()
    results = await asyncio.gather(*looping[:3], return_exceptions=True)
    assert [type(result) for result in results] == [InvalidRequestError, InvalidRequestError, asyncio.CancelledError]


async def test_a_renderer_that_died_while_it_had_nothing_to_do_is_replaced_unnoticed(worker: WorkerClient) -> None:
    good = await worker.tokenize(chat("The grey mare"))
    renderer = renderer_of(worker)
    assert renderer is not None
    renderer.kill()
    assert not await asyncio.to_thread(not_ended, [renderer.pid], 30)
    assert await worker.tokenize(chat("The grey mare")) == good


async def test_a_model_without_a_template_has_no_renderer(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    assert renderer_of(worker) is None
    await worker.stop()


async def test_a_renderer_is_there_with_the_model_and_a_worker_leaves_none(worker: WorkerClient) -> None:
    renderer = renderer_of(worker)
    assert renderer is not None
    await worker.tokenize(chat("Hello"))
    assert renderer_of(worker) == renderer
    forkserver = psutil.Process(worker.pid).parent()
    assert forkserver is not None
    family = [worker.pid, *(process.pid for process in psutil.Process(worker.pid).children(recursive=True))]
    assert len(family) == 3
    worker._process.kill()
    assert not await asyncio.to_thread(not_ended, family, 30)
    async with asyncio.timeout(30):
        while await asyncio.to_thread(forkserver.children):
            """Zombies, until the forkserver has come to wait for them."""


@pytest.mark.long
async def test_a_large_conversation_is_rendered_whole(worker: WorkerClient) -> None:
    turns = ["The grey mare " * 100] * 3000
    token_ids = await worker.tokenize(chat(*turns))
    assert await worker.detokenize(token_ids) == " ".join(turns)
