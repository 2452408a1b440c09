"""Native routes that explain: what would happen, what happened, and how a model is. None of them loads anything."""

import asyncio
import time
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import JSONResponse, Response

from hostler.engine_client import EngineClient
from hostler.errors import InvalidRequestError, ModelNotLoadedError, WaitTimeoutError
from hostler.keys import Scope
from hostler.lifecycle.journal import KEPT
from hostler.lifecycle.plan import Plan
from hostler.protocol.stable_answers import (
    DeepCheck,
    EventsPage,
    FootprintParts,
    ModelEvent,
    ModelHealth,
    PlanAnswer,
    PlanVictim,
    Verdict,
)
from hostler.registry import ModelSpec
from hostler.server.auth import needs, refuse_if_some_models
from hostler.server.event_stream import EventStream, event_of, resumable
from hostler.server.openapi import answer_of
from hostler.server.services import PathModel, Services, ServicesDep
from hostler.types import ModelState, ModelType, PoolingParams, PoolingTask, SamplingParams, TextPair, TextPrompt

router = APIRouter(tags=["stable"], dependencies=[needs(Scope.READ)])

MAX_EVENTS = 1000
USUAL_EVENTS = 100
MAX_NUMBER = 2**63 - 1

After = Annotated[int, Query(ge=0, le=MAX_NUMBER, description="Those with a higher number; without it, the newest.")]
Limit = Annotated[int, Query(ge=1, le=MAX_EVENTS, description="At most so many; not of a stream.")]
IsStream = Annotated[bool, Query(alias="stream", description="As `Accept: text/event-stream`.")]
LastEventId = Annotated[str | None, Header(description="What a client that comes back to a stream has seen.")]
_STREAM = "As a stream, if asked: an event for each entry as it happens, and for progress."
_events = answer_of(EventsPage, _STREAM, ModelEvent, ends=False)


@router.post("/models/{model_id:model}/plan")
async def plan(spec: PathModel, services: ServicesDep) -> PlanAnswer:
    """What would happen if the model were asked for now, and why. Changes nothing."""
    return plan_answer(spec.id, await services.manager.plan(spec))


class EventsQuery:
    """Which events are asked for, and how they are to come."""

    def __init__(
        self,
        request: Request,
        after: After = 0,
        limit: Limit = USUAL_EVENTS,
        is_stream: IsStream = False,
        last_event_id: LastEventId = None,
    ) -> None:
        self.after = _number(last_event_id) or after
        self.limit = limit
        self.is_stream = is_stream or "text/event-stream" in request.headers.get("accept", "").lower()


Asked = Annotated[EventsQuery, Depends()]


@router.get("/events", **_events, dependencies=[Depends(refuse_if_some_models)])
async def events(services: ServicesDep, asked: Asked) -> Response:
    """What happened to all models, and why."""
    return _tell(services, None, asked)


@router.get("/models/{model_id:model}/events", **_events)
async def events_of(spec: PathModel, services: ServicesDep, asked: Asked) -> Response:
    """What happened to one model, and why."""
    return _tell(services, spec.id, asked)


@router.get("/models/{model_id:model}/health")
async def health_of(
    spec: PathModel,
    services: ServicesDep,
    deep: Annotated[
        bool, Query(description="Have it answer one token, or read one word, if it is in memory; else 503.")
    ] = False,
) -> ModelHealth:
    """How a model is. A deep check goes through its queue and counts as a request; none ever loads it."""
    answer = model_health(services, spec)
    if deep:
        answer["deep"] = DeepCheck(seconds=round(await _seconds_to_token(services, spec), 4))
    return answer


