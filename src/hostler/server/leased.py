"""One question to a loaded model, and its answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hostler.engine_client import EngineClient
from hostler.errors import EngineDeadError
from hostler.registry import ModelSpec
from hostler.server import request_context
from hostler.server.connected import AwaitedResponse
from hostler.server.services import Services
from hostler.telemetry.request_metrics import Generated
from hostler.telemetry.timeline import Timeline

Ask = Callable[[EngineClient], Awaitable[Any]]


def ask_leased(services: Services, spec: ModelSpec, ask: Ask, keep_alive_s: float | None) -> Response:
    """The answer of a model that is held for the time of the question. `ask` is cancelled when the client leaves."""
    return AwaitedResponse(_Question(services, spec, ask, keep_alive_s).answer)


class ComputedResponse(AwaitedResponse):
    """The same for a question that the model computes on: its tokens and times are counted as those of a generation
    are."""

    def __init__(
        self,
        services: Services,
        spec: ModelSpec,
        ask: Ask,
        keep_alive_s: float | None,
        num_tokens: Callable[[Any], int],
    ) -> None:
        """`num_tokens`: of an answer, how many tokens the model has read for it."""
        self._question = _Question(services, spec, ask, keep_alive_s)
        self._num_tokens = num_tokens
        self._num_prompt_tokens = 0
        super().__init__(self._answer_counted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["generations"] = [self]
        await super().__call__(scope, receive, send)

    def generated(self) -> Generated:
        """What it has come to, for the limits, the metrics and the log."""
        return Generated(
            model_id=self._question.spec.id,
            timeline=self._question.timeline,
            num_prompt_tokens=self._num_prompt_tokens,
        )

    async def _answer_counted(self) -> Any:
        answer = await self._question.answer()
        self._question.timeline.note_end()
        self._num_prompt_tokens = self._num_tokens(answer)
        return answer


class _Question:
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
