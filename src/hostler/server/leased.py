"""One question to a loaded model, and its answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from hostler.engine_client import EngineClient
from hostler.errors import EngineDeadError
from hostler.registry import ModelSpec
from hostler.server.connected import AwaitedResponse
from hostler.server.services import Services


def ask_leased(
    services: Services, spec: ModelSpec, ask: Callable[[EngineClient], Awaitable[Any]], keep_alive_s: float | None
) -> Response:
    """The answer of a model that is held for the time of the question. `ask` is cancelled when the client leaves."""

    async def answer() -> Any:
        with await services.manager.acquire(spec, keep_alive_s=keep_alive_s) as lease:
            try:
                return await ask(lease.engine)
            except EngineDeadError as exc:
                if (loss := lease.loss()) is not None:
                    raise loss from exc
                raise

    return AwaitedResponse(answer)
