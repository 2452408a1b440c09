"""Keys: asked for when needed, kept for the tab, and no more offered than they allow."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hostler.keys import Key, Scope, digest_of
from hostler.keys_file import changing
from tests.playground.conftest import give_key
from tests.playground.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


def write_keys(path: Path, **scopes: set[Scope]) -> Path:
    """Keys whose secret is their name."""
    with changing(path) as keys:
        for name, allowed in scopes.items():
            keys[name] = Key(name=name, digest=digest_of(name.encode()), scopes=frozenset(allowed))
    return path


async def test_a_wrong_key_is_refused_and_the_right_one_opens_the_page(page: Page) -> None:
    async with Gateway(api_key="sk-right") as gateway:
        await page.goto(f"{gateway.url}/playground")
        dialog = page.get_by_role("dialog", name="Key")
        await expect(dialog).to_contain_text("This server asks for a key.")
        await page.get_by_label("API key").fill("sk-wrong")
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("alert")).to_have_text("The server does not accept this key.")
        await expect(page.locator("tbody tr")).to_have_count(0)
        await give_key(page, "sk-right")
        await expect(page.locator("tbody tr")).to_have_count(4)


async def test_a_key_lasts_for_the_tab_and_is_in_no_other(page: Page) -> None:
    async with Gateway(api_key="sk-right") as gateway:
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "sk-right")
        await expect(page.locator("tbody tr")).to_have_count(4)
        await page.reload()
        await expect(page.locator("tbody tr")).to_have_count(4)
        assert await page.evaluate("localStorage.length") == 0
        assert await page.evaluate("document.cookie") == ""
        other = await page.context.new_page()
        await other.goto(f"{gateway.url}/playground")
        await expect(other.get_by_role("dialog", name="Key")).to_be_visible()
        await page.locator("#key-button").click()
        await page.get_by_role("button", name="Forget the key").click()
        await expect(page.get_by_role("dialog", name="Key")).to_contain_text("This server asks for a key.")


LATE_CLOSE = """
const add = HTMLDialogElement.prototype.addEventListener;
HTMLDialogElement.prototype.addEventListener = function (name, listener, ...rest) {
  const late = (event) => setTimeout(() => listener.call(this, event), 500);
  add.call(this, name, name === "close" ? late : listener, ...rest);
};
"""
"""A browser with much to do tells of a closed dialog after the answer to what was asked meanwhile."""


async def test_a_key_is_asked_for_again_though_the_old_dialog_is_slow_to_go(page: Page) -> None:
    await page.add_init_script(LATE_CLOSE)
    async with Gateway(api_key="sk-right") as gateway:
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "sk-right")
        await expect(page.locator("tbody tr")).to_have_count(4)
        await page.locator("#key-button").click()
        await page.get_by_role("button", name="Forget the key").click()
        dialog = page.get_by_role("dialog", name="Key").filter(has_text="This server asks for a key.")
        await expect(dialog).to_be_visible()


async def test_a_key_without_admin_is_offered_nothing_that_changes_the_server(page: Page, tmp_path: Path) -> None:
    keys_file = write_keys(tmp_path / "keys.yaml", guest={Scope.READ, Scope.INFERENCE}, owner=set(Scope))
    async with Gateway(keys_file=keys_file) as gateway:
        await gateway.manager.load(gateway.manager.registry["tiny-text"])
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "guest")
        await expect(page.locator("#key-button")).to_have_text("guest")
        await expect(page.get_by_role("link", name="Chat with tiny-chat")).to_be_visible()
        for action in ("Load", "Unload", "Pin"):
            await expect(page.get_by_role("button", name=action, exact=False).filter(visible=True)).to_have_count(0)
        await page.get_by_role("button", name="Plan tiny-chat").click()
        await expect(page.get_by_role("dialog", name="Plan for tiny-chat")).to_contain_text("There is room for it")
        await expect(page.get_by_role("button", name="Load it")).to_have_count(0)
        await page.keyboard.press("Escape")
        await page.locator("#key-button").click()
        await expect(page.get_by_role("dialog")).to_contain_text("It allows: inference, read.")
        await give_key(page, "owner")
        await expect(page.get_by_role("button", name="Unload tiny-text", exact=True)).to_be_visible()


async def test_a_key_for_inference_alone_chats_and_does_not_see_the_stable(page: Page, tmp_path: Path) -> None:
    keys_file = write_keys(tmp_path / "keys.yaml", app={Scope.INFERENCE})
    async with Gateway(keys_file=keys_file) as gateway:
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "app")
        await expect(page.locator(".refusal").filter(visible=True)).to_contain_text("may not look at the stable")
        await page.get_by_role("link", name="Chat").click()
        await page.get_by_label("Model", exact=True).fill("tiny-chat")
        await page.get_by_label("Message", exact=True).fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("article", name="tiny-chat").locator(".body")).to_contain_text("word15")


async def test_a_key_for_some_models_sees_those_and_is_told_why_the_log_is_empty(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    with changing(path) as keys:
        scopes = frozenset({Scope.READ, Scope.INFERENCE})
        keys["team"] = Key(name="team", digest=digest_of(b"team"), scopes=scopes, models=("tiny-*",))
    async with Gateway(keys_file=path) as gateway:
        refused: list[str] = []
        page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "team")
        await expect(page.locator("tbody tr")).to_have_count(3)
        await expect(page.locator(".events")).to_contain_text("This key is for some models")
        await expect(page.locator(".note")).to_contain_text("Tokens/s is empty")
        await page.get_by_role("link", name="Chat with tiny-chat").click()
        await page.get_by_role("link", name="Stable").click()
        await expect(page.locator("tbody tr")).to_have_count(3)
        assert len(refused) == len(set(refused)), "what is refused is not asked for again"


async def test_a_key_for_reading_alone_sees_the_stable_and_cannot_chat(page: Page, tmp_path: Path) -> None:
    keys_file = write_keys(tmp_path / "keys.yaml", watcher={Scope.READ})
    async with Gateway(keys_file=keys_file) as gateway:
        await page.goto(f"{gateway.url}/playground")
        await give_key(page, "watcher")
        await expect(page.locator("tbody tr")).to_have_count(4)
        await expect(page.get_by_role("link", name="Chat with tiny-chat")).to_have_count(0)
        await page.get_by_role("link", name="Chat").click()
        await expect(page.locator(".refusal").filter(visible=True)).to_contain_text("may not ask models")
