"""Every row of the table of errors over HTTP: on both interfaces, in streams, and as OpenAI's client raises it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest

from hostler import errors
from hostler.config import Settings
from hostler.errors import HostlerError
from hostler.registry import Registry
from hostler.server.errors import TABLE
from tests.server.conftest import Served, serving
from tests.server.test_openai import CHAT, COMPLETION, events

Arrange = Callable[[Served], object]
Body = dict[str, Any]
GENERATE: Body = {"text": "a b c"}
CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
RETRY_AFTER_S = 7.0


@dataclass(frozen=True)
class Scene:
    """A mistake, or a fault, and how it looks."""

    error: type[HostlerError]
    openai: tuple[str, str, Body | None] | None = ("POST", "/v1/completions", COMPLETION)
    native: tuple[str, str, Body | None] | None = ("POST", "/models/tiny-text/generate", GENERATE)
    """Method, path and body; `None` where the interface does not know it."""
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Those expected beside the ones that every error has."""
    settings: dict[str, Any] = field(default_factory=dict)
    arrange: Arrange | None = None
    failing: HostlerError | None = None
    """What the engine refuses with, or fails with at the first token."""

    def prepare(self, served: Served) -> None:
        served.launcher.model("tiny-text").generation_error = self.failing
        if self.arrange is not None:
            self.arrange(served)


def fails_to_load(error: HostlerError) -> Arrange:
    def arrange(served: Served) -> None:
        served.launcher.model("tiny-text").load_error = error

    return arrange


def read_nothing() -> tuple[Settings, Registry]:
    raise errors.ConfigError("models.yaml, line 3: no such key")


def get(path: str) -> tuple[str, str, None]:
    return "GET", path, None


def complete(**fields: Any) -> tuple[str, str, Body]:
    return "POST", "/v1/completions", COMPLETION | fields


def generate(**fields: Any) -> tuple[str, str, Body]:
    return "POST", "/models/tiny-text/generate", GENERATE | fields


LONG = "a " * 2000
SOON = {"retry-after": "7"}
SCENES = [
    Scene(errors.InvalidRequestError, complete(n="2"), generate(length_penalty=2), param="n"),
    Scene(errors.UnsupportedParameterError, complete(suffix="x"), None, param="suffix"),
    Scene(errors.ContextLengthError, complete(prompt=LONG), generate(text=LONG)),
    Scene(errors.RequestTooLargeError, complete(prompt=LONG), generate(text=LONG), settings={"max_body_bytes": 1000}),
    Scene(errors.AuthenticationError, headers={"www-authenticate": "Bearer"}, settings={"api_key": "right"}),
    Scene(errors.PermissionDeniedError, settings={"client_host": "10.1.2.3"}),
    Scene(errors.NotFoundError, get("/v1/nowhere"), get("/nowhere")),
    Scene(errors.ModelNotFoundError, complete(model="nobody"), get("/models/nobody/info"), param="model"),
    Scene(errors.MethodNotAllowedError, get("/v1/completions"), get("/generate"), headers={"allow": "POST"}),
    Scene(errors.GatedModelError, arrange=fails_to_load(errors.GatedModelError("ask for access"))),
    Scene(errors.ModelTooLargeError, arrange=fails_to_load(errors.ModelTooLargeError("9 TB"))),
    Scene(errors.ServiceError, failing=errors.ServiceError("too little memory")),
    Scene(
        errors.ModelLoadError,
        headers={"retry-after": "10"},
        arrange=fails_to_load(errors.ModelLoadError("no such file")),
    ),
    Scene(errors.ModelNotLoadedError, None, get("/models/tiny-text/health?deep=1")),
    Scene(errors.ModelUnloadedError, failing=errors.ModelUnloadedError("told to leave")),
    Scene(
        errors.QueueFullError,
        headers=SOON,
        failing=errors.QueueFullError("full", retry_after_s=RETRY_AFTER_S),
    ),
    Scene(
        errors.RateLimitError,
        headers=SOON,
        failing=errors.RateLimitError("too many", retry_after_s=RETRY_AFTER_S),
    ),
    Scene(
        errors.WaitTimeoutError,
        headers=SOON,
        failing=errors.WaitTimeoutError("no room", retry_after_s=RETRY_AFTER_S),
    ),
    Scene(errors.DeadlineError, failing=errors.DeadlineError("too late")),
    Scene(errors.EngineDeadError, headers={"retry-after": "1"}, failing=errors.EngineDeadError("gone")),
    Scene(errors.EngineRequestError, failing=errors.EngineRequestError("numbers overflowed")),
    Scene(
        errors.ShuttingDownError, headers={"retry-after": "5"}, arrange=lambda served: served.services.drain.begun.set()
    ),
    Scene(errors.HostlerError, failing=errors.HostlerError("a fault")),
    Scene(errors.ConfigError, None, ("POST", "/admin/reload-config", None), settings={"read_catalogue": read_nothing}),
]
STREAMED = [scene for scene in SCENES if scene.failing is not None]


