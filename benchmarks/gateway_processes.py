"""The processes that `bench_gateway.py` loads: gateways over models that answer at once, and a bare route."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hostler.config import Settings
from hostler.gateway import Configuration, Gateway, Occasions
from hostler.gateway_server import loop_factory, uvicorn_config
from hostler.lifecycle.manager import ModelManager
from hostler.logs import configure_logging
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.registry import load_registry
from hostler.runtime import listen
from hostler.server.app import create_app
from hostler.server.json_body import parse_json, validated
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.watching import FileWatch
from hostler.yaml_file import YamlFile
from instant_engine import INSTANT, STEPPING, InstantLauncher

HOST = "127.0.0.1"
NO_FILE = Path("/nonexistent/hostler")
NEVER_REACHED = 10**9
LIMITS = {
    f"{prefix}{limit}": NEVER_REACHED
    for prefix in ("", "address_", "total_")
    for limit in ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "queued_requests")
}
"""Every limit that there is."""

WHOLE, STREAMED, STEPPED = "whole", "streamed", "stepped"
"""Kinds of answers; what the bare route sends of each lies in a file of that name."""
CHECKED = "checked"
"""A bare route of whole answers that reads its request's body as the gateway does, and does nothing else."""


async def serve_gateway(port: int, keys_file: Path | None) -> None:
    """All that `hostler serve` puts into a gateway, with other models; `keys_file`: `None`: no keys, and no limits."""
    given: dict[str, Any] = {"keys_file": NO_FILE} if keys_file is None else {"keys_file": keys_file, **LIMITS}
    settings = Settings(host=HOST, port=port, watch_config=False, api_key=None, **given)
    configure_logging(settings.log_level, settings.log_format)
    entry = {"type": "conversational", "size": "1M", "description": "Answers at once", "max_length": 4096}
    models = {model_id: {"name": f"fake/{model_id}", **entry} for model_id in (INSTANT, STEPPING)}
    registry = load_registry(YamlFile(NO_FILE, {"models": models}, {}), settings)
    manager = ModelManager(registry, settings, InstantLauncher(), FakeEstimator(), gpus=NoGpus())
    app = create_app(manager, settings, read_catalogue=lambda: (settings, registry))
    configuration = Configuration(NO_FILE, {}, FileWatch(NO_FILE), settings, registry)
    with listen(HOST, port) as listener:
        await Gateway(app, manager, configuration, None).run([listener], Occasions())


async def serve_bare(port: int, answers: Path) -> None:
    """One route for each kind of answer, which reads its request and sends the bytes that a gateway has sent."""
    body = (answers / WHOLE).read_bytes()
    events = {kind: events_of((answers / kind).read_bytes()) for kind in (STREAMED, STEPPED)}

    async def whole(request: Request) -> Response:
        await request.body()
        return Response(body, media_type="application/json")

    async def checked(request: Request) -> Response:
        validated(parse_json(await request.body()), ChatCompletionRequest)
        return Response(body, media_type="application/json")

    async def streamed(request: Request) -> Response:
        await request.body()
        return StreamingResponse(at_once(events[STREAMED]), media_type="text/event-stream")

    async def stepped(request: Request) -> Response:
        await request.body()
        return StreamingResponse(step_by_step(events[STEPPED]), media_type="text/event-stream")

    routes = {WHOLE: whole, CHECKED: checked, STREAMED: streamed, STEPPED: stepped}
    app = Starlette(routes=[Route(f"/{kind}", route, methods=["POST"]) for kind, route in routes.items()])
    with listen(HOST, port) as listener:
        await uvicorn.Server(uvicorn_config(app, Settings())).serve(sockets=[listener])


def events_of(stream: bytes) -> list[bytes]:
    """Server-sent events, each with the empty line that ends it."""
    return [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]


async def at_once(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def step_by_step(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event
        await asyncio.sleep(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["gateway", "bare"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys-file", type=Path, help="of the gateway, which then has all limits as well")
    parser.add_argument("--answers", type=Path, help="folder of what the bare route sends")
    arguments = parser.parse_args()
    serving = (
        serve_gateway(arguments.port, arguments.keys_file)
        if arguments.role == "gateway"
        else serve_bare(arguments.port, arguments.answers)
    )
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serving)


if __name__ == "__main__":
    main()
