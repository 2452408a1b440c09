"""Texts that are read by a model, over its worker's socket."""

import asyncio
from pathlib import Path

import pytest

from hostler.errors import ContextLengthError, EngineDeadError, InvalidRequestError, QueueFullError
from hostler.types import (
    ModelType,
    PoolingInput,
    PoolingParams,
    PoolingTask,
    SamplingParams,
    TextPair,
    TextPrompt,
)
from hostler.worker.client import WorkerClient
from hostler.worker.launcher import ForkserverLauncher
from tests.tiny_encoders import build_classifier, build_encoder
from tests.worker.loading import loaded, standing_still, until_idle

EMBED = PoolingParams(task=PoolingTask.EMBED, param="input")
SCORE = PoolingParams(task=PoolingTask.SCORE, param="documents")
MARE: list[PoolingInput] = [TextPrompt(text="The grey mare")]
MANY: list[PoolingInput] = [TextPrompt(text=f"horse {number} " * 5) for number in range(150)]


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")


async def encoder(launcher: ForkserverLauncher, folder: Path, **changes: object) -> WorkerClient:
    return await loaded(launcher, folder, type=ModelType.EMBEDDING, **changes)


async def test_a_worker_reads_texts_and_is_asked_about_tokens(
    launcher: ForkserverLauncher, encoder_folder: Path
) -> None:
    worker = await encoder(launcher, encoder_folder)
    assert worker.facts.architecture == "BertModel"
    alone, beside = await asyncio.gather(worker.pool(MARE, EMBED), worker.pool([*MARE, *MARE], EMBED))
    assert len(alone.values) == 4 * 32
    assert beside.num_tokens == alone.num_tokens * 2
    assert await worker.detokenize(await worker.tokenize(TextPrompt(text="mare"))) == "<s>mare</s>"
    assert alone.queued_s is not None
    assert alone.queued_s >= 0
    await until_idle(worker)
    await worker.free_cached_memory()
    await worker.stop()


async def test_a_reranker_is_loaded_as_one(launcher: ForkserverLauncher, tmp_path: Path) -> None:
    folder = build_classifier("bert", tmp_path / "reranker", ["relevance"])
    worker = await loaded(launcher, folder, type=ModelType.RERANKER)
    pairs: list[PoolingInput] = [TextPair(text="mare", text_pair="horse")]
    assert len((await worker.pool(pairs, SCORE)).values) == 4
    with pytest.raises(InvalidRequestError, match="does not embed"):
        await worker.pool(MARE, EMBED)
    await worker.stop()


async def test_mistakes_come_back_as_what_they_are(launcher: ForkserverLauncher, encoder_folder: Path) -> None:
    worker = await encoder(launcher, encoder_folder)
    with pytest.raises(ContextLengthError) as caught:
        await worker.pool([TextPrompt(text="horse " * 100)], EMBED)
    assert caught.value.param == "input"
    with pytest.raises(InvalidRequestError, match="writes none"):
        await worker.generate(TextPrompt(text="Hi"), SamplingParams())
    await worker.stop()


async def test_a_model_that_writes_reads_nothing(launcher: ForkserverLauncher, folders: dict[str, Path]) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    with pytest.raises(InvalidRequestError, match="writes text"):
        await worker.pool(MARE, EMBED)
    await worker.stop()


async def test_a_small_request_is_answered_before_a_large_one_that_came_first(
    launcher: ForkserverLauncher, encoder_folder: Path
) -> None:
    worker = await encoder(launcher, encoder_folder)
    nums_answered: list[int] = []

    async def ask(inputs: list[PoolingInput]) -> None:
        nums_answered.append(len((await worker.pool(inputs, EMBED)).num_tokens))

    with standing_still(worker):
        asked = [asyncio.create_task(ask(inputs)) for inputs in (MANY, MARE)]
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    assert nums_answered == [len(MARE), len(MANY)]
    await worker.stop()


async def test_who_gives_up_frees_a_place_and_others_are_answered(
    launcher: ForkserverLauncher, encoder_folder: Path
) -> None:
    worker = await encoder(launcher, encoder_folder, max_queued_requests=1)
    with standing_still(worker):
        given_up = asyncio.create_task(worker.pool(MANY, EMBED))
        refused = asyncio.create_task(worker.pool(MARE, EMBED))
        await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await refused
    given_up.cancel()
    await asyncio.wait([given_up])
    await worker.free_cached_memory()  # done between two steps, after the abort
    assert len((await worker.pool(MARE, EMBED)).num_tokens) == 1
    await worker.stop()


async def test_a_worker_that_dies_says_so(launcher: ForkserverLauncher, encoder_folder: Path) -> None:
    worker = await encoder(launcher, encoder_folder)
    with standing_still(worker):
        asked = asyncio.create_task(worker.pool(MANY, EMBED))
        await asyncio.sleep(0)
        worker._process.kill()
    with pytest.raises(EngineDeadError):
        await asked
    assert worker.num_lost == 1