def name_of(scene: Scene) -> str:
    return scene.error.__name__


def test_every_row_but_the_callers_own_base_class_is_met() -> None:
    assert {scene.error for scene in SCENES} == set(TABLE) - {errors.RequestError}


async def answer(scene: Scene, asked: tuple[str, str, Body | None] | None) -> httpx2.Response:
    assert asked is not None
    method, path, body = asked
    async with serving(**scene.settings) as served:
        scene.prepare(served)
        response = await served.client.request(method, path, json=body)
    check_head(response, scene)
    return response


def check_head(response: httpx2.Response, scene: Scene) -> None:
    row = TABLE[scene.error]
    assert response.status_code == row.status
    assert response.headers["content-type"] == "application/json"
    told = {
        name: response.headers[name]
        for name in ("retry-after", "allow", "www-authenticate")
        if name in response.headers
    }
    assert told == scene.headers
    assert (response.headers.get("x-should-retry") == "false") is not scene.error.retryable


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.openai], ids=name_of)
async def test_an_error_of_openais_interface_is_as_the_table_has_it(scene: Scene) -> None:
    response = await answer(scene, scene.openai)
    body = response.json()["error"]
    assert set(response.json()) == {"error"}
    assert set(body) == {"message", "type", "param", "code"}
    expected = (scene.error.type, scene.param, scene.error.code)
    assert (body["type"], body["param"], body["code"]) == expected
    assert body["message"]


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.native], ids=name_of)
async def test_an_error_of_the_native_interface_is_as_the_table_has_it(scene: Scene) -> None:
    response = await answer(scene, scene.native)
    assert set(response.json()) == {"detail", "code"}
    assert response.json()["code"] == scene.error.code


EXCEPTIONS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}


def client_of(served: Served) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="-", base_url="http://localhost/v1", http_client=served.client, max_retries=0)


COMPLETED = [scene for scene in SCENES if scene.openai and scene.openai[0] == "POST"]


@pytest.mark.parametrize(
    ("scene", "is_streamed"),
    # When the engine fails, a stream has begun: the class is then the one of the test below.
    [(scene, False) for scene in COMPLETED] + [(scene, True) for scene in COMPLETED if scene not in STREAMED],
)
async def test_openais_client_raises_the_class_that_is_meant(scene: Scene, is_streamed: bool) -> None:
    assert scene.openai is not None
    async with serving(**scene.settings) as served:
        scene.prepare(served)
        with pytest.raises(openai.APIStatusError) as raised:
            await client_of(served).completions.create(**(scene.openai[2] or {}), stream=is_streamed)
    row = TABLE[scene.error]
    assert type(raised.value) is EXCEPTIONS[row.status]
    told = (raised.value.code, raised.value.param, raised.value.type)
    assert told == (scene.error.code, scene.param, scene.error.type)


