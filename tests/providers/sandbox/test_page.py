"""The chat page in a real browser."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Dialog, Page, expect

from providers.events import MessageDeleted, MessageEdited, MessageReceived, ReactionChanged, ReceiptChanged, ReceiptStatus
from providers.models import Draft, Poll
from providers.states import InstanceState
from tests.browser import CHROMIUM, faultless_page
from tests.providers.harness import PICTURE
from tests.providers.sandbox.conftest import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")]
WITH_PAGE = {"page": True, "auto_scan": False}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with faultless_page() as page:
        yield page


async def link(sandbox: Sandbox, page: Page, button: str = "Link this device") -> None:
    assert sandbox.provider is not None
    assert sandbox.provider.state.qr is not None
    await page.goto(sandbox.provider.state.qr.content)
    await page.get_by_role("button", name=button).click()
    await expect(page.get_by_role("navigation")).to_be_visible()


async def test_a_person_links_the_device_and_talks_with_the_agent(sandbox: Sandbox, page: Page) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    await link(sandbox, page)
    await inbox.state(InstanceState.READY)
    await page.get_by_role("button", name="Ann Lee").click()
    await page.get_by_label("Message", exact=True).fill("<b>Hello</b> agent")
    await page.keyboard.press("Enter")
    hello = await inbox.message("<b>Hello</b> agent")
    assert hello.message.sender_name == "Ann Lee"

    sent = await provider.send(Draft(client_id="c-1", chat_id="ann", text="Hello <i>Ann</i>", reply_to=hello.message.id))
    bubble = page.get_by_role("article").filter(has_text="Hello <i>Ann</i>")
    await expect(bubble).to_contain_text("<b>Hello</b> agent")
    await inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ and event.message_id == sent.id)
    await expect(bubble.get_by_role("img", name="Read")).to_be_visible()

    await bubble.hover()
    await bubble.get_by_role("button", name="React with 👍").click()
    reaction = await inbox.wait(ReactionChanged)
    assert (reaction.message_id, reaction.sender_id, reaction.emojis) == (sent.id, "ann", ("👍",))
    await bubble.hover()
    await bubble.get_by_role("button", name="Reply").click()
    await page.get_by_label("Message", exact=True).fill("Thanks")
    await page.get_by_role("button", name="Send", exact=True).click()
    assert (await inbox.message("Thanks")).message.reply_to == sent.id


async def test_a_person_edits_and_deletes(sandbox: Sandbox, page: Page) -> None:
    _, inbox = await sandbox.start(**WITH_PAGE)
    await link(sandbox, page)
    await page.get_by_role("button", name="Bob Stone").click()
    box = page.get_by_label("Message", exact=True)
    await box.fill("Helo")
    await box.press("Enter")
    bubble = page.get_by_role("article").last
    await bubble.hover()
    await bubble.get_by_role("button", name="Edit").click()
    await expect(box).to_have_value("Helo")
    await box.fill("Hello")
    await box.press("Enter")
    assert (await inbox.wait(MessageEdited)).text == "Hello"
    await expect(bubble).to_contain_text("edited")
    await expect(box).to_have_value("")
    await bubble.hover()
    await bubble.get_by_role("button", name="Delete").click()
    await inbox.wait(MessageDeleted)
    await expect(bubble).to_contain_text("This message was deleted")


async def test_the_page_shows_what_the_agent_does(sandbox: Sandbox, page: Page) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    await link(sandbox, page)
    await page.get_by_role("button", name="Ann Lee").click()
    box = page.get_by_label("Message", exact=True)
    await box.fill("Hi")
    await box.press("Enter")
    hi = (await inbox.message("Hi")).message

    await provider.mark_read("ann", hi.id)
    await provider.react("ann", hi.id, "🙏")
    mine = page.get_by_role("article").filter(has_text="Hi").first
    await expect(mine.get_by_role("img", name="Read")).to_be_visible()
    await expect(mine.locator(".reaction")).to_have_text("🙏")
    await provider.set_typing("ann", True)
    await expect(page.get_by_text("Sandbox Agent is typing")).to_be_visible()
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="a dot", upload=PICTURE))
    await expect(page.get_by_text("Sandbox Agent is typing")).to_be_hidden()
    picture = page.get_by_role("img", name="dot.png")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.naturalWidth") == 1

    await provider.send(Draft(client_id="c-2", chat_id="ann", poll=Poll(question="Tea?", options=("Yes", "No"))))
    await page.get_by_role("button", name="Yes").click()
    assert (await inbox.message("Yes")).message.reply_to is not None


async def test_the_page_speaks_the_language_of_its_reader(sandbox: Sandbox) -> None:
    """What people write stays as it is."""
    provider, inbox = await sandbox.start(**WITH_PAGE)
    async with faultless_page(language="ru") as page:
        await link(sandbox, page, "Привязать это устройство")
        await expect(page.get_by_role("navigation", name="Чаты")).to_be_visible()
        await page.get_by_role("button", name="Ann Lee").click()
        await page.get_by_label("Сообщение", exact=True).fill("Send")
        await page.get_by_role("button", name="Отправить", exact=True).click()
        await inbox.message("Send")
        await provider.send(Draft(client_id="c-1", chat_id="ann", poll=Poll(question="Tea?", options=("Yes", "No"))))
        await expect(page.get_by_text("Опрос: Tea?")).to_be_visible()
        # No word of the page is left in English, not in what only a screen reader says either.
        said = await page.evaluate(
            "[...document.querySelectorAll('body *')].flatMap((one) => [one.ariaLabel, one.title, one.placeholder,"
            " ...[...one.childNodes].filter((node) => node.nodeType === 3 && one.tagName !== 'SCRIPT').map((node) => node.data.trim())])"
        )
        known = {
            "ABCD-2345",
            "AL",
            "BS",
            "Sandbox",
            "Sandbox Agent",
            "Ann Lee",
            "Bob Stone",
            "Carol Diaz",
            "Team",
            "Send",
            "Tea?",
            "Yes",
            "No",
            "привязан Sandbox Agent",
        }
        english = {one for one in said if one and re.search("[A-Za-z]{2}", one)} - known
        assert english == {"Вы пишете от имени: Ann Lee", "Опрос: Tea?"}


async def test_somebody_new_and_a_member_of_a_group_write(sandbox: Sandbox, page: Page) -> None:
    _, inbox = await sandbox.start(**WITH_PAGE)
    await link(sandbox, page)
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_label("Somebody new").fill("Dana Fox")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("heading", name="Dana Fox")).to_be_visible()
    await page.get_by_label("Message", exact=True).fill("I am new")
    await page.keyboard.press("Enter")
    assert (await inbox.message("I am new")).message.sender_name == "Dana Fox"
    await page.get_by_role("button", name="Team").click()
    await page.get_by_label("Write as").select_option("Bob Stone")
    await page.get_by_label("Message", exact=True).fill("from the team")
    await page.keyboard.press("Enter")
    event = await inbox.message("from the team")
    assert (event.message.chat_id, event.message.sender_id) == ("team", "bob")


async def test_an_open_page_recovers_after_a_restart(sandbox: Sandbox, page: Page) -> None:
    await sandbox.start(**WITH_PAGE)
    await link(sandbox, page)
    await page.get_by_role("button", name="Ann Lee").click()
    await sandbox.stop()
    await expect(page.get_by_text("The sandbox is away")).to_be_visible()
    _, inbox = await sandbox.ready(**WITH_PAGE)
    await expect(page.get_by_text("The sandbox is away")).to_be_hidden(timeout=15_000)
    await page.get_by_label("Message", exact=True).fill("back again")
    await page.keyboard.press("Enter")
    await inbox.wait(MessageReceived, lambda event: event.message.text == "back again")


async def test_a_pairing_code_is_typed_and_the_agent_is_unlinked(sandbox: Sandbox, page: Page) -> None:
    provider, inbox = await sandbox.start(**WITH_PAGE)
    assert provider.state.qr is not None
    await page.goto(provider.state.qr.content)
    code = await provider.request_pairing_code("+15550100")
    await page.get_by_label("Pairing code").fill(code)
    await page.get_by_role("button", name="Pair", exact=True).click()
    await inbox.state(InstanceState.READY)

    async def agree(dialog: Dialog) -> None:
        await dialog.accept()

    page.on("dialog", agree)
    await page.get_by_role("button", name="Unlink the agent").click()
    await inbox.state(InstanceState.LOGGED_OUT)
    await expect(page.get_by_role("heading", name="Unlinked")).to_be_visible()


async def test_a_narrow_window_shows_the_chats_or_one_of_them(sandbox: Sandbox, page: Page) -> None:
    await sandbox.start(**WITH_PAGE)
    await page.set_viewport_size({"width": 360, "height": 700})
    await link(sandbox, page)
    await expect(page.locator("#talk")).to_be_hidden()
    await page.get_by_role("button", name="Ann Lee").click()
    await expect(page.get_by_role("navigation", name="Chats")).to_be_hidden()
    await page.get_by_role("button", name="Back to the chats").click()
    await expect(page.get_by_role("navigation", name="Chats")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
