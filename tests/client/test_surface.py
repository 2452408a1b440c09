"""What both clients offer, compared with each other and with the server."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_origin

import pytest
from tools import blocking_client

import hostler.client
from hostler.client import (
    AnswerStream,
    AsyncAnswerStream,
    AsyncComparisonStream,
    AsyncConversation,
    AsyncEventStream,
    AsyncHostler,
    AsyncSpokenStream,
    ComparisonStream,
    Conversation,
    EventStream,
    Hostler,
    SpokenStream,
    calls,
)
from hostler.config import Settings
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import make_app

PAIRS: list[tuple[type, type]] = [
    (Hostler, AsyncHostler),
    (Conversation, AsyncConversation),
    (AnswerStream, AsyncAnswerStream),
    (SpokenStream, AsyncSpokenStream),
    (ComparisonStream, AsyncComparisonStream),
    (EventStream, AsyncEventStream),
]
NOT_CALLED_BY_THE_CLIENT = {
    *("GET /", "GET /health/live"),
    # What `models` and `auth_status` tell as well.
    *("GET /models/loaded", "GET /models/gated", "GET /models/types/{model_type}"),
}
POOLING_PATHS = ("/v1/embeddings", "/v1/rerank", "/v1/score", "/v1/classify")
ARGUMENTS: dict[str, Any] = {
    **{"model": "m", "models": ["m"], "text": "t", "texts": ["t"], "message": "Hi", "context": None, "prompt": "p"},
    **{"tokens": [1], "query": "q", "documents": ["d"], "others": ["o"], "add_special_tokens": True, "options": {}},
    **{"force": False, "deep": False, "after": 0, "limit": 1, "dry_run": False, "level": "INFO"},
}
"""For every parameter of every call."""


def members_of(cls: type) -> dict[str, Any]:
    """Public ones, by their name in the blocking client."""
    return {
        "close" if name == "aclose" else name: member
        for name, member in inspect.getmembers(cls)
        if not name.startswith("_")
    }


def signature_of(member: Callable[..., object]) -> str:
    """With the words of the blocking client."""
    text = str(inspect.signature(member)).replace("asynchronous", "blocking")
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS, ids=lambda cls: cls.__name__)
def test_both_have_the_same_members_with_the_same_signatures(blocking: type, asynchronous: type) -> None:
    members, others = members_of(blocking), members_of(asynchronous)
    assert members.keys() == others.keys()
    for name, member in members.items():
        if inspect.isfunction(member):
            assert signature_of(member) == signature_of(others[name]), name
            assert not inspect.iscoroutinefunction(member)
        else:
            assert isinstance(member, property) == isinstance(others[name], property), name


@pytest.mark.parametrize("name", blocking_client.modules())
def test_the_blocking_client_is_made_from_the_other_as_it_is_now(name: str) -> None:
    written = (blocking_client.BLOCKING / name).read_text()
    assert written == blocking_client.blocking(name), "run python tools/blocking_client.py"
    assert not re.search(r"\basync\b|\bawait\b|\bAsync", written)


def test_nothing_is_left_of_a_module_that_went() -> None:
    assert sorted(path.name for path in blocking_client.BLOCKING.glob("*.py")) == blocking_client.modules()


def test_the_public_names_are_those_exported() -> None:
    assert sorted(hostler.client.__all__) == hostler.client.__all__
    assert all(hasattr(hostler.client, name) for name in hostler.client.__all__)


def test_every_call_says_what_it_does() -> None:
    silent = {name for name, member in members_of(Hostler).items() if callable(member) and not member.__doc__}
    assert silent == {"health", "info", "close"}


def routes_called() -> set[str]:
    """`METHOD /path` of every call that there is."""
    made: set[str] = set()
    for make in vars(calls).values():
        if not inspect.isfunction(make):
            continue
        signature = inspect.signature(make)
        if get_origin(signature.return_annotation) is calls.Call:
            call = make(**{name: ARGUMENTS[name] for name in signature.parameters})
            path = call.path.partition("?")[0].replace("/models/m/", "/models/{model_id}/")
            made.add(f"{call.method} {path}")
    return made


def test_every_native_route_has_a_call() -> None:
    app, _ = make_app(FakeLauncher(), Settings())
    routes = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    native = {route for route in routes if "/v1/" not in route or route.endswith(POOLING_PATHS)}
    of_the_usual_model = {route.replace("/models/{model_id}", "") for route in native if "{model_id}" in route}
    assert native - of_the_usual_model - routes_called() == NOT_CALLED_BY_THE_CLIENT
    assert routes_called() <= routes


def test_every_call_and_attribute_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "python-client.md").read_text()
    rows = re.findall(r"^\| (`.+?) \| ", guide, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert members_of(Hostler).keys() <= named
    assert {"message", "code", "type", "status", "param", "request_id", "retry_after_s"} <= named
