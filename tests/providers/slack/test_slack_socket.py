"""Events over Socket Mode: when an envelope is acknowledged, and what a broken connection may not lose."""

import logging
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from providers.events import MessageEdited, MessageReceived, Need, NoticeReceived, StateChanged
from providers.slack.provider import SlackProvider
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.providers.slack.conftest import QUICK, Station
from tests.standins.faults import Script
from tests.standins.slack_api.workspace import BOT, TEAM
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def reason(inbox: Inbox, words: str, state: InstanceState) -> StateChanged:
    return await inbox.wait(StateChanged, lambda event: event.state is state and words in (event.reason or ""))


def received(inbox: Inbox) -> list[str]:
    return [event.message.text for event in inbox.events if isinstance(event, MessageReceived)]


async def reconnected(station: Station, times: int) -> None:
    await station.slack.until(lambda: station.slack.sockets.opened >= times)


async def test_start_returns_before_slack_answers(station: Station) -> None:
    hold = station.slack.hold_next("auth.test")
    provider = await station.start()
    await hold.arrived.wait()
    assert provider.state.state is InstanceState.STARTING
    hold.let_go.set()
    ready = await station.inbox.state(InstanceState.READY)
    assert ready.account is not None
    assert (ready.account.id, ready.account.name) == (BOT, "robo")


async def test_nothing_is_read_of_a_whole_workspace_at_the_start(station: Station) -> None:
    await station.ready()
    assert {call.method for call in station.slack.calls} == {"auth.test", "apps.connections.open"}


async def test_acknowledges_an_envelope_only_when_it_was_delivered(station: Station) -> None:
    await station.ready()
    station.inbox.refuse(2)
    station.slack.user_writes(station.dm, "precious", by=station.ann)
    await station.inbox.wait(MessageReceived, refused=True)
    assert not station.slack.sockets.acknowledged
    await station.inbox.message("precious")
    await station.slack.until(lambda: not station.slack.sockets.unacknowledged)
    assert len(station.inbox.refused) == 2


async def test_an_envelope_that_slack_sends_again_is_delivered_once(station: Station) -> None:
    await station.ready()
    station.inbox.refuse(1)
    station.slack.user_writes(station.dm, "precious", by=station.ann)
    station.slack.sockets.retry()
    await station.inbox.message("precious")
    station.slack.user_writes(station.dm, "next", by=station.ann)
    await station.inbox.message("next")
    assert received(station.inbox) == ["precious", "next"]


async def test_what_was_not_acknowledged_before_a_stop_comes_again(station: Station) -> None:
    provider = await station.ready()
    station.inbox.refuse(1000)
    station.slack.user_writes(station.dm, "precious", by=station.ann)
    await station.inbox.wait(MessageReceived, refused=True)
    await provider.stop()
    assert station.slack.sockets.unacknowledged
    station.slack.sockets.unacknowledged.clear()
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message("precious")


async def test_a_message_told_by_two_kinds_of_events_is_delivered_once(station: Station) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann)
    message = station.slack.user_writes(team, f"<@{BOT}> hello", by=station.ann)
    station.slack.emit({**message, "type": "app_mention", "channel": team, "event_ts": message["ts"]})
    station.slack.user_writes(team, "last", by=station.ann)
    await station.inbox.message("last")
    assert received(station.inbox) == ["@Robo hello", "last"]


async def test_reads_from_history_what_came_while_the_connection_was_cut(station: Station) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann)
    root = station.slack.user_writes(team, "an old thread", by=station.ann)
    edited = station.slack.user_writes(team, "helo", by=station.ann)
    await station.inbox.message("helo")
    hold = station.slack.hold_next("apps.connections.open")
    station.slack.sockets.cut()
    await hold.arrived.wait()
    station.slack.user_writes(station.dm, "in the gap", by=station.ann)
    station.slack.user_writes(team, "in the thread", by=station.ann, thread_ts=root["ts"])
    station.slack.user_edits(team, edited["ts"], "hello")
    hold.let_go.set()
    await station.inbox.message("in the gap")
    answer = await station.inbox.message("in the thread")
    assert answer.message.thread_id == f"{team}:{root['ts']}"
    assert not answer.backfill
    assert (await station.inbox.wait(MessageEdited)).text == "hello"
    assert received(station.inbox).count("an old thread") == 1
    assert InstanceState.DEGRADED not in station.inbox.states()


