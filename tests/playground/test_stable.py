"""The stable: what there is, loads, plans, unloads and the event log."""

import asyncio

import pytest
from playwright.async_api import Locator, Page, expect

from hostler.errors import ModelLoadError
from hostler.memory import Estimate
from hostler.testing.estimator import footprint
from hostler.types import LoadProgress
from tests.playground.conftest import SAID_LASTS
from tests.playground.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

GIB = 2**30


def row(page: Page, model_id: str) -> Locator:
    return page.locator(f"tr[data-model='{model_id}']")


async def press(page: Page, action: str, model_id: str) -> None:
    await page.get_by_role("button", name=f"{action} {model_id}", exact=True).click()


async def test_a_load_is_shown_with_its_progress_and_ends_in_memory(page: Page, gateway: Gateway) -> None:
    await page.add_init_script(SAID_LASTS)
    model = gateway.launcher.model("tiny-chat")
    model.load_gate = asyncio.Event()
    await page.goto(f"{gateway.url}/playground")
    await expect(row(page, "tiny-chat")).to_contain_text("not in memory")
    await press(page, "Load", "tiny-chat")
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("loading")
    gateway.launcher.worker("tiny-chat").report(LoadProgress(stage="downloading", done_bytes=25, total_bytes=100))
    await expect(row(page, "tiny-chat")).to_contain_text("downloading · 25%")
    await expect(row(page, "tiny-chat")).to_contain_text("left")
    await expect(page.get_by_role("progressbar", name="Load of tiny-chat")).to_have_attribute("value", "25")
    model.load_gate.set()
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("in memory")
    await expect(page.get_by_role("status")).to_contain_text(["tiny-chat is loaded."])
    await press(page, "Unload", "tiny-chat")
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("not in memory")


async def test_a_load_that_fails_says_why(page: Page, gateway: Gateway) -> None:
    gateway.launcher.model("tiny-chat").load_error = ModelLoadError("no such file")
    await page.goto(f"{gateway.url}/playground")
    await press(page, "Load", "tiny-chat")
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("failed")
    await expect(row(page, "tiny-chat")).to_contain_text("no such file")
    await expect(page.locator(".notice.error")).to_contain_text("no such file")


async def test_memory_is_drawn_against_its_budget(page: Page) -> None:
    estimates = {"tiny-chat": Estimate(footprint=footprint(GIB)), "tiny-text": Estimate(footprint=footprint(2 * GIB))}
    async with Gateway(memory_budget=f"{4 * GIB}", estimates=estimates) as gateway:
        gateway.launcher.model("tiny-text").load_gate = asyncio.Event()
        await page.goto(f"{gateway.url}/playground")
        await press(page, "Load", "tiny-text")
        bar = page.get_by_role("img", name="host: 4.0 GiB in all, 2.0 GiB free; tiny-text 2.0 GiB")
        await expect(bar).to_be_visible()
        assert await bar.locator("span").first.evaluate("part => part.style.width") == "50%"


async def test_a_load_that_needs_others_to_leave_shows_the_plan_first(page: Page) -> None:
    estimates = {model_id: Estimate(footprint=footprint(3 * GIB)) for model_id in ("tiny-chat", "tiny-text")}
    async with Gateway(memory_budget=f"{4 * GIB}", estimates=estimates) as gateway:
        await page.goto(f"{gateway.url}/playground")
        await press(page, "Load", "tiny-chat")
        await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("in memory")
        await press(page, "Load", "tiny-text")
        plan = page.get_by_role("dialog")
        await expect(plan).to_contain_text("It fits when others leave")
        await expect(plan.locator(".victims")).to_contain_text("tiny-chat")
        assert len(gateway.launcher.workers) == 1
        await plan.get_by_role("button", name="Load it").click()
        await expect(row(page, "tiny-text").locator(".pill")).to_have_text("in memory")
        await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("not in memory")
        await expect(page.locator(".events")).to_contain_text("tiny-chat has left memory")


