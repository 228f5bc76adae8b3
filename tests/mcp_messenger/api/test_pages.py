"""The pages on which a person adds an account, logs it in and decides, in a real browser and in both languages; and who may open them."""

import dataclasses
import importlib.util
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest
import segno
from playwright.async_api import Browser, Page, async_playwright, expect
from pydantic import SecretStr

from db import instances
from mcp_messenger.api.pages.login import WORDS, account_page
from mcp_messenger.api.pages.on_demand import pages_on_demand
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN
from providers.states import InstanceState
from providers.words import words_for, words_in
from tests.browser import CHROMIUM, FLAGS
from tests.mcp_clients import in_memory, refused
from tests.running import ready_sandbox, running_app, serving, until_status
from tests.standins.graph_api import GraphStandIn
from tests.standins.telegram_bot_api import TelegramStandIn

pytestmark = pytest.mark.anyio
ADMIN_TOKEN = "a-fake-admin-token-for-tests"
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
SLOW = 60_000
"""Milliseconds that a busy machine may take for a page."""


def axe() -> str | None:
    """The script that looks for barriers, of the package axe-playwright-python; None where that is not installed."""
    found = importlib.util.find_spec("axe_playwright_python")
    scripts = sorted(Path(found.submodule_search_locations[0]).rglob("axe.min.js")) if found and found.submodule_search_locations else []
    return scripts[0].read_text(encoding="utf-8") if scripts else None


@dataclass
class Eyes:
    """A browser whose pages note what their policy refuses and what they ask for elsewhere."""

    browser: Browser
    seen: list[str] = field(default_factory=list[str])

    async def page(self, *, width: int = 390, scheme: str = "light", language: str = "en", looks_inside: bool = False) -> Page:
        """`looks_inside`: scripts of the test may run in the page, which its policy would refuse."""
        dark = "dark" if scheme == "dark" else "light"
        options = {"viewport": {"width": width, "height": 800}, "color_scheme": dark, "locale": language, "bypass_csp": looks_inside}
        page = await self.browser.new_page(**options)  # pyright: ignore[reportArgumentType] - the options of this call
        page.set_default_timeout(SLOW)
        if not looks_inside:
            page.on("console", lambda message: self.seen.append(message.text) if "Refused" in message.text else None)
            page.on("request", lambda request: None if "127.0.0.1" in request.url or request.url == "data:," else self.seen.append(request.url))
        return page


@pytest.fixture
async def eyes() -> AsyncIterator[Eyes]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        eyes = Eyes(browser)
        yield eyes
        await browser.close()
    assert eyes.seen == []


@pytest.fixture
async def rest(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=60) as client:
        yield client


async def waiting(app: App) -> str:
    """An instance that shows a QR code, to be scanned on its page."""
    settings = {"page": True, "auto_scan": False}
    made = await create_instance(app, ADMIN, CreateInstance.model_validate({"provider": "sandbox", "credentials": settings, "name": "Shop"}))
    await until_status(app, made.instance_id, "qr_ready")
    return made.instance_id


def at(url: str, link: str) -> str:
    """The same page on the port of the test's server."""
    return re.sub(r"^http://[^/]+", url, link)


