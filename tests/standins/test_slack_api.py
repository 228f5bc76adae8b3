"""The stand-in of Slack refuses what Slack refuses."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.standins.slack_api import SlackStandIn, spec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn() as slack:
        yield slack


async def ask(slack: SlackStandIn, method: str, *, token: str | None = None, as_json: bool = False, **params: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {slack.bot_token if token is None else token}"} if token != "" else {}
    body: dict[str, Any] = {"json": params} if as_json else {"data": params}
    async with aiohttp.ClientSession() as http, http.post(f"{slack.api}/{method}", headers=headers, **body) as answer:
        return answer.status, await answer.json()


async def refused(slack: SlackStandIn, method: str, *, token: str | None = None, **params: Any) -> str:
    status, answer = await ask(slack, method, token=token, **params)
    assert status == 200
    assert answer["ok"] is False
    return answer["error"]


async def test_tokens_are_checked(slack: SlackStandIn) -> None:
    assert await refused(slack, "auth.test", token="") == "not_authed"
    assert await refused(slack, "auth.test", token="xoxb-WRONG") == "invalid_auth"
    assert await refused(slack, "auth.test", token=slack.app_token) == "not_allowed_token_type"
    assert await refused(slack, "apps.connections.open", token=slack.bot_token) == "not_allowed_token_type"
    slack.revoked.add(slack.bot_token)
    assert await refused(slack, "auth.test") == "token_revoked"


async def test_scopes_are_checked_and_named(slack: SlackStandIn) -> None:
    team = slack.channel()
    slack.scopes.discard("chat:write")
    _, answer = await ask(slack, "chat.postMessage", channel=team, text="x")
    assert (answer["error"], answer["needed"]) == ("missing_scope", "chat:write")


async def test_forms_and_json_are_both_taken(slack: SlackStandIn) -> None:
    team = slack.channel()
    blocks = [{"type": "divider"}]
    _, by_form = await ask(slack, "chat.postMessage", channel=team, text="x", blocks=json.dumps(blocks))
    _, by_json = await ask(slack, "chat.postMessage", as_json=True, channel=team, text="x", blocks=blocks)
    assert by_form["message"]["blocks"] == by_json["message"]["blocks"] == blocks


async def test_channels_are_checked(slack: SlackStandIn) -> None:
    assert await refused(slack, "chat.postMessage", channel="C0NOWHERE", text="x") == "channel_not_found"
    public, private = slack.channel("a", with_bot=False), slack.channel("b", kind="group", with_bot=False)
    assert await refused(slack, "chat.postMessage", channel=public, text="x") == "not_in_channel"
    assert await refused(slack, "chat.postMessage", channel=private, text="x") == "channel_not_found"


async def test_texts_are_checked(slack: SlackStandIn) -> None:
    team = slack.channel()
    assert await refused(slack, "chat.postMessage", channel=team, text="") == "no_text"
    assert await refused(slack, "chat.postMessage", channel=team, text="x" * 40_001) == "msg_too_long"
    assert await refused(slack, "chat.postMessage", channel=team, text="x", thread_ts="1.000001") == "thread_not_found"
    assert await refused(slack, "chat.postMessage", channel=team, blocks=json.dumps([{"type": "divider"}] * 51)) == "invalid_blocks"
    long = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    assert await refused(slack, "chat.postMessage", channel=team, blocks=json.dumps(long)) == "invalid_blocks"


async def test_too_many_calls_are_a_status_of_their_own(slack: SlackStandIn) -> None:
    slack.flood_next("auth.test", 7)
    status, answer = await ask(slack, "auth.test")
    assert (status, answer["error"]) == (429, "ratelimited")
    assert (await ask(slack, "auth.test"))[1]["ok"]


async def test_history_comes_in_pages(slack: SlackStandIn) -> None:
    ann, team = slack.person(), slack.channel()
    for number in range(5):
        slack.user_writes(team, f"number {number}", by=ann)
    _, first = await ask(slack, "conversations.history", channel=team, limit=3)
    _, second = await ask(slack, "conversations.history", channel=team, limit=3, cursor=first["response_metadata"]["next_cursor"])
    assert [message["text"] for message in first["messages"] + second["messages"]] == [f"number {number}" for number in (4, 3, 2, 1, 0)]


async def test_leaving_it_fails_after_a_call_that_slack_does_not_have() -> None:
    with pytest.raises(AssertionError, match=r"chat\.shout"):
        async with SlackStandIn() as slack:
            assert await refused(slack, "chat.shout") == "unknown_method"


async def test_leaving_it_fails_after_a_call_without_what_is_required() -> None:
    with pytest.raises(AssertionError, match="channel is required"):
        async with SlackStandIn() as slack:
            await refused(slack, "chat.postMessage", text="x")


async def test_leaving_it_fails_after_json_for_a_method_that_reads_forms() -> None:
    with pytest.raises(AssertionError, match="takes no JSON"):
        async with SlackStandIn() as slack:
            await ask(slack, "users.info", as_json=True, user=slack.person())


@pytest.mark.skipif(spec.load() is None, reason="no copy of Slack's official description here")
@pytest.mark.parametrize(
    ("method", "params", "fault"),
    [
        ("chat.postMessage", {"channel": "C1", "txt": "x"}, "unknown parameter txt"),
        ("chat.update", {"channel": "C1", "text": "x"}, "ts is required"),
        ("conversations.history", {"channel": "C1", "limit": "many"}, "limit should be integer"),
        ("conversations.create", {"name": "x", "is_private": "yes"}, "is_private should be boolean"),
        ("chat.shout", {}, "no method of the Web API"),
    ],
)
def test_the_official_description_is_asked(method: str, params: dict[str, str], fault: str) -> None:
    described = spec.load()
    assert described is not None
    assert any(fault in found for found in described.faults(method, params))


async def test_a_socket_needs_a_fresh_ticket(slack: SlackStandIn) -> None:
    _, opened = await ask(slack, "apps.connections.open", token=slack.app_token)
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(opened["url"]) as socket:
            assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(opened["url"])


async def test_an_event_comes_again_until_it_is_acknowledged_and_is_lost_without_a_socket(slack: SlackStandIn) -> None:
    ann, team = slack.person(), slack.channel()
    slack.user_writes(team, "lost", by=ann)
    _, opened = await ask(slack, "apps.connections.open", token=slack.app_token)
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(opened["url"]) as socket:
            await socket.receive_json()
            slack.user_writes(team, "kept", by=ann)
            envelope = await socket.receive_json()
            assert envelope["payload"]["event"]["text"] == "kept"
        _, opened = await ask(slack, "apps.connections.open", token=slack.app_token)
        async with http.ws_connect(opened["url"]) as socket:
            await socket.receive_json()
            assert (await socket.receive_json())["envelope_id"] == envelope["envelope_id"]
            await socket.send_json({"envelope_id": envelope["envelope_id"]})
            await slack.until(lambda: not slack.sockets.unacknowledged)
