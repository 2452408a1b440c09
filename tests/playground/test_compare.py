"""Several models on one prompt."""

import asyncio

import pytest
from playwright.async_api import Browser, Page, expect

from hostler.errors import ModelLoadError
from tests.playground.conftest import SAID_LASTS, give_key, opened
from tests.playground.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_models_answer_side_by_side_with_their_times(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").answer = "One two three"
    gateway.launcher.model("tiny-text").answer = "Four five"
    await page.goto(f"{gateway.url}/playground#/compare?models=tiny-chat,tiny-text")
    await page.get_by_label("Prompt", exact=True).fill("Count")
    await page.keyboard.press("Control+Enter")
    for model_id, answer in (("tiny-chat", "One two three"), ("tiny-text", "Four five")):
        column = page.get_by_role("region", name=model_id)
        await expect(column.locator(".body")).to_have_text(answer)
        await expect(column.locator("dl")).to_contain_text("First token")
        await expect(column.locator("dl")).to_contain_text("Tokens/s")


async def test_answers_stream_at_once_and_a_stop_ends_all(page: Page, gateway: Gateway) -> None:
    for model_id in ("tiny-chat", "tiny-text"):
        model = gateway.launcher.model(model_id)
        model.token_gate, model.num_free_words = asyncio.Event(), 2
    await page.goto(f"{gateway.url}/playground#/compare?models=tiny-chat,tiny-text&prompt=Hello")
    await page.get_by_role("button", name="Compare", exact=True).click()
    for model_id in ("tiny-chat", "tiny-text"):
        await expect(page.get_by_role("region", name=model_id).locator(".body")).to_have_text("word0 word1")
    await page.get_by_role("button", name="Stop").click()
    for model_id in ("tiny-chat", "tiny-text"):
        await expect(page.get_by_role("region", name=model_id).get_by_role("alert")).to_have_text("stopped")
    async with asyncio.timeout(30):
        while any(worker.running for worker in gateway.launcher.workers):  # noqa: ASYNC110 - a state of the fakes
            await asyncio.sleep(0)


async def test_one_that_fails_does_not_end_the_others(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-text").load_error = ModelLoadError("no such file")
    await page.goto(f"{gateway.url}/playground#/compare?models=tiny-chat,tiny-text&prompt=Hello")
    await page.get_by_role("button", name="Compare", exact=True).click()
    await expect(page.get_by_role("region", name="tiny-text").get_by_role("alert")).to_contain_text("no such file")
    await expect(page.get_by_role("region", name="tiny-chat").locator("dl")).to_contain_text("Tokens/s")


async def test_a_comparison_is_shared_by_its_address_without_the_key(browser: Browser) -> None:
    async with Gateway(api_key="sk-right") as gateway:
        async with opened(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
            await page.add_init_script(SAID_LASTS)
            await page.goto(f"{gateway.url}/playground#/compare?models=tiny-chat,tiny-text,other-text")
            await give_key(page, "sk-right")
            await page.get_by_label("Prompt", exact=True).fill("What is a horse?")
            await page.locator("summary").click()
            await page.get_by_label("Seed").fill("7")
            await page.get_by_role("button", name="Copy link").click()
            await expect(page.get_by_role("status").last).to_contain_text("no key")
            link = await page.evaluate("navigator.clipboard.readText()")
        assert "sk-right" not in link
        async with opened(browser) as page:
            await page.goto(link)
            await give_key(page, "sk-right")
            await expect(page.get_by_label("Prompt", exact=True)).to_have_value("What is a horse?")
            for place, model_id in enumerate(("tiny-chat", "tiny-text", "other-text"), start=1):
                await expect(page.get_by_label(f"Model {place}")).to_have_value(model_id)
            await page.get_by_role("button", name="Compare", exact=True).click()
            await expect(page.get_by_role("region", name="other-text").locator("dl")).to_contain_text("Tokens/s")
            _, params = gateway.launcher.worker("other-text").requests[-1]
            assert params.seed == 7


async def test_two_to_four_models_can_be_chosen(page: Page) -> None:
    models = {f"model-{i}": {"name": f"acme/Model-{i}", "type": "text"} for i in range(6)}
    async with Gateway(models=models) as gateway:
        await page.goto(f"{gateway.url}/playground#/compare")
        chosen = page.get_by_role("group", name="Models").get_by_role("combobox")
        await expect(chosen).to_have_count(2)
        await expect(page.get_by_role("button", name="Remove this model")).to_have_count(0)
        await page.get_by_role("button", name="Add a model").click()
        await page.get_by_role("button", name="Add a model").click()
        await expect(chosen).to_have_count(4)
        await expect(page.get_by_role("button", name="Add a model")).to_be_hidden()
        assert len({await select.input_value() for select in await chosen.all()}) == 4