async def test_the_login_page_follows_the_login_without_being_loaded_again(app: App, url: str, rest: httpx.AsyncClient, eyes: Eyes) -> None:
    instance_id = await waiting(app)
    link = at(url, (await rest.post(f"/instances/{instance_id}/login-page")).raise_for_status().json()["url"])
    page = await eyes.page()
    loads: list[str] = []
    page.on("domcontentloaded", lambda _: loads.append("load"))
    await page.goto(link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sandbox: log in")
    await expect(page.get_by_text("Account: Shop")).to_be_visible()
    await expect(page.get_by_text("Press “Link this device”.")).to_be_visible()
    await expect(page.get_by_text(re.compile(r"A new code comes in \d+:\d\d\."))).to_be_visible()
    drawn = await page.get_by_role("img", name="QR code").locator("svg").bounding_box()
    assert drawn is not None
    assert drawn["width"] == pytest.approx(drawn["height"])
    assert drawn["width"] > 200
    chat = page.get_by_role("link", name="Open the chat page")
    assert await chat.get_attribute("href") == (await rest.get(f"/instances/{instance_id}/qr")).json()["qr"]

    # Without a camera, and with the keyboard alone.
    await page.get_by_text("Without a camera").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("+15550100")
    await page.keyboard.press("Enter")
    await expect(page.locator(".pair")).to_have_text(re.compile("^[A-Z2-9]{4}-[A-Z2-9]{4}$"))
    loads.clear()

    async with httpx.AsyncClient(trust_env=False, timeout=60) as person:
        door = await person.get((await rest.get(f"/instances/{instance_id}/qr")).json()["qr"], follow_redirects=True)
        (await person.post(f"{door.url}acts", json={"act": "link"})).raise_for_status()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sandbox: logged in", timeout=SLOW)
    await expect(page.get_by_role("heading", name="What comes next")).to_be_visible()
    assert loads == []
    assert "http-equiv" not in await page.evaluate("document.querySelector('main').innerHTML")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sandbox: logged in")
    # The link has done its work: after a new login it shows no code.
    (await rest.post(f"/instances/{instance_id}/process", json={"force_recreate": True})).raise_for_status()
    await until_status(app, instance_id, "qr_ready")
    over = await rest.get(link)
    assert (over.status_code, "<svg" in over.text, "This page has done its work" in over.text) == (404, False, True)


async def test_an_account_is_added_by_a_person_and_no_secret_passes_the_agent(app: App, url: str, rest: httpx.AsyncClient, eyes: Eyes) -> None:
    async with TelegramStandIn() as telegram, in_memory(app) as agent:
        bot = telegram.add_bot(name="Shop Bot")
        said = await refused(agent, "create_instance", provider="telegram")
        link = at(url, re.findall(r"http://\S+/add/\S+", said)[0])
        page = await eyes.page()
        await page.goto(link)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Add an account of Telegram")
        await page.get_by_text("More settings").click()
        await page.get_by_label("Address of your Bot API server").fill(telegram.url)
        await page.get_by_label("Token of the bot").fill("1234567890:AAE-a-token-that-nobody-knows-here-00")
        await page.get_by_role("button", name="Add the account").click()
        await expect(page.get_by_role("alert")).to_contain_text("Telegram does not know this token")
        assert (await rest.get("/instances")).json()["instances"] == []
        assert await page.get_by_label("Token of the bot").input_value() == ""
        await page.get_by_label("Token of the bot").fill(bot.token)
        await page.get_by_label("Name (may be empty)").fill("Shop")
        await page.get_by_role("button", name="Add the account").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Telegram: logged in", timeout=SLOW)
        await expect(page.get_by_text("Write to the bot in Telegram")).to_be_visible()
        assert await page.get_by_role("img").count() == 0
        (made,) = (await rest.get("/instances")).json()["instances"]
        assert (made["provider"], made["name"], made["account"]["name"]) == ("telegram", "Shop", "Shop Bot")
        # It adds one account, and a bot has no page with a code.
        second = await rest.post(link, data={"messenger": "sandbox"})
        assert "Telegram" in second.text
        assert len((await rest.get("/instances")).json()["instances"]) == 1
        for path in (f"/instances/{made['id']}/qr-page", f"/instances/{made['id']}/login-page"):
            refusal = await (rest.post(path) if path.endswith("login-page") else rest.get(path))
            assert (refusal.json()["code"], "by a token" in refusal.json()["detail"]) == ("not_available", True)
        lines = (await rest.get(f"/instances/{made['id']}/logs", headers={"accept": "application/json"})).json()["lines"]
        assert bot.token not in "".join(lines)
        metrics = (await rest.get(f"{url}/metrics")).text
        assert f'mcp_messenger_instance_info{{instance_id="{made["id"]}",name="Shop",provider="telegram"}} 1.0' in metrics


async def test_what_a_page_is_for_it_does_once_and_for_its_own_user(app: App, url: str, rest: httpx.AsyncClient) -> None:
    assert (await rest.get(f"{url}/add/nothing")).status_code == 404
    first = at(url, (await rest.post("/add-account", json={"user_id": "alice"})).json()["url"])
    # Programs open links that they find in a chat: that adds nothing, nor does a page of another site.
    assert (await rest.get(first, headers=FOLLOWED)).status_code == 200
    assert (await rest.post(first, data={"messenger": "sandbox"}, headers={"origin": "https://evil.example"})).status_code == 403
    assert (await rest.get("/instances")).json()["instances"] == []
    form = (await rest.get(f"{first}?messenger=telegram")).text
    assert "base_url" not in form
    refusal = await rest.post(first, data={"messenger": "telegram", "token": "123:abc", "base_url": "http://127.0.0.1:1"})
    assert (refusal.status_code, "Only the administrator may set base_url" in refusal.text, "123:abc" in refusal.text) == (422, True, False)
    flood = await rest.post(first, content="a=1&" * 10_000, headers={"content-type": "application/x-www-form-urlencoded"})
    assert "not the form of the page" in flood.text
    added = await rest.post(first, data={"messenger": "sandbox", "name": "<b>Mine</b>"})
    assert added.headers["location"] == f"/login/{first.rpartition('/')[2]}"
    (made,) = (await rest.get("/instances")).json()["instances"]
    assert (made["user_id"], made["name"]) == ("alice", "<b>Mine</b>")
    await until_status(app, made["id"], "qr_ready")
    shown = await rest.get(f"{url}{added.headers['location']}")
    assert "&lt;b&gt;Mine&lt;/b&gt;" in shown.text
    assert "<svg" in shown.text
    # A browser that has it is held until something changes.
    same = await rest.get(f"{url}{added.headers['location']}", headers={"if-none-match": shown.headers["etag"]})
    assert (same.status_code, same.text) == (304, "")
    messengers = {one["provider"]: one for one in (await rest.get("/messengers")).json()["messengers"]}
    assert (messengers["telegram"]["login"], messengers["whatsappweb"]["login"]) == ("token", "code")


async def test_what_was_made_up_for_the_messenger_is_shown_to_who_sent_the_form_alone(url: str, rest: httpx.AsyncClient) -> None:
    async with GraphStandIn() as graph:
        account = graph.add_page()
        link = at(url, (await rest.post("/add-account", json={})).json()["url"])
        form = {"page_id": account.id, "page_access_token": account.token, "app_secret": account.app_secret, "base_url": graph.url}
        added = await rest.post(link, data={"messenger": "facebook-messenger", **form})
        address, word = re.findall("<dd><code>(.*?)</code>", added.text)
        assert "sets MCP_MESSENGER_PUBLIC_URL" in added.text
        challenge = {"hub.mode": "subscribe", "hub.verify_token": word, "hub.challenge": "said"}
        assert (await rest.get(re.sub("https://[A-Z-]+", url, address), params=challenge)).text == "said"
        # Its agent may know the address, and fetch it.
        again = await rest.get(url + re.findall('href="(/login/.*?)"', added.text)[0])
        assert (again.status_code, word in again.text, address in again.text or "connecting" in again.text) == (200, False, True)


async def opened(page: Page, address: str) -> None:
    """Show what a person comes for, where the page begins with less."""
    if address.endswith("/docs"):
        for path in ("/api/v1/instances", "/api/v1/instances/{instance_id}/send"):
            await page.locator(f"details[data-method=POST][data-path='{path}'] > summary").click()
    elif await page.locator("#chats").count():
        await page.locator("#link:not([hidden]), #chats button").first.wait_for()
        if await page.locator("#chats button").count():
            await page.locator("#chats button").first.click()
            await page.locator("#composer").wait_for()


async def test_nothing_overflows_and_nobody_is_shut_out(app: App, url: str, rest: httpx.AsyncClient, eyes: Eyes) -> None:
    barriers = axe()
    instance_id = await waiting(app)
    add = at(url, (await rest.post("/add-account", json={})).json()["url"])
    login = at(url, (await rest.post(f"/instances/{instance_id}/login-page")).json()["url"])
    body = {"to": "ann", "message": "x" * 300, "reason": "y" * 200}
    draft = (await rest.post(f"/instances/{instance_id}/drafts", json=body)).json()["approval"]["approval_id"]
    approve = at(url, (await rest.post(f"/approvals/{draft}/link")).json()["url"])
    async with httpx.AsyncClient(trust_env=False, timeout=60, follow_redirects=True) as person:
        phone = str((await person.get((await rest.get(f"/instances/{instance_id}/qr")).json()["qr"])).url)
    ready = await instances.get(app.database, UUID(await ready_sandbox(app, page=True)))
    assert ready is not None
    talking = str(ready.status_reason).split()[-1]
    pages = (add, f"{add}?messenger=whatsapp-official", login, approve, f"{url}/add/nothing", phone, talking, f"{url}/docs")
    for width, scheme, language in ((390, "light", "en"), (390, "dark", "ru"), (1280, "dark", "en"), (1280, "light", "ru")):
        page = await eyes.page(width=width, scheme=scheme, language=language, looks_inside=True)
        for address in pages:
            await page.goto(address)
            await opened(page, address)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, address
            assert await page.evaluate("document.documentElement.lang") == language
            assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == (
                "rgb(238, 241, 245)" if scheme == "light" else "rgb(14, 20, 27)"
            )
            if barriers is not None:
                await page.evaluate(barriers)
                found = await page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => one.id))")
                assert found == [], address
        await page.close()
    if barriers is None:
        pytest.skip("axe-playwright-python is not installed: the pages were not looked through for barriers")


