"""A controller whose questions are answered at once and whose notes are kept apart, for scenes."""

from dataclasses import replace

from hostler.lifecycle.controller import Controller
from hostler.lifecycle.events import (
    Acquire,
    Effect,
    EstimateNeed,
    Event,
    GrantLease,
    LoadSucceeded,
    NeedEstimated,
    Note,
    Profile,
    RefuseWaiter,
    StartLoad,
)
from hostler.lifecycle.ledger import HOST, PLACES, Need
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.policy import Option

LIMITS = Limits(
    max_waiting_per_model=4,
    acquire_timeout_s=60.0,
    load_stall_timeout_s=30.0,
    keep_alive_s=600.0,
    turn_s=5.0,
)


def option(num_bytes: int = 0) -> Option:
    """On the host."""
    return Option("cpu", {HOST: num_bytes, PLACES: 1})


class DrivenController:
    """Models take a place and the bytes that `needs` says, of `budget_bytes` and `num_places`."""

    def __init__(
        self,
        num_places: int = 1,
        *,
        needs: dict[str, int] | None = None,
        budget_bytes: int = 0,
        profiles: dict[str, Profile] | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        budget: Need = {HOST: budget_bytes, PLACES: num_places}
        registered = {model_id: Profile() for model_id in ("a", "b", "c")} | (profiles or {})
        self.controller = Controller(limits, budget, registered)
        self.needs = needs or {}
        self.notes: list[Note] = []
        self.entry = self.controller.stable.get
        self.next_deadline = self.controller.next_deadline

    def option(self, model_id: str) -> Option:
        return option(self.needs.get(model_id, 0))

    def handle(self, event: Event, now: float) -> list[Effect]:
        """All effects but notes and questions, those of the answers included."""
        effects: list[Effect] = []
        pending = [event]
        while pending:
            for effect in self.controller.handle(pending.pop(0), now):
                if isinstance(effect, EstimateNeed):
                    options = [self.option(effect.model_id)]
                    pending.append(NeedEstimated(effect.model_id, effect.number, options))
                elif isinstance(effect, Note):
                    self.notes.append(effect)
                else:
                    effects.append(effect)
        return effects


def make_controller(num_places: int = 1, max_waiting_per_model: int = 4) -> DrivenController:
    return DrivenController(num_places, limits=replace(LIMITS, max_waiting_per_model=max_waiting_per_model))


def load(controller: DrivenController, model_id: str, waiter_id: int, now: float = 0.0) -> None:
    """Bring a model in, with a lease for `waiter_id`."""
    assert controller.handle(Acquire(waiter_id, model_id), now) == [StartLoad(model_id, 1, controller.option(model_id))]
    assert controller.handle(LoadSucceeded(model_id, 1), now) == [GrantLease(waiter_id, model_id, 1)]


def only_error(effects: list[Effect]) -> Exception:
    (effect,) = effects
    assert isinstance(effect, RefuseWaiter)
    return effect.error
