"""A chat lasts as long as its tab, and is in no other place."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page, expect

from hostler.types import ChatPrompt
from tests.playground.conftest import give_key
from tests.playground.gateway import Gateway
from tests.playground.test_chat import open_chat, say

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_KEPT_CHARS = 1_000_000


async def kept(page: Page) -> dict[str, Any] | None:
    text = await page.evaluate("sessionStorage.getItem('hostler-chat')")
    return None if text is None else json.loads(text)


async def test_a_reload_keeps_the_conversation_which_can_go_on(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = "**Neigh.**"
    await open_chat(page, gateway)
    await page.get_by_label("System prompt").fill("You are a horse.")
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    stats = await page.locator(".stats").last.inner_text()
    await page.reload()
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.locator("strong")).to_have_text("Neigh.")
    await expect(answer.locator(".stats")).to_have_text(stats)
    await expect(page.get_by_label("Model", exact=True)).to_have_value("tiny-chat")
    await say(page, "And now?")
    await expect(page.get_by_role("button", name="Regenerate")).to_have_count(2)
    prompt, _ = gateway.launcher.worker("tiny-chat").requests[-1]
    assert isinstance(prompt, ChatPrompt)
    assert [(message.role, message.content) for message in prompt.messages] == [
        ("system", "You are a horse."),
        ("user", "Hello"),
        ("assistant", "**Neigh.**"),
        ("user", "And now?"),
    ]


async def test_a_reload_in_the_middle_of_an_answer_keeps_what_there_was_of_it(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 2
    await open_chat(page, gateway)
    await say(page, "Hello")
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await page.reload()
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await expect(answer.locator(".stats")).to_contain_text("stopped")
    model.token_gate.set()
    await answer.get_by_role("button", name="Regenerate").click()
    await expect(answer.locator(".body")).to_contain_text("word15")


async def test_a_new_chat_leaves_nothing_of_the_old_one(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    assert await kept(page) is not None
    await page.get_by_role("button", name="New chat").click()
    assert await kept(page) is None
    await page.reload()
    await expect(page.get_by_text("Ask tiny-chat something.")).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(0)


async def test_what_is_kept_is_without_the_key_for_this_tab_alone_and_outlives_a_forgotten_key(page: Page) -> None:
    async with Gateway(api_key="sk-right") as gateway:
        await page.goto(f"{gateway.url}/playground#/chat?model=tiny-chat")
        await give_key(page, "sk-right")
        await say(page, "Hello")
        await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
        assert "sk-right" not in json.dumps(await kept(page))
        assert await page.evaluate("localStorage.length") == 0
        other = await page.context.new_page()
        await other.goto(f"{gateway.url}/playground#/chat?model=tiny-chat")
        await give_key(other, "sk-right")
        await expect(other.get_by_role("article")).to_have_count(0)
        await page.locator("#key-button").click()
        await page.get_by_role("button", name="Forget the key").click()
        await expect(page.get_by_role("dialog", name="Key")).to_contain_text("This server asks for a key.")
        assert await kept(page) is not None


async def test_of_a_chat_without_end_the_latest_turns_are_kept(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = "Neigh."
    await open_chat(page, gateway)
    for number in range(3):
        await say(page, f"{number} " + "x" * 400_000)
        await expect(page.get_by_role("button", name="Regenerate")).to_have_count(number + 1)
    chat = await kept(page)
    assert chat is not None
    assert [message["content"][:1] for message in chat["messages"]] == ["1", "N", "2", "N"]
    assert len(json.dumps(chat)) < MAX_KEPT_CHARS


@pytest.mark.parametrize("text", ["{", "null", "[]", '{"system": 1, "messages": 2}'])
async def test_what_another_page_wrote_there_does_no_harm(page: Page, gateway: Gateway, text: str) -> None:
    await page.goto(f"{gateway.url}/playground/icon.svg")
    await page.evaluate("text => sessionStorage.setItem('hostler-chat', text)", text)
    await open_chat(page, gateway)
    await say(page, "Hello")
    await expect(page.get_by_role("article", name="tiny-chat").locator(".body")).to_contain_text("word15")
