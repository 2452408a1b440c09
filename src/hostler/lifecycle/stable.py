"""All models as they are, and what is promised to them: changed by the controller, read by others."""

from collections.abc import Iterator, Mapping, Sequence

from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.events import Profile
from hostler.lifecycle.ledger import Ledger, Need
from hostler.lifecycle.policy import Option, Resident
from hostler.lifecycle.rooms import Claimant, Settlement, next_change, settle


class Stable:
    """Entries by model id, and the ledger."""

    def __init__(self, budget: Need, profiles: Mapping[str, Profile]) -> None:
        self.ledger = Ledger(budget)
        self._entries = {model_id: ModelEntry(model_id, profile=profile) for model_id, profile in profiles.items()}
        self._active: dict[str, None] = {}
        """Ids of the few among perhaps thousands that anything can happen to; the order has no meaning."""

    def __iter__(self) -> Iterator[ModelEntry]:
        return iter(self._entries.values())

    def __getitem__(self, model_id: str) -> ModelEntry:
        return self._entries[model_id]

    def get(self, model_id: str) -> ModelEntry | None:
        """`None` for a model that was never registered, or is forgotten."""
        return self._entries.get(model_id)

    def add(self, model_id: str) -> ModelEntry:
        """The entry of a model, a new one where there is none."""
        return self._entries.setdefault(model_id, ModelEntry(model_id))

    def touch(self, model_id: str) -> None:
        """Something may happen to this model now."""
        if model_id in self._entries:
            self._active[model_id] = None

    def let_rest(self) -> None:
        """Look no more at models that hold nothing and that nobody waits for."""
        for entry in self.active:
            if not entry.is_active:
                del self._active[entry.model_id]

    @property
    def active(self) -> list[ModelEntry]:
        """Those in memory and those that somebody waits for."""
        return [self._entries[model_id] for model_id in self._active]

    def forget(self, model_id: str) -> None:
        """Only a model that holds nothing and that nobody waits for."""
        del self._entries[model_id]
        self._active.pop(model_id, None)

    @property
    def in_memory(self) -> list[ModelEntry]:
        """Those that hold memory."""
        return [entry for entry in self.active if entry.is_resident]

    def resident(self, entry: ModelEntry) -> Resident:
        """One of them, as choices see it."""
        return entry.as_resident(self.ledger.held_by(entry.model_id))

    def settlement(self, now: float, turn_s: float) -> Settlement:
        """Who gets room now, who leaves, who waits."""
        claimants = self._claimants()
        return settle(claimants, self.ledger.budget, self._residents(), now, turn_s) if claimants else Settlement()

    def foresee(self, model_id: str, options: Sequence[Option], now: float, turn_s: float) -> Settlement:
        """The settlement, were the model asked for now."""
        claimants = [claimant for claimant in self._claimants() if claimant.model_id != model_id]
        claimants.append(Claimant(model_id, options, now))
        return settle(claimants, self.ledger.budget, self._residents(), now, turn_s)

    def next_change(self, now: float, turn_s: float) -> list[float]:
        """When time alone may change the settlement."""
        claimants = self._claimants()
        return next_change(claimants, self._residents(), now, turn_s) if claimants else []

    def _claimants(self) -> list[Claimant]:
        """Models that hold nothing and that somebody waits for, the longest waiting first."""
        waiting = sorted(
            (entry for entry in self.active if entry.wants_room), key=lambda entry: entry.oldest_waiter.order
        )
        return [entry.as_claimant() for entry in waiting]

    def _residents(self) -> list[Resident]:
        return [self.resident(entry) for entry in self.in_memory]
