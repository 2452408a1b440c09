"""What has to be done about an event, collected while it is taken in: answers to waiters, orders and notes."""

from hostler.errors import HostlerError
from hostler.lifecycle import notes
from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.events import Effect, GrantLease, RefuseWaiter, ReportLoaded, ReportUnloaded


class Outbox:
    """Effects, in the order in which they are to be carried out. Every waiter that leaves an entry does so here."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    def take(self) -> list[Effect]:
        """All there is; nothing is left."""
        effects, self._effects = self._effects, []
        return effects

    def put(self, *effects: Effect) -> None:
        self._effects += effects

    def grant(self, entry: ModelEntry, now: float) -> None:
        """Give those who wait for a model that is ready, and stays, what they wait for."""
        if not entry.is_granting:
            return
        for waiter in entry.waiters.values():
            if waiter.keep_alive_s is not None:
                entry.keep_alive_s = waiter.keep_alive_s
            if waiter.is_pinned is not None:
                entry.asked_is_pinned = waiter.is_pinned
            if waiter.wants_lease:
                entry.leases.add(waiter.waiter_id)
                entry.last_used = now
                entry.idle_since = None
                self.put(GrantLease(waiter.waiter_id, entry.model_id, entry.generation))
            else:
                self.put(ReportLoaded(waiter.waiter_id))
        entry.waiters.clear()

    def report_unloaded(self, entry: ModelEntry) -> None:
        """Tell those who wanted it out of memory."""
        self.put(*(ReportUnloaded(waiter_id, was_loaded=True) for waiter_id in entry.unload_waiters))
        entry.unload_waiters.clear()

    def turn_away(self, entry: ModelEntry, waiter_id: int, error: HostlerError) -> None:
        """Refuse one, with a note."""
        self.put(RefuseWaiter(waiter_id, error), notes.refused(entry, error, 1))

    def refuse_all(self, entry: ModelEntry, error: HostlerError) -> None:
        """Refuse everybody who waits for a model, with one note."""
        if entry.waiters:
            self.put(notes.refused(entry, error, len(entry.waiters)))
        self.put(*(RefuseWaiter(waiter_id, error) for waiter_id in entry.waiters))
        entry.waiters.clear()
