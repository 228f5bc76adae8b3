"""The login code on a page: it renews itself, shows the pairing code, and says when somebody is logged in."""

from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from mcp_messenger.app import App
from mcp_messenger.caller import ADMIN
from mcp_messenger.operations import login
from mcp_messenger.operations.instances import CreateInstance, create_instance
from providers.sandbox.provider import SandboxProvider
from tests.providers.sandbox.test_page import AS_ROOT, CHROMIUM, FLAGS
from tests.running import ready_sandbox, until_status

pytestmark = pytest.mark.anyio


async def waiting_for_scan(app: App) -> str:
    made = await create_instance(app, ADMIN, CreateInstance(provider="sandbox", credentials={"page": True}))
    await until_status(app, made.instance_id, "qr_ready")
    return made.instance_id


async def test_the_code_is_an_svg_and_there_is_none_when_nobody_needs_it(app: App, url: str) -> None:
    waiting, ready = await waiting_for_scan(app), await ready_sandbox(app)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances", trust_env=False) as client:
        picture = await client.get(f"/{waiting}/qr.svg")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
        assert picture.text.startswith("<?xml")
        assert "<svg" in picture.text
        none = await client.get(f"/{ready}/qr.svg")
        assert (none.status_code, none.json()["code"]) == (409, "not_ready")
        page = await client.get(f"/{ready}/qr-page")
        assert "logged in" in page.text
        assert "refresh" not in page.text
        assert "script" not in page.text
        assert "default-src 'none'" in ", ".join(page.headers.get_list("content-security-policy"))
        assert (await client.get("/nonsense/qr-page")).status_code == 404


@pytest.fixture
async def browser() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + AS_ROOT)
        page = await chromium.new_page()
        page.set_default_timeout(15_000)
        yield page
        await chromium.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")
async def test_the_page_renews_itself_until_somebody_is_logged_in(app: App, url: str, browser: Page) -> None:
    instance_id = await waiting_for_scan(app)
    await browser.goto(f"{url}/api/v1/instances/{instance_id}/qr-page")
    image = browser.get_by_alt_text("QR code")
    await expect(image).to_be_visible()
    assert await image.evaluate("image => image.naturalWidth > 100"), "the policy lets the picture through"
    asked = login.RequestPairingCode(instance_id=instance_id, phone="+15550199")
    code = (await login.request_pairing_code(app, ADMIN, asked)).pairing_code
    await expect(browser.get_by_text(code)).to_be_visible()
    (held,) = [held for id, held in app.supervisor.held.items() if str(id) == instance_id]
    assert isinstance(held.provider, SandboxProvider)
    assert held.provider._running is not None
    held.provider._running.login.pair(code)
    await expect(browser.get_by_text("You are logged in")).to_be_visible()
