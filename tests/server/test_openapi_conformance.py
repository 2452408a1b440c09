"""Schemathesis calls every operation of our own document, with data that fits it and data that does not."""

import logging
from contextlib import suppress
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import Message, Receive, Scope, Send

from hostler.config import Settings
from hostler.server.openapi_examples import FIELDS
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import MODELS, make_app
from tests.server.test_pooling import POOLING, know_what_they_do

CHECKS = [
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
OPEN = Settings(insecure_no_auth=True, allowed_hosts=["testserver"])
KNOWN = MODELS | POOLING
NAMED_BY_EXAMPLES = {FIELDS["model_id"]: {"name": "acme/Example", "type": "conversational"}}


def make_open_app() -> FastAPI:
    launcher = FakeLauncher()
    know_what_they_do(launcher)
    app, _ = make_app(launcher, OPEN, models=KNOWN | NAMED_BY_EXAMPLES)
    return app


class RestartedApp:
    """An application that is made anew for each lifespan, as each test has its own; its streams end for certain."""

    def __init__(self) -> None:
        self._app = make_open_app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._app = make_open_app()
        has_ended = False

        async def send_until_end(message: Message) -> None:
            nonlocal has_ended
            if has_ended:
                return
            if message["type"] == "http.response.body" and scope["path"].endswith("/events"):
                has_ended = True
                message = {**message, "more_body": False}
            await send(message)

        await self._app(scope, receive, send_until_end)


schema = schemathesis.openapi.from_dict(make_open_app().openapi())
schema.app = RestartedApp()


@schema.hook
def map_path_parameters(
    context: schemathesis.HookContext, path_parameters: dict[str, object] | None
) -> dict[str, object] | None:
    """Most models that are named should be there; whether one is follows from what was drawn."""
    for name, known in {"model_id": [*KNOWN, "acme/Other"], "model_type": ["text", "code"]}.items():
        drawn = None if path_parameters is None else path_parameters.get(name)
        if path_parameters is not None and isinstance(drawn, str):
            choice = crc32(drawn.encode("utf-8", "replace")) % (len(known) + 1)
            path_parameters[name] = [*known, drawn][choice]
    return path_parameters


@schema.hook
def map_body(context: schemathesis.HookContext, body: object) -> object:
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        choice = crc32(repr(body).encode("utf-8", "replace")) % (len(KNOWN) + 1)
        body["model"] = [*KNOWN, body["model"]][choice]
    return body


OPERATIONS = {result.ok().label: result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)}


def call(operation: schemathesis.APIOperation[Any, Any, Any, Any], max_examples: int) -> None:
    """With data that fits the document, and with data that does not."""
    bounded = settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    bounded(given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))(check))()
    with suppress(Unsatisfiable):  # where nothing is sent, nothing can be wrong
        bounded(given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))(check))()


def check(case: schemathesis.Case[Any]) -> None:
    response = case.call()
    assert response.status_code != 500, response.text
    # That a 413 is a refusal is not known to schemathesis.
    checks = [check for check in CHECKS if check is not negative_data_rejection or response.status_code != 413]
    case.validate_response(response, checks=checks)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_in_the_document(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    call(OPERATIONS[name], max_examples=6)
    assert not caplog.records


@pytest.mark.long
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_to_many_requests_is_too(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    call(OPERATIONS[name], max_examples=60)
    assert not caplog.records


def test_no_operation_is_left_out() -> None:
    documented = make_open_app().openapi()["paths"]
    assert len(OPERATIONS) == sum(len(operations) for operations in documented.values())
