"""What a removed account left can be read by those whose it was, until somebody purges it, which an agent asks the owner for."""

from pathlib import Path
from uuid import UUID

import pytest

from mcp_messenger.delivery.inbound import Source
from mcp_messenger.errors import NoSuchInstance, NotAllowed
from mcp_messenger.operations import policies
from mcp_messenger.operations.chats import ListChats, list_chats
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.operations.lifecycle import log_out
from mcp_messenger.operations.messages import GetMessages, get_messages
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.searching import SearchMessages, search_messages
from mcp_messenger.security.caller import ADMIN, Caller
from providers.errors import Unsupported
from tests.mcp_clients import call, in_memory, refused
from tests.running import ready_sandbox, running_app
from tests.stored import one, received

pytestmark = pytest.mark.anyio


async def test_messages_of_a_removed_account_are_read_and_purged_when_the_owner_says_so(database_url: str, tmp_path: Path) -> None:
    olga, eve = Caller(user_id="olga"), Caller(user_id="eve")
    async with running_app(database_url, tmp_path) as app:
        first, second = [await ready_sandbox(app, olga) for _ in range(2)]
        for id in (first, second):
            await app.inbound.deliver(Source(UUID(id), None), [received("1", "the boat house key", outgoing=True)])
        await policies.set_policy(app, ADMIN, policies.SetPolicy(instance_id=second, preset="no limits"))
        async with in_memory(app, caller=olga) as agent:
            await call(agent, "delete_instance", instance_id=first)
            read = await call(agent, "get_messages", instance_id=first[:8], chat_id="ann")
            assert [message["text"] for message in read["messages"]] == ["the boat house key"]
            message = await call(agent, "get_message", instance_id=first, message_id=read["messages"][0]["id"])
            assert message["message"]["text"] == "the boat house key"
            for name, arguments in (("send_message", {"to": "ann", "message": "Hello"}), ("wait_for_messages", {"timeout": 0})):
                assert (await refused(agent, name, instance_id=first, **arguments)).startswith("instance_not_found")
            asked = await refused(agent, "delete_instance", instance_id=first, purge=True)
            assert asked.startswith("approval_required: This cannot be undone")
            # Whose policy asks about nothing is not asked about this either.
            await call(agent, "delete_instance", instance_id=second, purge=True)
        assert one(database_url, "SELECT count(*) FROM messages") == 1
        assert "ann" in [chat.id for chat in (await list_chats(app, olga, ListChats(instance_id=first))).chats]
        assert len((await search_messages(app, olga, SearchMessages(instance_id=first, query="boat"))).messages) == 1
        for stranger in (eve, Caller(user_id="olga", instances=frozenset({UUID(int=1)}))):
            with pytest.raises(NoSuchInstance):
                await get_messages(app, stranger, GetMessages(instance_id=first, chat_id="ann"))


async def test_logging_out_ends_the_login_on_both_sides_or_says_how(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        out = await log_out(app, ADMIN, OfInstance(instance_id=await ready_sandbox(app)))
        assert out.status == "logged_out"
        credentials = {"token": "1234567890:" + "A" * 35, "base_url": "http://127.0.0.1:9"}
        telegram = (await create_instance(app, ADMIN, CreateInstance(provider="telegram", credentials=credentials))).instance_id
        with pytest.raises(Unsupported) as told:
            await log_out(app, ADMIN, OfInstance(instance_id=telegram))
        assert "a person revokes it" in (told.value.hint or "")
        with pytest.raises(NotAllowed):
            await log_out(app, Caller(user_id="olga", instance_id=UUID(telegram)), OfInstance(instance_id=telegram))
