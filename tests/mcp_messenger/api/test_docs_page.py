"""/docs in a real browser: every call can be tried there."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Locator, Page, expect

from mcp_messenger.operations.application import App
from tests.browser import CHROMIUM, faultless_page
from tests.running import ready_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with faultless_page() as page:
        yield page


async def test_a_call_is_tried_from_its_example_to_its_answer(app: App, url: str, page: Page) -> None:
    instance_id = await ready_sandbox(app)
    await page.goto(f"{url}/docs")

    async def opened(method: str, path: str) -> Locator:
        call = page.locator(f"details[data-method='{method}'][data-path='{path}']")
        await call.locator("summary").click()
        return call

    send = await opened("POST", "/api/v1/instances/{instance_id}/send")
    await send.get_by_label("instance_id").fill(instance_id)
    await send.get_by_label("Idempotency-Key").fill("tried-once")
    await send.get_by_label("body").fill('{"to": "ann", "message": "<b>tried</b>"}')
    await send.get_by_role("button", name="Send").click()
    await expect(send.get_by_role("status")).to_contain_text("200 OK")
    await send.get_by_role("button", name="Send").click()
    await expect(send.get_by_role("status")).to_contain_text("message_id")

    read = await opened("GET", "/api/v1/instances/{instance_id}/messages/{chat_id}")
    await read.get_by_label("instance_id").fill(instance_id)
    await read.get_by_label("chat_id").fill("ann")
    await read.get_by_role("button", name="Send").click()
    await expect(read.get_by_role("status")).to_contain_text("<b>tried</b>")
    assert (await read.get_by_role("status").inner_text()).count('"own": true') == 1

    stream = await opened("GET", "/api/v1/events/stream")
    await stream.get_by_role("button", name="Send").click()
    await expect(stream.get_by_role("status")).to_contain_text("event: message")
    await stream.get_by_role("button", name="Stop").click()
    await expect(stream.get_by_role("status")).to_contain_text("stopped")

    await page.get_by_label("Key or token").fill("a-fake-key")
    await read.get_by_role("button", name="Send").click()
    await expect(read.get_by_role("status")).to_contain_text("unauthenticated")

    # Light letters where the ground is dark.
    await page.emulate_media(color_scheme="dark")
    assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(232, 237, 242)"


async def test_the_page_around_the_calls_speaks_the_language_of_its_reader(url: str) -> None:
    async with faultless_page(language="ru") as page:
        await page.goto(f"{url}/docs")
        await expect(page.get_by_text("Раскройте вызов")).to_be_visible()
        call = page.locator("details[data-method='GET'][data-path='/api/v1/instances']")
        await call.locator("summary").click()
        assert await call.locator("th").all_inner_texts() == ["Название", "Где", "Тип", "Значение"]
        assert await call.locator("tr[data-name=provider]").get_attribute("lang") == "en"
        await call.get_by_role("button", name="Отправить").click()
        await expect(call.get_by_role("status")).to_contain_text('"instances": []')
