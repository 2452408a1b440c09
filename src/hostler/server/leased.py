"""One question to a loaded model, and its answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from hostler.engine_client import EngineClient
from hostler.errors import EngineDeadError
from hostler.registry import ModelSpec
from hostler.server import request_context
from hostler.server.connected import AwaitedResponse
from hostler.server.services import Services
from hostler.telemetry.timeline import Timeline

Ask = Callable[[EngineClient], Awaitable[Any]]


def ask_leased(services: Services, spec: ModelSpec, ask: Ask, keep_alive_s: float | None) -> Response:
    """The answer of a model that is held for the time of the question. `ask` is cancelled when the client leaves."""
    return AwaitedResponse(Question(services, spec, ask, keep_alive_s).answer)


class Question:
    """To be asked once."""

    def __init__(self, services: Services, spec: ModelSpec, ask: Ask, keep_alive_s: float | None) -> None:
        self.spec = spec
        self.timeline = Timeline()
        self._services = services
        self._ask = ask
        self._keep_alive_s = keep_alive_s

    async def answer(self) -> Any:
        caller = request_context.current().caller
        with await self._services.manager.acquire(self.spec, keep_alive_s=self._keep_alive_s, caller=caller) as lease:
            self.timeline.note_lease()
            try:
                return await self._ask(lease.engine)
            except EngineDeadError as exc:
                if (loss := lease.loss()) is not None:
                    raise loss from exc
                raise