@pytest.mark.parametrize("scene", STREAMED, ids=name_of)
async def test_an_error_inside_a_stream_is_an_event_with_the_same_body_and_then_done(scene: Scene) -> None:
    assert scene.failing is not None
    async with serving() as served:
        scene.prepare(served)
        served.launcher.model("tiny-text").num_free_words = 1
        chat = await served.client.post(CHAT_PATH, json=CHAT | {"model": "tiny-text", "stream": True})
        native = await served.client.post("/models/tiny-text/generate", json=GENERATE | {"stream": True})
        with pytest.raises(openai.APIError) as raised:
            async for _ in await client_of(served).completions.create(**COMPLETION, stream=True):
                pass
    message, code, kind = scene.failing.message, scene.error.code, scene.error.type
    assert events(chat.text)[-1] == {"error": {"message": message, "type": kind, "param": None, "code": code}}
    assert events(native.text)[-1] == {"error": {"detail": message, "code": code}}
    assert (raised.value.code, raised.value.type) == (code, kind)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT_PATH, {"messages": []}, "messages"),
        (CHAT_PATH, {"messages": None}, "messages"),
        (CHAT_PATH, {"messages": "hi"}, "messages"),
        (CHAT_PATH, {"messages": [{"role": "king", "content": "hi"}]}, "messages"),
        (CHAT_PATH, {"messages": [{"role": "user"}]}, "messages"),
        (CHAT_PATH, {"model": None}, "model"),
        (CHAT_PATH, {"model": 7}, "model"),
        (CHAT_PATH, {"stream_options": {"include_usage": True}}, "stream_options"),
        (CHAT_PATH, {"top_logprobs": 2}, "top_logprobs"),
        (CHAT_PATH, {"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        (CHAT_PATH, {"logprobs": 2}, "logprobs"),
        (CHAT_PATH, {"temperature": "hot"}, "temperature"),
        (CHAT_PATH, {"temperature": 2.1}, "temperature"),
        (CHAT_PATH, {"temperature": -0.1}, "temperature"),
        (CHAT_PATH, {"top_p": 1.5}, "top_p"),
        (CHAT_PATH, {"n": 0}, "n"),
        (CHAT_PATH, {"n": 10**30}, "n"),
        (CHAT_PATH, {"n": True}, "n"),
        (CHAT_PATH, {"max_tokens": -1}, "max_tokens"),
        (CHAT_PATH, {"seed": 2**63}, "seed"),
        (CHAT_PATH, {"stop": [""]}, "stop"),
        (CHAT_PATH, {"stop": ["x"] * 10_000}, "stop"),
        (CHAT_PATH, {"presence_penalty": 3}, "presence_penalty"),
        (CHAT_PATH, {"logit_bias": {"a": 1}}, "logit_bias"),
        (CHAT_PATH, {"logit_bias": {"1": 101}}, "logit_bias"),
        (CHAT_PATH, {"temprature": 1}, "temprature"),
        (COMPLETIONS_PATH, {"prompt": None}, "prompt"),
        (COMPLETIONS_PATH, {"prompt": []}, "prompt"),
        (COMPLETIONS_PATH, {"prompt": [[]]}, "prompt"),
        (COMPLETIONS_PATH, {"prompt": [1, "a"]}, "prompt"),
        (COMPLETIONS_PATH, {"prompt": [-1]}, "prompt"),
        (COMPLETIONS_PATH, {"logprobs": 6}, "logprobs"),
        (COMPLETIONS_PATH, {"logprobs": 10**30}, "logprobs"),
        (COMPLETIONS_PATH, {"best_of": 21}, "best_of"),
        (COMPLETIONS_PATH, {"best_of": 1, "n": 2}, "best_of"),
        (COMPLETIONS_PATH, {"suffix": "x"}, "suffix"),
        (COMPLETIONS_PATH, {"max_tokens": 10**30}, "max_tokens"),
    ],
)
async def test_a_mistake_is_a_400_that_names_the_field(path: str, fields: Body, param: str, served: Served) -> None:
    body = (CHAT if path == CHAT_PATH else COMPLETION) | fields
    for is_streamed in (False, True):
        streamed = {"stream": True} if is_streamed and param != "stream_options" else {}
        response = await served.client.post(path, json=body | streamed)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["param"] == param
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert param in response.json()["error"]["message"]
        assert len(response.content) <= 1024
