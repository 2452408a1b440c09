import threading

from pydantic import SecretStr

from hostler.server.hub_account import HubAccount
from tests.server.conftest import serving

TOKEN = SecretStr("hf_planted")


async def test_the_hub_is_asked_once_and_its_answer_remembered() -> None:
    asked: list[str] = []

    def ask(token: str) -> bool:
        asked.append(token)
        return True

    account = HubAccount(TOKEN, ask)
    assert await account.is_token_accepted() is True
    assert await account.is_token_accepted() is True
    assert asked == ["hf_planted"]


async def test_without_a_token_nobody_is_asked() -> None:
    def ask(token: str) -> bool:
        raise AssertionError("asked")

    account = HubAccount(None, ask)
    assert account.has_token is False
    assert await account.is_token_accepted() is None


async def test_a_hub_that_does_not_answer_in_time_is_unknown() -> None:
    is_over = threading.Event()
    account = HubAccount(TOKEN, lambda _: is_over.wait(), timeout_s=0.01)
    assert await account.is_token_accepted() is None
    is_over.set()


async def test_no_part_of_the_token_is_told() -> None:
    async with serving(hub_account=HubAccount(TOKEN, lambda _: False), hf_token="hf_planted") as served:
        response = await served.client.get("/auth/status")
        assert response.json()["has_token"] is True
        assert response.json()["token_accepted"] is False
        for path in ("/auth/status", "/models/gated", "/models/tiny-gated/info", "/system", "/health"):
            text = (await served.client.get(path)).text
            assert "hf_" not in text
            assert "planted" not in text
