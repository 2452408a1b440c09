"""Templates of prompts that come with a request: none is used, wherever it stands."""

from typing import Any

import pytest

from tests.server.conftest import serving

TEMPLATE = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"
TURNS = [{"role": "user", "content": "a"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "tiny-chat", "messages": TURNS},
    "/v1/messages": {"model": "tiny-chat", "messages": TURNS, "max_tokens": 1},
    "/v1/responses": {"model": "tiny-chat", "input": "a"},
    "/models/tiny-chat/chat": {"message": "a"},
    "/tokenize": {"model": "tiny-chat", "messages": TURNS},
}
BROUGHT: tuple[dict[str, Any], ...] = (
    {"chat_template": TEMPLATE},
    {"chat_template_kwargs": {"chat_template": TEMPLATE}},
    {"chat_template_kwargs": {"tokenize": True, "return_tensors": "pt"}},
)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("brought", BROUGHT)
async def test_a_template_of_a_request_is_refused_by_name_and_loads_nothing(path: str, brought: dict[str, Any]) -> None:
    async with serving() as served:
        answer = await served.client.post(path, json=BODIES[path] | brought)
        assert answer.status_code in (400, 422)
        assert next(iter(brought)) in answer.text
        assert served.launcher.workers == []


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("brought", BROUGHT)
async def test_where_unknown_fields_are_ignored_no_template_reaches_a_model(path: str, brought: dict[str, Any]) -> None:
    async with serving(unknown_fields="ignore") as served:
        answer = await served.client.post(path, json=BODIES[path] | brought)
        assert answer.status_code in (200, 400, 422)
        asked = [request for worker in served.launcher.workers for request in worker.requests]
        assert TEMPLATE not in repr(asked)
