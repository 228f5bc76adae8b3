"""The page to log in by, in a real browser, and who may see it."""

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
import segno
from playwright.async_api import Page, async_playwright, expect
from pydantic import SecretStr

from mcp_messenger.api.rest.qr_page import WORDS
from mcp_messenger.api.rest.qr_page import page as html
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.login import AuthStatus
from mcp_messenger.security.caller import ADMIN
from providers.models import InstanceState
from providers.sandbox.provider import SandboxProvider
from tests.providers.sandbox.test_page import AS_ROOT, CHROMIUM, FLAGS
from tests.running import ready_sandbox, running_app, serving, until_status

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "a-fake-admin-token-for-tests"


@pytest.fixture
async def browser_page() -> AsyncIterator[Page]:
    """Any violation of the content security policy fails the test, and so does a call to anywhere else."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + AS_ROOT)
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: errors.append(request.url) if not request.url.endswith(("/qr-page", "data:,")) else None)
        yield page
        await browser.close()
    assert errors == []


async def waiting(app: App) -> str:
    """An instance that shows a QR code, to be scanned on its page."""
    settings = {"page": True, "auto_scan": False}
    made = await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "sandbox", "credentials": settings}))
    await until_status(app, made.instance_id, "qr_ready")
    return made.instance_id


async def test_the_page_shows_the_code_until_somebody_is_logged_in(app: App, url: str, browser_page: Page) -> None:
    instance_id = await waiting(app)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False, timeout=20) as client:
        await browser_page.goto(f"{url}/api/v1/instances/{instance_id}/qr-page")
        await expect(browser_page.get_by_role("img", name="QR code")).to_be_visible()
        box = await browser_page.locator("svg").bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(box["height"])
        assert box["width"] > 200
        await expect(browser_page.get_by_role("status")).to_contain_text("Waiting for the code to be scanned.")
        await expect(browser_page.get_by_role("heading")).to_have_text("Sandbox: scan this code")
        link = await browser_page.get_by_role("link", name="chat page").get_attribute("href")
        assert link == (await client.get("/qr")).json()["qr"]

        code = (await client.post("/pairing-code", json={"phone": "+15550100"})).json()["pairing_code"]
        await expect(browser_page.get_by_text(code)).to_be_visible(timeout=15_000)

        async with httpx.AsyncClient(trust_env=False, timeout=20) as person:
            content = (await client.get("/qr")).json()["qr"]
            door = await person.get(content, follow_redirects=True)
            linked = await person.post(f"{door.url}acts", json={"act": "link"}, headers={"Origin": str(door.url.copy_with(path="")).rstrip("/")})
            assert linked.status_code < 300, linked.text
        await expect(browser_page.get_by_role("heading")).to_have_text("Sandbox: logged in", timeout=15_000)
        assert 'http-equiv="refresh"' not in await browser_page.content()
        assert code not in await browser_page.content()


async def test_the_drawing_is_of_the_same_code(app: App, url: str) -> None:
    instance_id = await waiting(app)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False) as client:
        answer = await client.get("/qr.svg")
        content = (await client.get("/qr")).json()["qr"]
    assert (answer.headers["content-type"].partition(";")[0], answer.headers["cache-control"]) == ("image/svg+xml", "no-store")
    drawn = ElementTree.fromstring(answer.text)
    code = segno.make(content, error="m")
    side = code.symbol_size(border=4)[0]
    assert drawn.attrib["viewBox"] == f"0 0 {side} {side}"
    expected = code.svg_inline(border=4, omitsize=True, svgclass=None, lineclass=None)
    assert [path.attrib["d"] for path in drawn.iter("{http://www.w3.org/2000/svg}path")][-1] in expected


async def test_without_a_code_the_page_says_the_state(app: App, url: str) -> None:
    instance_id = await ready_sandbox(app)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get(f"/api/v1/instances/{instance_id}/qr-page")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "Sandbox: logged in" in answer.text
    assert "<svg" not in answer.text


async def test_where_a_token_is_set_the_page_needs_it(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app, serving(app) as url:
        instance_id = await waiting(app)
        async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False) as client:
            for path in ("/qr-page", "/qr.svg"):
                assert (await client.get(path)).status_code == 401
                assert (await client.get(path, params={"token": ADMIN_TOKEN})).status_code == 401
                assert (await client.get(path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})).status_code == 200


def test_what_a_platform_says_is_text_on_the_page() -> None:
    said = AuthStatus(instance_id="i", state="error", authenticated=False, needs="nothing", reason="<script>alert(1)</script>")
    shown = html(said, None, SandboxProvider)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_every_state_has_plain_words() -> None:
    assert set(WORDS) == set(InstanceState)
