"""Debian's Chromium, driven by Playwright, before a gateway over fake workers."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.playground.gateway import Gateway

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=20_000)
"""Milliseconds until something that is awaited counts as absent; only a slow machine takes many."""

LAUNCH_MS = 90_000
"""Chromium's first start reads hundreds of MB from the disk."""

SAID_LASTS = """
const soon = window.setTimeout;
window.setTimeout = (act, ms, ...rest) => soon(act, [2000, 8000].includes(ms) ? 1e6 : ms, ...rest);
"""
"""Has a page go on saying what it says for two seconds ("Copied") or eight (a notice): a test may be held up longer."""

NETWORK = "Failed to load resource"
"""How the browser's console begins to tell of an answer that is an error: many tests want one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = shutil.which("chromium")
    assert executable is not None, "install Debian's chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        # Tests may run as root, in a container without the kernel's namespaces.
        browser = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"], timeout=LAUNCH_MS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A tab of its own. What its console complains of fails the test: errors, and breaches of the CSP."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(NETWORK):
            complaints.append(message.text)

    context = await browser.new_context(**{"viewport": WIDE, **options})
    page = await context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    assert complaints == []


async def give_key(page: Page, key: str) -> None:
    """One that the server takes. What is behind the dialog can be used only once it is gone."""
    await page.get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with opened(browser) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway() as gateway:
        yield gateway
