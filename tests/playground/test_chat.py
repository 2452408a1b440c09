"""Chat with one model."""

import asyncio
import json

import pytest
from playwright.async_api import Browser, Page, expect

from hostler.errors import EngineDeadError
from hostler.types import ChatPrompt
from tests.playground.conftest import SAID_LASTS, give_key, opened
from tests.playground.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def open_chat(page: Page, gateway: Gateway, model_id: str = "tiny-chat") -> None:
    await page.goto(f"{gateway.url}/playground#/chat?model={model_id}")
    await expect(page.get_by_label("Model", exact=True)).to_have_value(model_id)


async def test_an_answer_is_shown_as_it_is_written(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 3
    await open_chat(page, gateway)
    await say(page, "Hello")
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.locator(".body")).to_have_text("word0 word1 word2")
    await expect(answer.locator(".stats")).to_contain_text("3 tokens")
    model.token_gate.set()
    await expect(answer.locator(".body")).to_contain_text("word15")
    await expect(answer.locator(".stats")).to_contain_text("16 tokens")


async def test_a_stop_keeps_what_was_written_and_ends_the_generation(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.token_gate, model.num_free_words = asyncio.Event(), 2
    await open_chat(page, gateway)
    await say(page, "Hello")
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await page.get_by_role("button", name="Stop").click()
    await expect(answer.locator(".stats")).to_contain_text("stopped")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    async with asyncio.timeout(30):
        while gateway.launcher.worker("tiny-chat").running:  # noqa: ASYNC110 - a state of the fake, which sets no event
            await asyncio.sleep(0)


async def test_a_conversation_is_sent_whole_with_the_system_prompt_and_the_settings(
    page: Page, gateway: Gateway
) -> None:
    gateway.launcher.model("tiny-chat").answer = "Neigh."
    await open_chat(page, gateway)
    await page.get_by_label("System prompt").fill("You are a horse.")
    await page.get_by_label("Temperature").fill("0.3")
    await page.get_by_label("Seed").fill("7")
    await page.get_by_label("Most new tokens").fill("50")
    await page.get_by_label("Stop at, one a line").fill("END")
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_have_count(1)
    await say(page, "And now?")
    await expect(page.get_by_role("button", name="Regenerate")).to_have_count(2)
    prompt, params = gateway.launcher.worker("tiny-chat").requests[-1]
    assert isinstance(prompt, ChatPrompt)
    said = [(message.role, message.content) for message in prompt.messages]
    system, first, answer, second = said
    assert (system, first, second) == (("system", "You are a horse."), ("user", "Hello"), ("user", "And now?"))
    assert answer == ("assistant", "Neigh.")
    assert (params.temperature, params.seed, params.max_tokens, list(params.stop)) == (0.3, 7, 50, ["END"])


async def test_limits_and_defaults_are_the_models_own(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    temperature = page.get_by_label("Temperature")
    await expect(temperature).to_have_attribute("placeholder", "0.5")
    await expect(temperature).to_have_attribute("max", "2")
    await temperature.fill("3")
    await say(page, "Hello")
    await expect(page.get_by_role("article")).to_have_count(0)
    assert not await temperature.evaluate("input => input.validity.valid")
    await temperature.fill("")
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    # Loaded, the model knows how much it can hold.
    await expect(page.get_by_label("Most new tokens")).to_have_attribute("max", "1024")


async def test_a_schema_is_sent_and_one_that_is_no_json_is_not(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    schema = page.get_by_label("JSON schema of the answer")
    await schema.fill("{")
    await say(page, "Hello")
    await expect(page.get_by_role("alert").filter(has_text="The schema is not JSON")).to_be_visible()
    await expect(page.get_by_label("Message", exact=True)).to_have_value("Hello")
    await schema.fill('{"type": "object", "properties": {"speed": {"type": "integer"}}}')
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    _, params = gateway.launcher.worker("tiny-chat").requests[-1]
    assert params.constraint is not None


async def test_regenerating_asks_again_without_the_answer(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    await say(page, "Hello")
    await page.get_by_role("button", name="Regenerate").click()
    await expect(page.get_by_role("article")).to_have_count(2)
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    asked = [prompt for prompt, _ in gateway.launcher.worker("tiny-chat").requests]
    assert len(asked) == 2
    assert asked[0] == asked[1]


async def test_an_edited_message_is_sent_again_and_what_followed_is_dropped(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    await say(page, "Hello")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("Edit your message").fill("Good evening")
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("article", name="You").locator(".body")).to_have_text("Good evening")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    prompt, _ = gateway.launcher.worker("tiny-chat").requests[-1]
    assert isinstance(prompt, ChatPrompt)
    assert [message.content for message in prompt.messages] == ["Good evening"]


async def test_probabilities_are_shown_for_the_token_that_is_pointed_at(page: Page, gateway: Gateway) -> None:
    await open_chat(page, gateway)
    await page.get_by_label("Token probabilities").check()
    await say(page, "Hello")
    tokens = page.locator(".token")
    await expect(tokens).to_have_count(16)
    # What comes after the last token may still move the others away from the pointer.
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    await tokens.nth(1).hover()
    rivals = page.locator(".rivals li")
    await expect(rivals.first).to_contain_text("60.7%")  # exp(-1/2), as the fake has it
    await expect(rivals.nth(1)).to_contain_text("rival0")
    # Else a token that scrolls below the pointer counts as pointed at.
    await page.mouse.move(0, 0)
    await tokens.first.focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(rivals.first).to_contain_text("71.7%")
    await page.get_by_role("button", name="Probabilities").click()
    await expect(tokens).to_have_count(0)
    await expect(page.get_by_role("article", name="tiny-chat").locator(".body")).to_contain_text("word15")


async def test_a_chat_is_exported_as_json_curl_and_python_without_the_key(page: Page) -> None:
    async with Gateway(api_key="sk-right") as gateway:
        gateway.launcher.model("tiny-chat").answer = "It's a horse."
        await page.goto(f"{gateway.url}/playground#/chat?model=tiny-chat")
        await give_key(page, "sk-right")
        await page.get_by_label("Top k").fill("5")
        await say(page, "What's this?")
        await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
        await page.get_by_role("button", name="Export").click()
        shown = page.get_by_role("region", name="Export")
        chat = json.loads(await shown.inner_text())
        assert [message["content"] for message in chat["messages"]] == ["What's this?", "It's a horse."]
        await page.get_by_role("button", name="curl").click()
        await expect(shown).to_contain_text(f"curl {gateway.url}/v1/chat/completions")
        await expect(shown).to_contain_text("What'\\''s this?")
        await expect(shown).not_to_contain_text("sk-right")
        await page.get_by_role("button", name="Python").click()
        python = await shown.inner_text()
        compile(python, "exported", "exec")
        assert 'extra_body={"top_k": 5}' in python
        assert "sk-right" not in python


async def test_a_load_is_shown_while_an_answer_waits_for_it(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.load_gate = asyncio.Event()
    await open_chat(page, gateway)
    await say(page, "Hello")
    # The server tells it after five seconds.
    await expect(page.get_by_role("article", name="tiny-chat").locator(".wait")).to_contain_text(
        "loading", timeout=60_000
    )
    model.load_gate.set()
    await expect(page.get_by_role("article", name="tiny-chat").locator(".body")).to_contain_text("word15")


async def test_an_error_in_an_answer_is_told_in_its_place(page: Page, gateway: Gateway) -> None:
    model = gateway.launcher.model("tiny-chat")
    model.generation_error, model.num_free_words = EngineDeadError("the stable door is shut"), 2
    await open_chat(page, gateway)
    await say(page, "Hello")
    answer = page.get_by_role("article", name="tiny-chat")
    await expect(answer.get_by_role("alert")).to_contain_text("the stable door is shut")
    await expect(answer.locator(".body")).to_have_text("word0 word1")
    await expect(answer.get_by_role("button", name="Regenerate")).to_be_visible()


@pytest.mark.parametrize("is_local", [True, False])
async def test_an_answer_is_copied_also_where_the_browser_has_no_clipboard_for_pages_of_plain_http(
    browser: Browser, gateway: Gateway, is_local: bool
) -> None:
    gateway.launcher.model("tiny-chat").answer = "**Neigh.**"
    async with opened(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.add_init_script(SAID_LASTS)
        if not is_local:
            await page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        await open_chat(page, gateway)
        await say(page, "Hello")
        answer = page.get_by_role("article", name="tiny-chat")
        await answer.get_by_role("button", name="Copy").click()
        await expect(answer.get_by_role("button", name="Copied")).to_be_focused()
        message = page.get_by_label("Message", exact=True)
        await message.focus()
        await page.keyboard.press("Control+v")
        await expect(message).to_have_value("**Neigh.**")
