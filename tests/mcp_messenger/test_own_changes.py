"""Edits of one message that are asked for at once: the store ends with what the platform accepted last, whichever process they came from."""

from pathlib import Path

import anyio
import pytest

from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.message_actions import EditMessage, edit_message
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.running import running_app, until_status
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("through", ["its owner", "another process"])
async def test_the_edit_that_the_platform_accepted_last_is_stored_last(through: str, database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, running_app(database_url, tmp_path) as owner, running_app(database_url, tmp_path) as other:
        bot = telegram.add_bot()
        chat_id = str(bot.person("Ann"))
        credentials = {"token": bot.token, "base_url": telegram.url}
        made = await create_instance(owner, ADMIN, CreateInstance.model_validate({"provider": "telegram", "credentials": credentials}))
        await until_status(owner, made.instance_id, "ready")
        sent = await send_message(owner, ADMIN, SendMessage(instance_id=made.instance_id, to=chat_id, message="first"))
        edited: list[str] = []

        async def edit(app: App, text: str) -> None:
            await edit_message(app, ADMIN, EditMessage(instance_id=made.instance_id, message_id=sent.message_id, message=text))
            edited.append(text)

        # The platform has it, and its answer is late.
        hold = bot.hold_next("editMessageText", "after")
        async with anyio.create_task_group() as editors:
            editors.start_soon(edit, owner if through == "another process" else other, "second")
            await hold.arrived.wait()
            editors.start_soon(edit, other if through == "another process" else owner, "third")
            await until(lambda: edited or [lock for lock in owner.calls._own_changes._turns.values() if lock.statistics().tasks_waiting])
            hold.let_go.set()
        assert sorted(edited) == ["second", "third"]
        assert [message["text"] for message in bot.messages.values() if message["from"]["is_bot"]] == ["third"]
        assert one(database_url, "SELECT body FROM messages WHERE outgoing") == "third"
        assert len(rows(database_url, "SELECT id FROM events WHERE type = 'message_edited'")) == 2
        assert owner.calls._own_changes._turns == {}
