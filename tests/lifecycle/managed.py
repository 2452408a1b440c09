"""A manager whose workers are fakes, and whose clock the test moves."""

import asyncio

from hostler.config import Settings
from hostler.lifecycle.lease import ModelLease
from hostler.lifecycle.ledger import HOST
from hostler.lifecycle.manager import ModelManager
from hostler.memory import Estimate
from hostler.testing.estimator import FakeEstimator, NoGpus, footprint
from hostler.testing.worker import FakeLauncher
from hostler.types import ModelState, TextPrompt
from tests.fake_clock import FakeClock, settle
from tests.lifecycle.specs import make_registry, make_spec

A, B, C = make_spec("a"), make_spec("b"), make_spec("c")
PROMPT = TextPrompt(text="hello")


class Stable:
    """A manager, its fakes, and requests that wait."""

    def __init__(self, max_concurrent_models: int = 2, max_waiting_per_model: int = 8) -> None:
        self.clock = FakeClock()
        self.launcher = FakeLauncher(self.clock.sleep)
        self.estimator = FakeEstimator()
        settings = Settings(
            max_concurrent_models=max_concurrent_models,
            max_waiting_per_model=max_waiting_per_model,
            acquire_timeout_s=60,
            load_stall_timeout_s=30,
            auto_unload_after_minutes=10,
            num_threads=5,
        )
        self.manager = ModelManager(
            make_registry("a", "b", "c"), settings, self.launcher, self.estimator, self.clock, NoGpus()
        )

    def hold_loads(self, model_id: str) -> asyncio.Event:
        gate = self.launcher.model(model_id).load_gate = asyncio.Event()
        return gate

    async def state(self, model_id: str) -> ModelState:
        await settle()
        return self.manager.status(model_id).state

    def num_loads(self, model_id: str) -> int:
        return len(self.launcher.workers_of(model_id))


async def close_and_check(stable: Stable) -> None:
    """Whatever a test did, closing leaves nothing behind."""
    for model_id in stable.manager.registry:
        if (gate := stable.launcher.model(model_id).stop_gate) is not None:
            gate.set()
    await stable.manager.close()
    assert stable.launcher.is_closed
    assert stable.launcher.alive == []
    assert stable.clock.num_timers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def waiting(stable: Stable, spec_id: str) -> asyncio.Task[ModelLease]:
    """A request that has begun to wait for its lease."""
    task = asyncio.create_task(stable.manager.acquire(make_spec(spec_id)))
    await settle()
    return task


def takes(stable: Stable, model_id: str, share: float, load_s: float | None = None) -> None:
    """Let a model take that share of the budget for the host's memory."""
    num_bytes = int(stable.manager.budget[HOST] * share)
    stable.estimator.estimates[model_id] = Estimate(footprint=footprint(num_bytes), load_s=load_s)
