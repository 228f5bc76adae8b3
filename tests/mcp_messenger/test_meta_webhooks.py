"""Meta's three messengers in the application: set up as the guide does, with deliveries over HTTP, and sends whose answer is lost."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_messenger.operations import checking, sending
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.messages import GetMessage, GetMessages, get_message, get_messages
from mcp_messenger.security.caller import ADMIN
from tests.running import running_app, serving, until_status
from tests.standins.graph_api import GraphStandIn, MessagingAccount, WhatsAppNumber
from tests.standins.graph_api.account import Account
from tests.waiting import PATIENCE, until_answer

pytestmark = pytest.mark.anyio


@dataclass
class Desk:
    app: App
    url: str
    graph: GraphStandIn

    async def make(self, account: Account, **own: Any) -> str:
        """The id of an instance of the account, with Meta's deliveries coming to it."""
        common = {"webhook_verify_token": account.verify_token, "app_secret": account.app_secret, "base_url": self.graph.url}
        provider = {"whatsapp_business_account": "whatsapp-official", "page": "facebook-messenger", "instagram": "instagram"}[account.kind]
        asked = CreateInstance.model_validate({"provider": provider, "type_instance": ["api"], **own, "credentials": common})
        made = await create_instance(self.app, ADMIN, asked)
        await until_status(self.app, made.instance_id, "ready")
        account.callback = f"{self.url}/webhooks/{provider}/{made.instance_id}"
        return made.instance_id

    async def texts(self, instance_id: str, chat_id: str) -> list[str]:
        found = await get_messages(self.app, ADMIN, GetMessages(instance_id=instance_id, chat_id=chat_id))
        return [message.text for message in found.messages]

    async def status(self, instance_id: str, message_id: str, wanted: set[str]) -> str:
        """Of a message, when it is one of those."""
        of = GetMessage(instance_id=instance_id, message_id=message_id)
        return str((await until_answer(lambda: get_message(self.app, ADMIN, of), lambda found: found.message.status in wanted)).message.status)


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with GraphStandIn() as graph, running_app(database_url, tmp_path) as app, serving(app) as url:
        yield Desk(app, url, graph)


def whatsapp(number: WhatsAppNumber) -> dict[str, str]:
    return {"phone_number_id": number.id, "access_token": number.token}


def page(account: MessagingAccount) -> dict[str, str]:
    return {"page_id": account.id, "page_access_token": account.token}


def instagram(account: MessagingAccount) -> dict[str, str]:
    return {"ig_user_id": account.id, "access_token": account.token}


async def test_each_is_verified_receives_and_answers(desk: Desk) -> None:
    accounts = [(desk.graph.add_number(), whatsapp), (desk.graph.add_page(), page), (desk.graph.add_instagram(), instagram)]
    for account, own in accounts:
        settings: Any = own
        instance_id = await desk.make(account, **settings(account))
        query = {"hub.mode": "subscribe", "hub.verify_token": account.verify_token, "hub.challenge": "1158201444"}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(account.callback or "", params=query)
            forged = await client.post(account.callback or "", json={"object": account.kind, "entry": []})
        assert (answer.text, answer.headers["content-type"]) == ("1158201444", "text/plain; charset=utf-8")
        assert forged.status_code == 403
        ann = account.person("Ann Lee")
        account.writes(ann, "hello")
        with anyio.fail_after(PATIENCE):
            await desk.graph.until(lambda account=account: not account.pending)
        sent = await sending.send_message(desk.app, ADMIN, sending.SendMessage(instance_id=instance_id, to=ann, message="good morning"))
        assert await desk.status(instance_id, sent.message_id, {"sent", "delivered", "read"})
        with anyio.fail_after(PATIENCE):
            await desk.graph.until(lambda account=account: not account.pending)
        assert await desk.texts(instance_id, ann) == ["good morning", "hello"]


async def test_a_replayed_delivery_is_one_message(desk: Desk) -> None:
    number = desk.graph.add_number()
    instance_id = await desk.make(number, **whatsapp(number))
    ann = number.person("Ann")
    number.writes(ann, "once")
    number.pending.append(number.pending[0])
    with anyio.fail_after(PATIENCE):
        await desk.graph.until(lambda: not number.pending)
    assert await desk.texts(instance_id, ann) == ["once"]


@pytest.mark.parametrize("kind", ["number", "page"])
async def test_a_send_whose_answer_was_lost_is_settled_by_what_meta_tells(desk: Desk, kind: str) -> None:
    account = desk.graph.add_number() if kind == "number" else desk.graph.add_page()
    own = whatsapp(account) if isinstance(account, WhatsAppNumber) else page(account)
    instance_id = await desk.make(account, **own)
    ann = account.person("Ann")
    account.drop_next("messages", "after")
    asked = sending.SendMessage(instance_id=instance_id, to=f"+{ann}" if kind == "number" else ann, message="did it go?")
    sent = await sending.send_message(desk.app, ADMIN, asked)
    assert await desk.status(instance_id, sent.message_id, {"sent", "delivered"})
    assert await desk.texts(instance_id, ann) == ["did it go?"]
    assert len(account.sent) == 1


async def test_a_closed_window_is_told_before_and_by_meta(desk: Desk) -> None:
    number = desk.graph.add_number()
    instance_id = await desk.make(number, **whatsapp(number))
    ann = number.person("Ann", wrote=False)
    checked = await checking.check_send(desk.app, ADMIN, checking.CheckSend(instance_id=instance_id, to=ann, message="hello"))
    assert checked.refusal == "window_closed"
    assert "list_templates" in (checked.instead or "")
    with pytest.raises(Exception, match="131047"):
        await sending.send_message(desk.app, ADMIN, sending.SendMessage(instance_id=instance_id, to=ann, message="hello"))


async def test_the_guides_placeholders_make_an_instance_that_says_what_is_wrong(desk: Desk) -> None:
    asked = {"phone_number_id": "YOUR_PHONE_NUMBER_ID", "access_token": "YOUR_ACCESS_TOKEN", "webhook_verify_token": "YOUR_VERIFY_TOKEN"}
    request = CreateInstance.model_validate(
        {"provider": "whatsapp-official", "type_instance": ["api"], **asked, "credentials": {"base_url": desk.graph.url}}
    )
    made = await create_instance(desk.app, ADMIN, request)
    await until_status(desk.app, made.instance_id, "error")
