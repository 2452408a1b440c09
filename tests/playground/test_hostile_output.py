"""What a model writes is text, whatever it looks like."""

import pytest
from playwright.async_api import Page, expect

from tests.playground.gateway import Gateway
from tests.playground.test_chat import open_chat, say

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = "<img src=x onerror=alert(1)> <script>alert(2)</script> <svg onload=alert(3)> <iframe src=javascript:alert(4)>"
LINKS = (
    "[one](javascript:alert(1)) [two](JaVaScRiPt:alert(1)) [three](data:text/html,<script>alert(1)</script>)"
    " [four](vbscript:x) ![five](https://example.org/track.png) [six](//example.org) [seven](https://example.org/a)"
)


FORMS = ["{}", "# {}", "- {}", "> {}", "**{}**", "`{}`", "```html\n{}\n```", "| a |\n|---|\n| {} |"]


@pytest.mark.parametrize("form", FORMS)
async def test_markup_is_shown_and_never_becomes_part_of_the_page(page: Page, gateway: Gateway, form: str) -> None:
    gateway.launcher.model("tiny-chat").answer = form.format(MARKUP)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    await open_chat(page, gateway)
    await say(page, "Hello")
    body = page.get_by_role("article", name="tiny-chat").locator(".body")
    await expect(body).to_contain_text("<img src=x onerror=alert(1)>")
    assert await body.locator("img, script, svg, iframe").count() == 0


async def test_links_lead_to_the_web_alone_and_images_are_not_fetched(page: Page, gateway: Gateway) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    gateway.launcher.model("tiny-chat").answer = LINKS
    await open_chat(page, gateway)
    await say(page, "Hello")
    links = page.get_by_role("article", name="tiny-chat").locator(".body a")
    await expect(links).to_have_count(2)
    assert [await link.get_attribute("href") for link in await links.all()] == [
        "https://example.org/track.png",
        "https://example.org/a",
    ]
    assert await links.first.get_attribute("rel") == "noopener noreferrer nofollow"
    assert all(url.startswith(gateway.url) for url in asked)


async def test_a_page_of_openings_does_not_hold_up_the_browser(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = "*_[`**~~(<" * 1000 + " end"
    await open_chat(page, gateway)
    await say(page, "Hello")
    body = page.get_by_role("article", name="tiny-chat").locator(".body")
    await expect(body).to_contain_text("end")


async def test_nesting_without_end_is_bounded(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = ">" * 3000 + "deep"
    await open_chat(page, gateway)
    await say(page, "Hello")
    body = page.get_by_role("article", name="tiny-chat").locator(".body")
    await expect(body).to_contain_text("deep")
    assert await body.locator("blockquote").count() < 10