async def test_reads_several_pages_of_history(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    station.slack.history_page = 15
    texts = [f"missed {number}" for number in range(40)]
    for text in texts:
        station.slack.user_writes(station.dm, text, by=station.ann)
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message(texts[-1])
    assert received(station.inbox) == texts


async def test_an_absence_that_history_cannot_fill_is_told(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    station.slack.scopes.discard("im:history")
    station.inbox = Inbox()
    await station.ready()
    event = await reason(station.inbox, "im:history", InstanceState.READY)
    assert "Not read back" in (event.reason or "")


async def test_waits_when_history_is_rationed_and_loses_nothing(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    station.slack.user_writes(station.dm, "missed", by=station.ann)
    station.slack.flood_next("conversations.history", 0)
    station.slack.flood_next("users.conversations", 0)
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message("missed")


async def test_history_that_cannot_be_stored_is_read_again(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    station.slack.user_writes(station.dm, "missed", by=station.ann)
    station.inbox = Inbox()
    station.inbox.refuse(2)
    await station.ready()
    await station.inbox.message("missed")
    assert len(station.inbox.refused) == 2


async def test_what_slack_dropped_for_its_rate_is_read_from_history(station: Station) -> None:
    await station.ready()
    station.slack.listener = lambda payload: None
    station.slack.user_writes(station.dm, "dropped", by=station.ann)
    station.slack.sockets.push("events_api", {"type": "app_rate_limited", "team_id": TEAM, "minute_rate_limited": 1})
    await station.inbox.message("dropped")


async def test_events_of_another_workspace_are_not_ours(station: Station) -> None:
    await station.ready()
    station.slack.listener = lambda payload: None
    station.slack.user_writes(station.dm, "for somebody else", by=station.ann)
    foreign = {**station.slack.events[-1], "team_id": "T0OTHER"}
    station.slack.sockets.push("events_api", foreign | {"authorizations": [{"team_id": "T0OTHER", "user_id": "U0OTHER"}]})
    station.slack.user_writes(station.dm, "shared", by=station.ann)
    shared = {**station.slack.events[-1], "team_id": "T0OTHER", "authorizations": [{"team_id": TEAM, "user_id": BOT}]}
    station.slack.sockets.push("events_api", shared)
    await station.inbox.message("shared")
    assert received(station.inbox) == ["shared"]


async def test_a_disk_that_is_full_does_not_end_the_receiving(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    provider = station.make()
    provider.context.data_dir.write_text("a file where the folder should be")
    await provider.start(station.inbox.deliver)
    await station.inbox.state(InstanceState.READY)
    station.slack.user_writes(station.dm, "still here", by=station.ann)
    await station.inbox.message("still here")
    assert "not written down" in caplog.text


@pytest.mark.parametrize("why", ["warning", "refresh_requested"])
async def test_opens_the_next_connection_before_the_old_one_ends(station: Station, why: str) -> None:
    await station.ready()
    old = station.slack.sockets.links[0]
    station.slack.sockets.disconnect(why)
    await reconnected(station, 2)
    assert old in station.slack.sockets.links
    station.slack.sockets.links.reverse()
    station.slack.user_writes(station.dm, "over the old one", by=station.ann)
    await station.inbox.message("over the old one")
    station.slack.sockets.links.reverse()
    station.slack.user_writes(station.dm, "over the new one", by=station.ann)
    await station.inbox.message("over the new one")
    assert not station.slack.calls_of("conversations.history")
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


@pytest.mark.parametrize("why", ["refresh_requested", "something new"])
async def test_connections_that_end_at_once_are_not_made_in_a_busy_loop(station: Station, why: str) -> None:
    station.slack.sockets.farewell = why
    begun = anyio.current_time()
    await station.start(timing=replace(QUICK, pauses=(0.1, 0.2, 0.4)))
    await reconnected(station, 4)
    assert anyio.current_time() - begun >= (0.1 + 0.2 + 0.4) / 2
    station.slack.sockets.farewell = None
    station.slack.user_writes(station.dm, "in the end", by=station.ann)
    await station.inbox.message("in the end")


async def test_an_answer_of_another_form_is_trouble_and_heals(station: Station) -> None:
    station.slack.scripts["auth.test"] = Script(200, [{"ok": True}])
    await station.start()
    await reason(station.inbox, "could not be read", InstanceState.DEGRADED)
    del station.slack.scripts["auth.test"]
    await station.inbox.state(InstanceState.READY)


async def test_a_dropped_connection_is_no_news(station: Station) -> None:
    await station.ready()
    station.slack.sockets.cut()
    await reconnected(station, 2)
    station.slack.user_writes(station.dm, "still here", by=station.ann)
    await station.inbox.message("still here")
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


async def test_a_connection_dropped_between_delivery_and_acknowledgement_delivers_once(station: Station) -> None:
    await station.ready()
    station.inbox.refuse(1)
    station.slack.user_writes(station.dm, "precious", by=station.ann)
    await station.inbox.wait(MessageReceived, refused=True)
    station.slack.sockets.cut()
    await station.inbox.message("precious")
    await reconnected(station, 2)
    await station.slack.until(lambda: not station.slack.sockets.unacknowledged)
    station.slack.user_writes(station.dm, "next", by=station.ann)
    await station.inbox.message("next")
    assert received(station.inbox) == ["precious", "next"]


async def test_other_connections_of_the_app_are_told(station: Station) -> None:
    station.slack.sockets.num_connections = 3
    await station.start()
    event = await reason(station.inbox, "2 more connections", InstanceState.READY)
    assert "only one of them" in (event.reason or "")


async def test_socket_mode_switched_off_is_an_error(station: Station) -> None:
    await station.ready()
    station.slack.sockets.disconnect("link_disabled")
    event = await reason(station.inbox, "link_disabled", InstanceState.ERROR)
    assert event.needs is Need.TOKEN


async def test_an_outage_is_a_state_and_heals_and_nothing_is_lost(station: Station) -> None:
    await station.ready()
    await station.slack.go_down()
    await reason(station.inbox, "cannot be reached", InstanceState.DEGRADED)
    station.slack.user_writes(station.dm, "meanwhile", by=station.ann)
    await station.slack.come_back()
    await station.inbox.message("meanwhile")
    await station.inbox.wait(StateChanged, lambda _: station.inbox.states()[-1] is InstanceState.READY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bot_token": SecretStr("xoxb-WRONG")}, "invalid_auth"),
        ({"bot_token": SecretStr("xapp-FAKE-TOKEN-OF-A-STAND-IN")}, "not_allowed_token_type"),
        ({"app_token": SecretStr("xapp-WRONG")}, "invalid_auth"),
        ({"app_token": SecretStr("xoxb-FAKE-TOKEN-OF-A-STAND-IN")}, "not_allowed_token_type"),
    ],
)
async def test_a_wrong_token_becomes_a_state_with_slacks_words(station: Station, changes: dict[str, Any], words: str) -> None:
    provider = await station.start(**changes)
    event = await reason(station.inbox, words, InstanceState.ERROR)
    assert event.needs is Need.TOKEN
    assert provider.state == event
    with anyio.fail_after(PATIENCE):
        await ended(provider)


async def ended(provider: SlackProvider) -> None:
    await provider._background.ended()


async def test_a_missing_scope_is_named(station: Station) -> None:
    station.slack.scopes.discard("chat:write")
    await station.start()
    await reason(station.inbox, "lacks the scope chat:write", InstanceState.ERROR)


async def test_a_missing_scope_of_the_app_token_is_named(station: Station) -> None:
    station.slack.app_scopes.clear()
    await station.start()
    await reason(station.inbox, "lacks the scope connections:write", InstanceState.ERROR)


async def test_a_token_revoked_on_the_way_is_an_error(station: Station) -> None:
    await station.ready()
    station.slack.revoked |= {station.slack.bot_token, station.slack.app_token}
    station.slack.emit({"type": "tokens_revoked", "tokens": {"bot": [BOT]}, "event_ts": station.slack.next_ts()})
    await reason(station.inbox, "token_revoked", InstanceState.ERROR)


async def test_waits_as_long_as_slack_asks(station: Station) -> None:
    station.slack.flood_next("apps.connections.open", 1)
    begun = anyio.current_time()
    await station.start()
    await reason(station.inbox, "slow down", InstanceState.DEGRADED)
    await station.inbox.state(InstanceState.READY)
    assert anyio.current_time() - begun >= 1


@pytest.mark.parametrize("body", ["<html>502 Bad Gateway</html>", "", "[]", '"text"', "null"])
async def test_nonsense_from_a_proxy_is_trouble_and_heals(station: Station, body: str) -> None:
    station.slack.garble_next("auth.test", 200, body)
    station.slack.garble_next("apps.connections.open", 502, body)
    await station.start()
    await reason(station.inbox, "no proper answer", InstanceState.DEGRADED)
    await station.inbox.state(InstanceState.READY)


async def test_a_payload_that_cannot_be_read_does_not_keep_back_the_others(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    await station.ready()
    for event in ({"type": "message", "nonsense": True}, {"type": "reaction_added"}, {"type": "unheard_of"}):
        station.slack.sockets.push("events_api", {"type": "event_callback", "event": event, "event_id": station.slack.next_id("Ev")})
    station.slack.sockets.push("events_api", {"type": "event_callback"})
    station.slack.user_writes(station.dm, "still here", by=station.ann)
    await station.inbox.message("still here")
    await station.slack.until(lambda: not station.slack.sockets.unacknowledged)
    assert "not of Slack's form" in caplog.text
    assert await station.inbox.wait(NoticeReceived, lambda notice: notice.code == "unread_event" and "event_callback" in notice.text)


async def test_stop_ends_the_connection(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    await station.slack.until(lambda: not station.slack.sockets.links)
    assert provider.state.state is InstanceState.STOPPED


async def test_a_position_that_cannot_be_read_is_none(station: Station) -> None:
    provider = await station.ready()
    path = provider.context.data_dir / "slack-position.json"
    await provider.stop()
    path.write_text("{", encoding="utf-8")
    station.slack.user_writes(station.dm, "before", by=station.ann)
    station.inbox = Inbox()
    await station.ready()
    station.slack.user_writes(station.dm, "after", by=station.ann)
    await station.inbox.message("after")
    assert received(station.inbox) == ["after"]


async def test_no_token_and_no_text_is_in_a_log(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = await station.ready(replace(QUICK, pauses=(0.01,)))
    station.slack.user_writes(station.dm, "between us", by=station.ann)
    await station.inbox.message("between us")
    station.slack.fail_next("auth.test")
    await station.slack.go_down()
    await reason(station.inbox, "", InstanceState.DEGRADED)
    for secret in (station.slack.bot_token, station.slack.app_token, "between us"):
        assert secret not in caplog.text
    assert station.slack.bot_token not in f"{provider!r} {station.inbox.events}"
