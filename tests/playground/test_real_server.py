"""The embedded model, loaded, asked and lost, as its user meets it."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hostler.config import SHIPPED_REGISTRY
from tests.e2e.server_process import ServerProcess
from tests.playground.test_chat import say

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

EMBEDDED = "smollm2-135m"
LONG_MS = 120_000


async def test_the_embedded_model_is_loaded_answers_and_survives_the_death_of_its_server(
    page: Page, hostler_cache_dir: Path, tmp_path: Path
) -> None:
    with ServerProcess(SHIPPED_REGISTRY, hostler_cache_dir, tmp_path / "first.log") as server:
        url = server.url
        await page.goto(f"{url}/playground")
        state = page.locator(f"tr[data-model='{EMBEDDED}'] .pill")
        await page.get_by_role("button", name=f"Load {EMBEDDED}", exact=True).click()
        # Between two looks at the row, all of the load may pass; the log keeps it.
        await expect(state).to_have_text("in memory", timeout=LONG_MS)
        await expect(page.locator(".events")).to_contain_text(f"{EMBEDDED} is being loaded")
        await page.get_by_role("link", name=f"Chat with {EMBEDDED}").click()
        await page.get_by_label("Temperature").fill("0")
        await page.get_by_label("Most new tokens").fill("40")
        await page.get_by_label("Token probabilities").check()
        await say(page, "What is the capital of France?")
        await expect(page.get_by_role("button", name="Regenerate")).to_be_visible(timeout=LONG_MS)
        answer = page.get_by_role("article", name=EMBEDDED)
        await expect(answer.locator(".body")).to_contain_text("Paris")
        await expect(answer.locator(".stats")).to_contain_text("tokens/s")
    await expect(page.locator("#lost")).to_contain_text("The server does not answer.", timeout=LONG_MS)
    port = int(url.rpartition(":")[2])
    with ServerProcess(SHIPPED_REGISTRY, hostler_cache_dir, tmp_path / "second.log", port=port):
        await expect(page.locator("#lost")).to_be_empty(timeout=LONG_MS)
        await page.get_by_label("Token probabilities").uncheck()
        await page.get_by_role("button", name="Regenerate").click()
        await expect(page.get_by_role("button", name="Regenerate")).to_be_visible(timeout=LONG_MS)
        await expect(page.get_by_role("article", name=EMBEDDED).locator(".body")).to_contain_text("Paris")
