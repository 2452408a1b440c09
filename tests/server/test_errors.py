import pytest
from starlette.types import Scope

import hostler.errors
from hostler.config import Settings
from hostler.errors import HostlerError, QueueFullError
from hostler.registry import Registry
from hostler.server.errors import TABLE, error_response, is_openai, native_body, openai_body, row_for
from tests.server.conftest import Served, serving


def all_classes() -> list[type[HostlerError]]:
    return [cls for cls in vars(hostler.errors).values() if isinstance(cls, type) and issubclass(cls, HostlerError)]


@pytest.mark.parametrize("cls", all_classes())
def test_every_class_of_the_tree_has_its_own_row(cls: type[HostlerError]) -> None:
    assert cls in TABLE
    assert row_for(cls("x")) is TABLE[cls]


@pytest.mark.parametrize("cls", all_classes())
def test_every_class_becomes_both_bodies(cls: type[HostlerError]) -> None:
    error = cls("what happened", param="field")
    assert native_body(error) == {"detail": "what happened", "code": cls.code}
    expected = {"message": "what happened", "type": cls.type, "param": "field", "code": cls.code}
    assert openai_body(error) == {"error": expected}


@pytest.mark.parametrize("cls", all_classes())
def test_a_client_is_told_not_to_repeat_what_would_fail_again(cls: type[HostlerError]) -> None:
    response = error_response(cls("x"), scope_of("/"))
    assert (response.headers.get("x-should-retry") == "false") is not cls.retryable


def test_a_callers_mistake_is_never_a_fault_of_the_server() -> None:
    blamed_on_the_server = {
        cls for cls in all_classes() if issubclass(cls, hostler.errors.RequestError) and TABLE[cls].status >= 500
    }
    assert blamed_on_the_server == set()


def scope_of(path: str) -> Scope:
    return {"type": "http", "method": "GET", "path": path, "headers": []}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1", True),
        ("/v1/models/a/b", True),
        ("/models/a/v1/chat/completions", True),
        ("/models/a/b/v1/completions", True),
        ("/v1x", False),
        ("/models/v1/x/info", False),
        ("/", False),
    ],
)
def test_the_interface_follows_from_the_path(path: str, expected: bool) -> None:
    assert is_openai(scope_of(path)) is expected
    assert is_openai({**scope_of("/proxied" + path), "root_path": "/proxied"}) is expected


def test_retry_after_is_whole_seconds_and_not_nothing() -> None:
    assert error_response(QueueFullError("x", retry_after_s=1.2), scope_of("/")).headers["retry-after"] == "2"
    assert error_response(QueueFullError("x", retry_after_s=0.0), scope_of("/")).headers["retry-after"] == "1"
    assert "retry-after" not in error_response(QueueFullError("x"), scope_of("/")).headers


async def test_unknown_paths_and_methods_answer_in_the_form_of_their_interface(served: Served) -> None:
    native = await served.client.get("/nowhere")
    assert (native.status_code, native.json()["code"]) == (404, "not_found")
    openai = await served.client.get("/v1/nowhere")
    assert (openai.status_code, openai.json()["error"]["code"]) == (404, "not_found")
    method = await served.client.delete("/v1/models")
    assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET"


async def test_an_unexpected_error_tells_its_text_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> tuple[Settings, Registry]:
        raise RuntimeError("the secret is 42")

    async with serving(read_catalogue=fail) as served:
        response = await served.client.post("/admin/reload-config", headers={"x-request-id": "abc"})
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "abc" in response.json()["detail"]
    assert "42" not in response.text
    assert "the secret is 42" in caplog.text
    assert response.headers["x-should-retry"] == "false"
