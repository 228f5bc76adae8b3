"""Calls of tools, in both eras of the protocol."""

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from mcp_messenger.api.mcp.server import MessengerServer
from mcp_messenger.operations.application import App
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import call, in_memory, refused, text_of
from tests.postgres import execute
from tests.running import ready_sandbox, until_status
from tests.stored import rows

pytestmark = pytest.mark.anyio


async def test_the_way_of_a_message(app: App, era: str) -> None:
    instance = await ready_sandbox(app)
    async with in_memory(app, era) as client:
        sent = await call(client, "send_message", instance_id=instance, to="ann", message="Is the room free?")
        assert sent["status"] in {"sent", "delivered", "read"}
        answer = await call(client, "wait_for_reply", instance_id=instance, message_id=sent["message_id"], timeout=20)
        (reply,) = answer["replies"]
        assert (reply["from"], reply["text"], answer["untrusted"]) == ("Ann Lee", "echo: Is the room free?", True)
        page = await call(client, "get_messages", instance_id=instance, chat_id="ann")
        assert [(message.get("from"), message.get("own")) for message in page["messages"]] == [("Ann Lee", None), (None, True)]
        found = await call(client, "search_messages", instance_id=instance, query="room")
        assert {message["id"] for message in found["messages"]} == {sent["message_id"], reply["id"]}
        chats = await call(client, "list_chats", instance_id=instance, unread=True)
        assert [(chat["id"], chat["unread"]) for chat in chats["chats"]] == [("ann", 1)]


async def test_the_same_words_within_two_minutes_are_the_earlier_message(app: App, era: str, database_url: str) -> None:
    """A model that lost the answer to a call makes it again; what it says twice on purpose, it says is on purpose."""
    instance = await ready_sandbox(app)
    said = {"instance_id": instance, "to": "ann", "message": "See you at nine."}
    async with in_memory(app, era) as client:
        first = await call(client, "send_message", **said)
        again = await call(client, "send_message", **said)
        assert again["message_id"] == first["message_id"]
        assert "Nothing was sent now" in again["detail"]
        assert "repeat: true" in again["detail"]
        elsewhere = await call(client, "send_message", **{**said, "to": "bob"})
        other = await call(client, "send_message", **{**said, "message": "See you at ten."})
        on_purpose = await call(client, "send_message", **said, repeat=True)
        keyed = await call(client, "send_message", **said, idempotency_key="once")
    numbers = [message["message_id"] for message in (first, elsewhere, other, on_purpose, keyed)]
    assert [str(id) for (id,) in rows(database_url, "SELECT id FROM messages WHERE outgoing ORDER BY id")] == numbers
    over_rest = await send_message(app, ADMIN, SendMessage.model_validate(said))
    assert over_rest.message_id not in numbers, "a program means what it says"


async def test_what_is_known_of_the_earlier_message_is_said_with_it(app: App, era: str, database_url: str) -> None:
    instance = await ready_sandbox(app)
    said = {"instance_id": instance, "to": "ann", "message": "See you at nine."}
    async with in_memory(app, era) as client:
        first = await call(client, "send_message", **said)
        error = json.dumps({"code": "unknown", "message": "Nobody knows whether it went out."})
        execute(database_url, f"UPDATE messages SET status = 'unknown', error = '{error}' WHERE id = {first['message_id']}")
        again = await call(client, "send_message", **said)
    assert (again["message_id"], again["status"]) == (first["message_id"], "unknown")
    assert "Nobody knows whether it went out. Nothing was sent now" in again["detail"]


async def test_words_that_failed_or_were_deleted_or_are_older_may_be_said_again(app: App, era: str, database_url: str) -> None:
    instance = await ready_sandbox(app)
    said = {"instance_id": instance, "to": "ann", "message": "See you at nine."}
    async with in_memory(app, era) as client:
        for change in ("status = 'failed'", "deleted_at = now()", "created_at = created_at - interval '121 seconds'"):
            first = await call(client, "send_message", **said, repeat=True)
            execute(database_url, f"UPDATE messages SET {change} WHERE id = {first['message_id']}")
            again = await call(client, "send_message", **said)
            assert again["message_id"] != first["message_id"], change
            execute(database_url, f"UPDATE messages SET status = 'failed' WHERE id = {again['message_id']}")


async def test_the_text_of_an_answer_is_its_structure(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        answer = await client.call_tool("list_instances", {})
    assert answer.structured_content == {"instances": []}
    assert json.loads(text_of(answer)) == answer.structured_content


async def test_unknown_arguments_are_refused_with_those_there_are(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        text = await refused(client, "send_message", instance_id="x", to="ann", message="x", priority="high")
    assert "priority" in text
    assert "send_message takes: instance_id, to, reply_to, idempotency_key, send_at, message, format, split, wait." in text


async def test_a_tool_that_does_not_exist_is_no_tool_call(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        with pytest.raises(MCPError, match="send_message") as caught:
            await client.call_tool("send_massage", {})
    assert caught.value.code == INVALID_PARAMS


async def test_wrong_arguments_are_named_without_their_values(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        texts = [
            await refused(client, "create_instance", provider="sandbox", credentials="hunter2-hunter2"),
            await refused(client, "create_instance", provider="sandbox", credentials={"access_code": ["hunter2-hunter2"]}),
            await refused(client, "create_instance", provider="telegram", credentials={"token": "hunter2-hunter2", "x": 1}),
            await refused(client, "send_message", instance_id="x", to="ann", message=["hunter2-hunter2"]),
            await refused(client, "send_message", instance_id="x", to="ann"),
        ]
    assert all(text.startswith("invalid_input: ") for text in texts)
    assert "message: Field required" in texts[-1]
    assert not [text for text in texts if "hunter2" in text]


async def test_no_key_and_no_secret_reaches_a_model(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        answer = await client.call_tool(
            "create_instance", {"provider": "sandbox", "credentials": {"access_code": "sandbox-hunter2", "webhook_secret": "hunter2-hunter2"}}
        )
        instance = (answer.structured_content or {})["instance_id"]
        told = [await client.call_tool(tool, {"instance_id": instance}) for tool in ("get_instance", "get_auth_status", "stop_instance")]
    assert not answer.is_error
    for one in (answer, *told):
        wire = one.model_dump_json()
        assert "hunter2" not in wire
        assert "api_key" not in wire
        assert "mm_" not in wire


async def test_a_qr_code_is_a_picture_beside_short_text(app: App, era: str) -> None:
    async with in_memory(app, era) as client:
        instance = (await call(client, "create_instance", provider="sandbox"))["instance_id"]
        await until_status(app, instance, "qr_ready")
        answer = await client.call_tool("get_qr", {"instance_id": instance})
    text, picture = answer.content
    assert text.type == "text"
    assert picture.type == "image"
    assert len(text.text) < 500
    assert picture.mime_type == "image/png"
    assert "png" not in (answer.structured_content or {})
    assert (answer.structured_content or {})["qr"] in text.text


async def test_what_breaks_is_logged_and_not_told(app: App, caplog: pytest.LogCaptureFixture) -> None:
    async def authenticate(context: Any) -> Any:
        raise RuntimeError("the reason")

    async with Client(MessengerServer(app, authenticate)) as client:
        text = await refused(client, "list_instances")
    assert text.startswith("internal_error: ")
    assert "the reason" not in text
    assert "the reason" in caplog.text