async def test_a_process_that_speaks_over_stdio_serves_its_pages_when_they_are_needed(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, pages_on_demand(app), in_memory(app) as agent:
        said = await refused(agent, "create_instance", provider="discord")
        link = re.findall(r"http://127\.0\.0\.1:\d+/add/\S+", said)[0]
        assert not link.startswith(app.config.own_url)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as person:
            shown = await person.get(link)
            assert "Add an account of Discord" in shown.text
            assert (await person.get(re.sub("/add/.*", "/api/v1/instances", link))).status_code == 404
            assert (await person.get(link, headers={"host": "evil.example"})).status_code == 421


async def test_the_drawing_is_of_the_same_code(app: App, url: str) -> None:
    instance_id = await waiting(app)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False) as client:
        answer = await client.get("/qr.svg")
        content = (await client.get("/qr")).json()["qr"]
        page = await client.get("/qr-page", headers={"accept-language": "ru"})
    assert "Sandbox: вход" in page.text
    assert (answer.headers["content-type"].partition(";")[0], answer.headers["cache-control"]) == ("image/svg+xml", "no-store")
    drawn = ElementTree.fromstring(answer.text)
    code = segno.make(content, error="m")
    side = code.symbol_size(border=4)[0]
    assert drawn.attrib["viewBox"] == f"0 0 {side} {side}"
    expected = code.svg_inline(border=4, omitsize=True, svgclass=None, lineclass=None)
    assert [path.attrib["d"] for path in drawn.iter("{http://www.w3.org/2000/svg}path")][-1] in expected


