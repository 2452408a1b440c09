"""Every view passes axe, in both colour schemes, wide and on a phone; and fits the phone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.playground.conftest import PHONE, WIDE, opened
from tests.playground.gateway import Gateway
from tests.playground.test_chat import say

pytestmark = pytest.mark.asyncio(loop_scope="session")

Show = Callable[[Page, Gateway], Awaitable[None]]
FORMS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": WIDE},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True},
}
ANSWER = (
    "# Horses\n\nA [link](https://example.org), `code` and:\n\n- one\n- two\n\n"
    "```python\nprint(1)\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
)


async def assert_sound(page: Page) -> None:
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.viewport_size is not None
    assert await page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


async def show_stable(page: Page, gateway: Gateway) -> None:
    await gateway.manager.load(gateway.manager.registry["tiny-chat"])
    await page.goto(f"{gateway.url}/playground")
    await expect(page.locator("tr[data-model='tiny-chat'] .pill")).to_have_text("in memory")


async def show_plan(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground")
    await page.get_by_role("button", name="Plan tiny-chat").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def show_chat(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = ANSWER
    await page.goto(f"{gateway.url}/playground#/chat?model=tiny-chat")
    await say(page, "Tell me of horses")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()


async def show_probabilities(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground#/chat?model=tiny-chat")
    await expect(page.get_by_label("Model", exact=True)).to_have_value("tiny-chat")
    if not await page.get_by_label("Token probabilities").is_visible():
        await page.get_by_text("Settings", exact=True).click()
    await page.get_by_label("Token probabilities").check()
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    await page.locator(".token").first.focus()
    await expect(page.locator(".rivals li").first).to_be_visible()


async def show_compare(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground#/compare?models=tiny-chat,tiny-text&prompt=Hello")
    await page.get_by_text("Settings", exact=True).click()
    await page.get_by_role("button", name="Compare", exact=True).click()
    await expect(page.locator("dl:visible")).to_have_count(2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("show", [show_stable, show_plan, show_chat, show_probabilities, show_compare])
async def test_a_view_has_nothing_that_axe_finds_and_is_no_wider_than_its_screen(
    browser: Browser, gateway: Gateway, show: Show, scheme: str, form: str
) -> None:
    async with opened(browser, color_scheme=scheme, **FORMS[form]) as page:
        await show(page, gateway)
        await assert_sound(page)


async def test_the_page_is_used_by_keys_alone(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground")
    await expect(page.locator("tbody tr")).to_have_count(4)
    await page.keyboard.press("Tab")
    await expect(page.locator("#skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.keyboard.press("Alt+2")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type("Hello")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    await page.keyboard.press("Alt+3")
    await expect(page.get_by_role("heading", name="Compare")).to_be_visible()
