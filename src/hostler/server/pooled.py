"""The response of a model that reads whole texts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from hostler.engine_client import EngineClient
from hostler.registry import ModelSpec
from hostler.server import request_context
from hostler.server.connected import AwaitedResponse
from hostler.server.leased import Question
from hostler.server.services import Services
from hostler.telemetry.request_metrics import Generated
from hostler.types import ModelFacts, PoolingInput, PoolingOutput, PoolingParams

Spell = Callable[[PoolingOutput, ModelFacts], Awaitable[Any]]
"""From what the model computed to the body of an answer."""


class PooledResponse(AwaitedResponse):
    """Its tokens and times are counted as those of a generation are."""

    def __init__(
        self,
        services: Services,
        spec: ModelSpec,
        inputs: Sequence[PoolingInput],
        params: PoolingParams,
        keep_alive_s: float | None,
        spell: Spell,
    ) -> None:
        super().__init__(self._compute)
        self._inputs = list(inputs)
        self._params = params
        self._spell = spell
        self._question = Question(services, spec, self._ask, keep_alive_s)
        self._num_prompt_tokens = 0

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

    async def _compute(self) -> Any:
        output, facts = await self._question.answer()
        self._question.timeline.note_end(output.queued_s)
        self._num_prompt_tokens = sum(output.num_tokens)
        return await self._spell(output, facts)

    async def _ask(self, engine: EngineClient) -> tuple[PoolingOutput, ModelFacts]:
        caller = request_context.current().caller
        return await engine.pool(self._inputs, self._params, caller=caller), engine.facts