async def test_where_a_token_is_set_the_page_needs_it_or_a_link(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN)) as app, serving(app) as url:
        instance_id = await waiting(app)
        bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{instance_id}", trust_env=False) as client:
            for path in ("/qr-page", "/qr.svg"):
                assert (await client.get(path)).status_code == 401
                assert (await client.get(path, params={"token": ADMIN_TOKEN})).status_code == 401
                assert (await client.get(path, headers=bearer)).status_code == 200
            assert (await client.post("/login-page")).status_code == 401
            reading = (await client.post(f"{url}/api/v1/keys", json={"name": "reads", "scopes": ["read"]}, headers=bearer)).json()["key"]
            for call in (
                client.get("/qr-page", headers={"Authorization": f"Bearer {reading}"}),
                client.post("/login-page", headers={"Authorization": f"Bearer {reading}"}),
            ):
                assert (await call).json()["code"] == "missing_scope"
            link = at(url, (await client.post("/login-page", headers=bearer)).json()["url"])
            assert "<svg" in (await client.get(link)).text


async def test_what_a_platform_says_is_text_on_the_page(app: App) -> None:
    row = await instances.get(app.database, UUID(await ready_sandbox(app)))
    assert row is not None
    for status in InstanceState:
        said = dataclasses.replace(row, status=status, status_reason="<script>alert(1)</script>")
        page, _ = account_page(words_in("en"), said, None)
        assert "<script>alert" not in page
        assert status == "ready" or "&lt;script&gt;alert(1)" in page
    assert set(WORDS) == set(InstanceState)


def test_a_page_speaks_the_language_that_the_browser_prefers() -> None:
    for header, language in {"ru-RU,ru;q=0.9,en;q=0.8": "ru", "de,en;q=0.5,ru;q=0.4": "en", "fr": "en", "": "en", "ru;q=0,en;q=x": "en"}.items():
        assert words_for(header).language == language, header