def plan_answer(model_id: str, plan: Plan) -> PlanAnswer:
    footprint = plan.footprint
    return PlanAnswer(
        model_id=model_id,
        verdict=cast(Verdict, plan.verdict),
        text=plan.text,
        device=plan.option.device,
        needs=dict(plan.option.need),
        footprint=FootprintParts(
            weights_bytes=footprint.weights_bytes,
            kv_cache_bytes=footprint.kv_cache_bytes,
            workspace_bytes=footprint.workspace_bytes,
            process_bytes=footprint.process_bytes,
            basis=footprint.basis.value,
        ),
        budget=dict(plan.budget),
        free=dict(plan.free),
        available=dict(plan.available),
        lacking=dict(plan.lacking),
        victims=[
            PlanVictim(
                model_id=victim.model_id,
                reason=victim.reason,
                frees=dict(victim.holds),
                idle_seconds=round(victim.idle_s, 3),
                load_seconds=None if victim.load_s is None else round(victim.load_s, 3),
            )
            for victim in plan.victims
        ],
        in_flight=plan.in_flight,
        expected_seconds=None if plan.expected_s is None else round(plan.expected_s, 3),
    )


def model_health(services: Services, spec: ModelSpec) -> ModelHealth:
    status = services.manager.status(spec.id)
    return ModelHealth(
        model_id=spec.id,
        state=status.state.value,
        num_leases=status.num_leases,
        num_waiting=status.num_waiting,
        reserved=dict(services.manager.reserved(spec.id)),
        last_error=status.last_error,
        retry_after_s=status.retry_after_s,
    )


def _tell(services: Services, model_id: str | None, asked: EventsQuery) -> Response:
    journal = services.manager.journal
    after = resumable(journal, asked.after)
    if asked.is_stream:
        leaving = services.drain.begun
        return EventStream(services.manager, model_id=model_id, after=after, leaving=leaving, timing=services.timing)
    entries = journal.last(model_id=model_id, after=after, limit=KEPT)
    # Whoever goes on from an entry gets those that follow it and misses none; anybody else wants the newest.
    entries = entries[: asked.limit] if after else entries[-asked.limit :]
    page = EventsPage(events=[event_of(entry) for entry in entries], last=entries[-1].number if entries else after)
    return JSONResponse(page)


def _number(last_event_id: str | None) -> int:
    """
    Raises:
        InvalidRequestError: it is none that this server gave.
    """
    if not last_event_id:
        return 0
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 20):
        raise InvalidRequestError(
            f"the header Last-Event-ID should be the id of an event, a number, not {last_event_id[:40]!r}",
            param="last-event-id",
        )
    return int(last_event_id)


async def _seconds_to_token(services: Services, spec: ModelSpec) -> float:
    """
    Raises:
        ModelNotLoadedError: it is not in memory, or is leaving or making way.
        WaitTimeoutError: it did not answer in time.
        ServiceError: it cannot answer.
    """
    state = services.manager.status(spec.id).state
    if state is not ModelState.READY:
        raise ModelNotLoadedError(f"model {spec.id!r} is {state.value}, and a check does not load it")
    started = time.perf_counter()
    try:
        # A model that grants leases does so without a pause; waiting for any other might load it again.
        async with asyncio.timeout(0):
            lease = await services.manager.acquire(spec)
    except TimeoutError as exc:
        raise ModelNotLoadedError(f"model {spec.id!r} makes way for another and takes nothing new") from exc
    deadline_s = services.timing.deep_check_s
    with lease:
        try:
            async with asyncio.timeout(deadline_s):
                await _ask_something(lease.engine, spec.type)
        except TimeoutError as exc:
            raise WaitTimeoutError(f"model {spec.id!r} did not answer within {deadline_s:g} s") from exc
    return time.perf_counter() - started


async def _ask_something(engine: EngineClient, model_type: ModelType) -> None:
    """The least that a model can do."""
    match model_type:
        case ModelType.EMBEDDING:
            await engine.pool([TextPrompt(text="Hello")], PoolingParams(task=PoolingTask.EMBED, param="input"))
        case ModelType.RERANKER:
            pair = TextPair(text="Hello", text_pair="Hello")
            await engine.pool([pair], PoolingParams(task=PoolingTask.SCORE, param="documents"))
        case ModelType.CLASSIFIER:
            await engine.pool([TextPrompt(text="Hello")], PoolingParams(task=PoolingTask.CLASSIFY, param="input"))
        case _:
            params = SamplingParams(max_tokens=1, temperature=0.0)
            generation = await engine.generate(TextPrompt(text="Hello"), params)
            try:
                while await generation.next_deltas():
                    pass
            finally:
                generation.abort()
