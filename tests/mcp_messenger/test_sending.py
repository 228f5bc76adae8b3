"""Sends as a caller sees them: what comes back, what may be sent, and what the same key means."""

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import IdempotencyConflict, NotAllowed, NotReady
from mcp_messenger.operations.application import App
from mcp_messenger.operations.chats import ListChats, list_chats
from mcp_messenger.operations.checking import CheckSend, check_send
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.lifecycle import stop_instance
from mcp_messenger.operations.messages import Downloaded, DownloadMedia, download_media
from mcp_messenger.operations.operation import OfInstance, Transport
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.uploading import SendMedia, send_media
from mcp_messenger.operations.validation import validated
from mcp_messenger.operations.waiting import WaitForReply, wait_for_reply
from mcp_messenger.security.caller import ADMIN, Caller
from providers.errors import Forbidden, NotFound
from providers.events import CHAT_DELETED, ChatClosed
from tests.running import ready_sandbox, running_app, until_status

pytestmark = pytest.mark.anyio

ALICE, BOB = Caller(user_id="alice"), Caller(user_id="bob")
TEXT_FILE = "data:text/plain;base64,aGVsbG8="


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path) as app:
        yield app


async def sent_and_downloaded(app: App, caller: Caller, instance_id: str) -> Downloaded:
    sent = await send_media(app, caller, SendMedia(instance_id=instance_id, to="ann", source=TEXT_FILE))
    return await download_media(app, caller, DownloadMedia(instance_id=instance_id, message_id=sent.message_id))


async def test_a_file_that_was_sent_can_be_had_again(app: App) -> None:
    """Whether the platform's answer or its echo is first is a matter of chance."""
    instance_id = await ready_sandbox(app, persona="human", access_code="sandbox-1")
    for _ in range(20):
        downloaded = await sent_and_downloaded(app, ADMIN, instance_id)
        assert Path(downloaded.path).read_text() == "hello"


async def test_what_one_account_downloaded_another_cannot_send(app: App) -> None:
    hers = await ready_sandbox(app, ALICE, persona="human")
    his = await ready_sandbox(app, BOB, persona="human")
    path = (await sent_and_downloaded(app, ALICE, hers)).path
    with pytest.raises(NotAllowed):
        await send_media(app, BOB, SendMedia(instance_id=his, to="ann", source=path))
    again = await send_media(app, ALICE, SendMedia(instance_id=hers, to="ann", source=path))
    assert again.status in {"sent", "delivered", "read"}


async def test_purging_an_instance_removes_its_downloads(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    path = Path((await sent_and_downloaded(app, ADMIN, instance_id)).path)
    assert path.exists()
    await delete_instance(app, ADMIN, DeleteInstance(instance_id=instance_id, purge=True))
    assert not path.exists()


async def test_the_same_key_is_answered_though_the_instance_was_stopped(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    send = SendMessage(instance_id=instance_id, to="ann", message="once", idempotency_key="k-1")
    first = await send_message(app, ADMIN, send)
    await stop_instance(app, ADMIN, OfInstance(instance_id=instance_id))
    assert (await send_message(app, ADMIN, send)).message_id == first.message_id
    with pytest.raises(IdempotencyConflict):
        await send_message(app, ADMIN, send.model_copy(update={"message": "something else"}))
    with pytest.raises(NotReady):
        await send_message(app, ADMIN, send.model_copy(update={"idempotency_key": "k-2"}))


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_send_to_a_broken_account_says_why_it_is_broken(app: App, database_url: str, tmp_path: Path, *, elsewhere: bool) -> None:
    """So does whatever else needs the account, and also in a process that does not run it."""
    args = validated(BY_NAME["create_instance"], {"provider": "sandbox", "credentials": {"access_code": "wrong"}})
    assert isinstance(args, CreateInstance)
    instance_id = (await create_instance(app, ADMIN, args)).instance_id
    await until_status(app, instance_id, "error")
    calls = {
        "send_message": {"to": "ann", "message": "hello"},
        "send_media": {"to": "ann", "source": TEXT_FILE},
        "send_template": {"to": "ann", "template": "reminder", "language": "en"},
        "list_groups": {},
        "create_group": {"name": "Shop", "participants": ["ann"]},
        "list_templates": {},
        "set_typing": {"chat_id": "ann"},
    }
    async with running_app(database_url, tmp_path) if elsewhere else nullcontext(app) as asked:
        for name, given in calls.items():
            row = BY_NAME[name]
            with pytest.raises(NotReady, match="is error: The sandbox refused the access code") as refused:
                await row.carry_out(asked, ADMIN, validated(row, {"instance_id": instance_id, **given}), transport=Transport.REST)
            assert "says what is wrong" in (refused.value.hint or ""), name


async def test_nobody_waits_for_the_answer_to_what_was_refused(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    with pytest.raises(Forbidden):
        await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="blocked", message="hello"))
    with anyio.fail_after(5):
        answer = await wait_for_reply(app, ADMIN, WaitForReply(instance_id=instance_id, message_id="1", timeout=300))
    assert answer.status == "failed"
    assert answer.replies == []


async def test_nothing_is_tried_in_a_chat_that_was_deleted(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="before"))
    for reason, kind in (("Ann has blocked the account.", None), (CHAT_DELETED, NotFound)):
        await app.inbound.deliver(Source(UUID(instance_id), None), [ChatClosed(chat_id="ann", reason=reason, at=datetime.now(UTC))])
        send = SendMessage(instance_id=instance_id, to="ann", message=f"after: {reason}")
        (shown,) = [chat for chat in (await list_chats(app, ADMIN, ListChats(instance_id=instance_id))).chats if chat.id == "ann"]
        assert shown.closed == reason
        if kind is None:
            # It may have been undone unseen.
            assert (await send_message(app, ADMIN, send)).status in {"sent", "delivered", "read"}
            continue
        with pytest.raises(kind, match=reason) as caught:
            await send_message(app, ADMIN, send)
        assert "list_chats" in (caught.value.hint or "")
        check = await check_send(app, ADMIN, CheckSend(instance_id=instance_id, to="ann", message="?"))
        assert (check.ok, check.refusal, check.reason) == (False, "not_found", reason)


def test_ids_may_be_numbers() -> None:
    """Telegram's are, and models write them so."""
    send = SendMessage.model_validate({"instance_id": "i", "to": -100123, "message": "hello", "reply_to": 7})
    assert (send.to, send.reply_to) == ("-100123", "7")