async def test_a_plan_changes_nothing_and_escape_closes_it(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground")
    await press(page, "Plan", "tiny-chat")
    await expect(page.get_by_role("dialog", name="Plan for tiny-chat")).to_contain_text("There is room for it")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert gateway.launcher.workers == []


async def test_a_pin_keeps_a_model_that_would_otherwise_leave(page: Page) -> None:
    async with Gateway(max_concurrent_models=1) as gateway:
        await page.goto(f"{gateway.url}/playground")
        await press(page, "Load", "tiny-chat")
        await press(page, "Pin", "tiny-chat")
        await expect(page.get_by_role("button", name="Pin tiny-chat")).to_have_attribute("aria-pressed", "true")
        await expect(row(page, "tiny-chat")).to_contain_text("pinned")
        await press(page, "Plan", "tiny-text")
        await expect(page.get_by_role("dialog")).to_contain_text("It can never fit")


async def test_requests_in_flight_are_counted_and_an_unload_waits_for_them(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.token_gate = asyncio.Event()
    await page.goto(f"{gateway.url}/playground")
    await press(page, "Load", "tiny-chat")
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("in memory")
    spec = gateway.manager.registry["tiny-chat"]
    with await gateway.manager.acquire(spec):
        await expect(row(page, "tiny-chat").locator("[data-label='In flight']")).to_have_text("1")
        await press(page, "Unload", "tiny-chat")
        await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("leaving")
    await expect(row(page, "tiny-chat").locator(".pill")).to_have_text("not in memory")


async def test_the_event_log_tells_what_happened_before_and_what_happens(page: Page, gateway: Gateway) -> None:
    await gateway.manager.load(gateway.manager.registry["tiny-text"])
    await page.goto(f"{gateway.url}/playground")
    events = page.locator(".events li")
    await expect(events.filter(has_text="tiny-text was loaded")).to_have_count(1)
    await gateway.manager.load(gateway.manager.registry["tiny-chat"])
    await expect(events.first).to_contain_text("tiny-chat was loaded")
    await page.get_by_label("Search models").fill("text")
    await page.get_by_label("only models in the list").check()
    await expect(events.filter(has_text="tiny-chat")).to_have_count(0)
    await expect(events.filter(has_text="tiny-text was loaded")).to_have_count(1)


async def test_two_hundred_models_are_searched_filtered_and_walked_by_keys(page: Page) -> None:
    kinds = ("conversational", "text", "code", "instruction")
    models = {f"model-{i:03}": {"name": f"acme/Model-{i:03}", "type": kinds[i % 4]} for i in range(200)}
    async with Gateway(models=models) as gateway:
        await page.goto(f"{gateway.url}/playground")
        await expect(page.locator("tbody tr")).to_have_count(200)
        await expect(page.locator(".count")).to_have_text("200 models")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("model-01")
        await expect(page.locator("tbody tr:visible")).to_have_count(10)
        await page.get_by_label("Type").select_option("code")
        await expect(page.locator("tbody tr:visible")).to_have_count(3)
        await expect(page.locator(".count")).to_have_text("3 of 200 models")
        await page.get_by_role("button", name="Load model-010").focus()
        await page.keyboard.press("ArrowDown")
        await expect(page.get_by_role("button", name="Load model-014")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.get_by_label("State").select_option("in memory or loading")
        await expect(page.locator("tbody tr:visible")).to_have_count(1)
        await expect(row(page, "model-014").locator(".pill")).to_have_text("in memory")


async def test_a_server_without_metrics_is_why_there_are_no_speeds(page: Page, gateway: Gateway) -> None:
    note = page.locator(".note")
    async with Gateway(enable_metrics=False) as unmeasured:
        await page.goto(f"{unmeasured.url}/playground")
        await expect(note).to_contain_text("enable_metrics: true")
    await page.goto(f"{gateway.url}/playground")
    await expect(row(page, "tiny-chat")).to_be_visible()
    await expect(note).to_be_empty()


async def test_a_search_that_finds_no_model_says_so(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}/playground")
    await page.get_by_label("Search models").fill("zebra")
    await expect(page.get_by_text("No model is like that.")).to_be_visible()
    await page.get_by_label("Search models").fill("tiny")
    await expect(page.get_by_text("No model is like that.")).to_be_hidden()
