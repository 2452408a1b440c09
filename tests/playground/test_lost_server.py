"""A server that goes and comes back."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.playground.gateway import Gateway
from tests.playground.test_chat import open_chat, say

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_MS = 60_000
"""A page waits up to 8 s for an answer, and then a second until it asks again."""


async def test_a_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(page: Page, gateway: Gateway) -> None:
    await gateway.manager.load(gateway.manager.registry["tiny-chat"])
    await page.goto(f"{gateway.url}/playground")
    state = page.locator("tr[data-model='tiny-chat'] .pill")
    await expect(state).to_have_text("in memory")
    lost = page.locator("#lost")
    await gateway.stop()
    await expect(lost).to_contain_text("The server does not answer.", timeout=LONG_MS)
    await gateway.start()
    await expect(lost).to_be_empty(timeout=LONG_MS)
    await expect(state).to_have_text("not in memory")
    # The new server counts its events from 1 again, and all of them are told.
    await gateway.manager.load(gateway.manager.registry["tiny-text"])
    await expect(page.locator(".events li").first).to_contain_text("tiny-text was loaded")


async def test_an_answer_that_breaks_off_keeps_its_text_and_can_be_had_again(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 2
    await open_chat(page, gateway)
    await say(page, "Hello")
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await gateway.stop()
    await expect(answer.get_by_role("alert")).to_contain_text("The server does not answer.")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    model.token_gate = None
    await gateway.start()
    await expect(page.locator("#lost")).to_be_empty(timeout=LONG_MS)
    await page.get_by_role("button", name="Regenerate").click()
    await expect(page.get_by_role("article", name="tiny-chat").locator(".body")).to_contain_text("word15")
