"""Real workers: forked, loaded with a tiny model, spoken to over their socket."""

import asyncio
import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from hostler.errors import ContextLengthError, EngineDeadError, InvalidRequestError, ModelLoadError
from hostler.types import FinishReason, LoadProgress, SamplingParams, TextPrompt, TokenPrompt
from hostler.worker import client
from hostler.worker.launcher import ForkserverLauncher
from tests.engine.harness import TinyModel
from tests.worker.loading import loaded, spec_of
from tests.worker.obedience import Gate, build_obedient_model
from tests.worker.obedient_gpt2 import WAIT


async def test_a_worker_loads_and_says_what_it_holds(launcher: ForkserverLauncher, folders: dict[str, Path]) -> None:
    worker = await launcher.launch(spec_of(folders["gpt2"]))
    stages: list[LoadProgress] = []
    facts = await worker.load(stages.append)
    assert facts.architecture == "GPT2LMHeadModel"
    assert (facts.dtype, facts.device, facts.max_model_len) == ("float32", "cpu", 128)
    # More than its weights, since it has a heap; less than what it shares with the process that it was forked from.
    assert facts.memory_bytes < facts.host_bytes < psutil.Process(worker.pid).memory_info().rss
    assert facts.device_bytes == 0
    assert stages[-1].stage == "warming"
    assert worker.pid != os.getpid()
    await worker.stop()
    assert await worker.wait_exited() == "exit status 0"
    assert not psutil.pid_exists(worker.pid)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
async def test_streams_of_several_requests_equal_generate(
    family: str, launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    reference = TinyModel(folders[family])
    prompts = [[9, 30, 41], [77] * 20, [15, 16, 17, 18]]
    worker = await loaded(launcher, folders[family])

    async def answer(prompt: list[int]) -> list[int]:
        generation = await worker.generate(TokenPrompt(token_ids=prompt), SamplingParams(temperature=0, max_tokens=20))
        assert generation.admission.num_prompt_tokens == len(prompt)
        return [token_id async for delta in generation for token_id in delta.token_ids]

    answers = await asyncio.gather(*(answer(prompt) for prompt in prompts))
    assert answers == [reference.reference(prompt, 20) for prompt in prompts]
    stats = await worker.stats()
    assert (stats.num_running, stats.num_waiting) == (0, 0)
    # All tokens were computed but the last of each answer, which nothing followed. Encoders' inputs are prompts of one.
    num_prompt_tokens = len(prompts) if reference.model.config.is_encoder_decoder else sum(map(len, prompts))
    assert stats.num_step_tokens == num_prompt_tokens + sum(len(tokens) - 1 for tokens in answers)
    await worker.stop()


async def test_a_bad_request_is_refused_at_admission_and_harms_nobody(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    with pytest.raises(ContextLengthError):
        await worker.generate(TokenPrompt(token_ids=[5] * 500), SamplingParams())
    with pytest.raises(InvalidRequestError):
        await worker.generate(TokenPrompt(token_ids=[10**7]), SamplingParams())
    generation = await worker.generate(TextPrompt(text="The mare"), SamplingParams(max_tokens=3, ignore_eos=True))
    assert len([delta async for delta in generation]) == 3
    await worker.stop()


async def test_an_abort_ends_the_work(launcher: ForkserverLauncher, folders: dict[str, Path]) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    endless = SamplingParams(ignore_eos=True, temperature=0)
    generation = await worker.generate(TextPrompt(text="The"), endless)
    async for _ in generation:
        generation.abort()
        break
    # The engine answers a call between two steps; with the aborted request gone, the next one is alone.
    follower = await worker.generate(TextPrompt(text="The"), SamplingParams(temperature=0, max_tokens=2))
    deltas = [delta async for delta in follower]
    assert deltas[-1].finish_reason in (FinishReason.LENGTH, FinishReason.STOP)
    await worker.stop()


async def test_a_killed_worker_fails_its_requests_with_a_clear_error(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    # The step after its first token waits, so that the answer does not end before the worker does.
    params = SamplingParams(temperature=0, ignore_eos=True, logit_bias={WAIT: 100.0})
    deltas = aiter(await worker.generate(TokenPrompt(token_ids=[40]), params))
    await anext(deltas)
    await gate.begun()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(EngineDeadError, match="obedient"):
        await anext(deltas)
    assert await worker.wait_exited() == "signal SIGKILL"
    assert worker.num_lost == 1
    with pytest.raises(EngineDeadError):
        await worker.generate(TextPrompt(text="The"), SamplingParams())


async def test_a_worker_killed_while_it_loads_is_noticed(launcher: ForkserverLauncher, tmp_path: Path) -> None:
    folder = build_obedient_model(tmp_path / "waiting", at_load=[WAIT])
    worker = await launcher.launch(spec_of(folder, trust_remote_code=True))
    with closing(Gate(folder)) as gate:
        loading = asyncio.create_task(worker.load(lambda _: None))
        await gate.begun()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(EngineDeadError):
            await loading
    assert await worker.wait_exited() == "signal SIGKILL"


async def test_a_launch_that_is_given_up_leaves_no_process(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    launching = asyncio.create_task(launcher.launch(spec_of(folders["gpt2"])))
    await asyncio.sleep(0)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    # Starts happen one after the other, so this worker comes after the one that nobody wants.
    follower = await launcher.launch(spec_of(folders["gpt2"]))
    # Workers are children of the forkserver, which is a child of this process.
    grandchildren = [worker for child in psutil.Process().children() for worker in child.children()]
    unwanted = [worker for worker in grandchildren if worker.pid != follower.pid]
    _, alive = psutil.wait_procs(unwanted, timeout=10)
    assert not alive
    assert psutil.pid_exists(follower.pid)
    await follower.stop()


async def test_a_failed_load_says_why_and_leaves_no_process(launcher: ForkserverLauncher, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    worker = await launcher.launch(spec_of(empty))
    with pytest.raises(ModelLoadError, match=r"empty"):
        await worker.load(lambda _: None)
    await worker.wait_exited()
    assert not psutil.pid_exists(worker.pid)


async def test_a_worker_ends_when_its_gateway_is_gone(
    launcher: ForkserverLauncher, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ends by itself, however long that takes, and is not killed.
    monkeypatch.setattr(client, "DEATH_GRACE_S", 60.0)
    worker = await loaded(launcher, folders["gpt2"])
    await worker.generate(TextPrompt(text="The"), SamplingParams(ignore_eos=True))
    worker._writer.close()
    assert await worker.wait_exited() == "exit status 0"


async def test_a_worker_lets_its_gateway_decide_on_signals(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
    generation = await worker.generate(TextPrompt(text="The"), SamplingParams(max_tokens=2, ignore_eos=True))
    assert len([delta async for delta in generation]) == 2
    await worker.stop()


async def test_the_number_of_threads_changes_between_steps_and_no_token_with_it(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    prompt = TokenPrompt(token_ids=[9, 30, 41])
    generation = await worker.generate(prompt, SamplingParams(temperature=0, max_tokens=20))
    token_ids: list[int] = []
    async for delta in generation:
        worker.set_num_threads(1 + len(token_ids) % 2)
        token_ids += delta.token_ids
    assert token_ids == TinyModel(folders["gpt2"]).reference([9, 30, 41], 20)
    await worker.stop()


async def test_memory_questions_are_answered_on_a_cpu_too(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    assert await worker.free_cached_memory() == 0
    assert await worker.device_memory() == []
    await worker.stop()
