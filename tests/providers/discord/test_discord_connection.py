"""How the connection begins, breaks and heals, and that nothing is lost or told twice on the way."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from providers.discord.connection import Timing
from providers.discord.gateway import INTENTS, MESSAGE_CONTENT
from providers.discord.receiver import Catching
from providers.errors import LoggedOut
from providers.events import ChatClosed, Event, MessageReceived, Need, NoticeReceived, StateChanged
from providers.models import Draft
from providers.states import InstanceState
from tests.providers.discord.conftest import QUICK, Station
from tests.providers.harness import Inbox
from tests.standins.discord_api import DiscordStandIn
from tests.standins.discord_api.gateway import Connection
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def reason(inbox: Inbox, words: str, state: InstanceState = InstanceState.DEGRADED) -> StateChanged:
    return await inbox.wait(StateChanged, lambda event: event.state is state and words in (event.reason or ""))


async def healed(inbox: Inbox) -> None:
    """READY is the last word again."""
    await inbox.wait(StateChanged, lambda _: inbox.states()[-1] is InstanceState.READY)


def texts(inbox: Inbox) -> list[str]:
    return [event.message.text for event in inbox.events if isinstance(event, MessageReceived)]


def said(connection: Connection, op: int) -> list[Any]:
    return [payload["d"] for payload in connection.received if payload["op"] == op]


async def joined(station: Station, connections: int) -> Connection:
    """The connection of that number, when it has a session."""
    gateway = station.discord.gateway
    await station.discord.until(lambda: len(gateway.history) >= connections and gateway.history[connections - 1].session is not None)
    return gateway.history[connections - 1]


def write(station: Station, text: str) -> str:
    return station.world.write(station.general, station.ann, text)["id"]


async def test_start_returns_before_discord_answers(station: Station) -> None:
    hold = station.discord.faults.hold_next("get_my_user")
    provider = await station.start()
    await hold.arrived.wait()
    assert provider.state.state is InstanceState.STARTING
    hold.let_go.set()
    ready = await station.inbox.state(InstanceState.READY)
    assert ready.account is not None
    assert (ready.account.id, ready.account.name, ready.account.username) == (station.bot.id, "robo", "robo")


async def test_asks_for_what_it_needs_and_no_members_or_presences(station: Station) -> None:
    await station.ready()
    (identified,) = said(await joined(station, 1), 2)
    assert identified["intents"] == INTENTS | MESSAGE_CONTENT
    assert INTENTS & (1 << 1 | 1 << 8) == 0


@pytest.mark.parametrize("token", ["WRONG-TOKEN-OF-A-TEST", "", "  "])
async def test_a_wrong_token_is_an_error_in_discords_words(station: Station, token: str) -> None:
    provider = await station.start(bot_token=SecretStr(token))
    event = await reason(station.inbox, "401: Unauthorized", InstanceState.ERROR)
    assert (event.needs, event.account) == (Need.TOKEN, None)
    assert "https://discord.com/developers/applications" in (event.reason or "")
    assert provider.state == event


async def test_a_refused_token_is_not_shown_again(station: Station) -> None:
    provider = await station.start(bot_token=SecretStr("WRONG-TOKEN-OF-A-TEST"))
    await station.inbox.state(InstanceState.ERROR)
    calls = len(station.discord.calls)
    with pytest.raises(LoggedOut):
        await provider.send(Draft(client_id="1", chat_id=station.general, text="hello"))
    assert len(station.discord.calls) == calls


async def test_a_token_revoked_on_the_way_is_an_error(station: Station) -> None:
    provider = await station.ready()
    del station.world.bots[station.bot.token]
    await station.discord.gateway.close(station.bot, 4004)
    assert (await reason(station.inbox, "Authentication failed", InstanceState.ERROR)).needs is Need.TOKEN
    with anyio.fail_after(PATIENCE):
        await provider._background.ended()


@pytest.mark.parametrize("client_id", [42, "test-client-id"])
async def test_a_token_of_another_application_is_an_error(station: Station, client_id: object) -> None:
    await station.start(client_id=client_id)
    assert (await reason(station.inbox, f"not to {client_id}", InstanceState.ERROR)).needs is Need.TOKEN


async def test_without_message_content_it_works_and_says_what_to_do(station: Station) -> None:
    station.bot.application["flags"] = 0
    await station.start()
    degraded = await reason(station.inbox, "Message Content intent is off")
    assert f"https://discord.com/developers/applications/{station.bot.id}/bot" in (degraded.reason or "")
    assert degraded.account is not None
    write(station, "nobody sees this")
    write(station, f"<@{station.bot.id}> but this")
    event = await station.inbox.message("@robo but this")
    assert event.message.mentions_me
    assert texts(station.inbox) == ["A message of which Discord shows this bot no content.", "@robo but this"]


async def test_message_content_refused_by_the_gateway_is_the_same(station: Station) -> None:
    hold = station.discord.faults.hold_next("get_bot_gateway")
    await station.start()
    await hold.arrived.wait()
    station.bot.application["flags"] = 0
    hold.let_go.set()
    await reason(station.inbox, "Message Content intent is off")
    write(station, f"<@{station.bot.id}> hello")
    await station.inbox.message("@robo hello")
    (identified,) = said(await joined(station, 2), 2)
    assert identified["intents"] == INTENTS


@pytest.mark.parametrize(("code", "words"), [(4011, "Sharding required"), (4013, "Invalid intent"), (4012, "Invalid API version")])
async def test_a_connection_refused_for_good_is_an_error(station: Station, code: int, words: str) -> None:
    await station.ready()
    await station.discord.gateway.close(station.bot, code)
    error = await reason(station.inbox, words, InstanceState.ERROR)
    assert str(code) in (error.reason or "")
    assert error.needs is Need.NOTHING


async def test_a_bot_in_no_server_is_told_how_to_get_into_one(station: Station) -> None:
    station.world.guilds[station.works]["people"].remove(station.bot.id)
    await station.start()
    ready = await station.inbox.state(InstanceState.READY)
    assert f"https://discord.com/oauth2/authorize?client_id={station.bot.id}&scope=bot" in (ready.reason or "")


@pytest.mark.parametrize("guild_id", [42, "YOUR_GUILD_ID"])
async def test_a_server_the_bot_is_not_in_is_told_with_the_next_step(station: Station, guild_id: object) -> None:
    await station.start(guild_id=guild_id)
    degraded = await reason(station.inbox, f"not in the server {guild_id}")
    assert (degraded.reason or "").endswith(f"&guild_id={guild_id}")


async def test_no_connection_is_made_when_discord_allows_no_more_today(station: Station) -> None:
    station.discord.gateway.session_starts = 0
    await station.start()
    await reason(station.inbox, "no more connections today")
    assert not station.discord.gateway.history


async def test_a_dropped_connection_is_resumed_without_a_gap_and_is_no_news(station: Station) -> None:
    await station.ready()
    write(station, "before")
    await station.inbox.message("before")
    station.discord.gateway.drop(station.bot)
    write(station, "meanwhile")
    write(station, "meanwhile, too")
    second = await joined(station, 2)
    write(station, "after")
    await station.inbox.message("after")
    assert texts(station.inbox) == ["before", "meanwhile", "meanwhile, too", "after"]
    assert second.path == "/resume-gateway"
    assert not said(second, 2)
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.READY]


async def test_a_connection_dropped_in_the_middle_of_a_message_brings_it_once(station: Station) -> None:
    await station.ready()
    station.discord.gateway.cut_at = "MESSAGE_CREATE"
    write(station, "cut off")
    write(station, "next")
    await station.inbox.message("next")
    assert texts(station.inbox) == ["cut off", "next"]
    assert said(await joined(station, 2), 6)


async def test_heartbeats_say_what_was_received(station: Station) -> None:
    station.discord.gateway.heartbeat_ms = 20
    await station.ready()
    write(station, "hello")
    await station.inbox.message("hello")
    connection = await joined(station, 1)
    await station.discord.until(lambda: 3 in said(connection, 1))


async def test_a_silent_connection_is_given_up_and_resumed(station: Station) -> None:
    await station.ready(timing=replace(QUICK, silence_seconds=0.5))
    station.discord.gateway.is_silent = True
    write(station, "nobody hears this")
    await station.discord.until(lambda: len(station.discord.gateway.history) >= 2)
    station.discord.gateway.is_silent = False
    await station.inbox.message("nobody hears this")
    assert texts(station.inbox) == ["nobody hears this"]


async def test_goes_over_to_another_gateway_when_asked(station: Station) -> None:
    await station.ready()
    station.discord.gateway.reconnect(station.bot)
    assert said(await joined(station, 2), 6)
    write(station, "hello")
    await station.inbox.message("hello")


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4007, 4008, 4009])
async def test_codes_that_say_try_again_are_tried_again(station: Station, code: int) -> None:
    await station.ready()
    await station.discord.gateway.close(station.bot, code)
    await station.discord.until(lambda: len(station.discord.gateway.history) >= 2)
    write(station, "hello")
    await station.inbox.message("hello")
    assert station.inbox.states()[-1] is InstanceState.READY


async def test_what_was_written_while_the_session_was_lost_is_read_back_once(station: Station) -> None:
    await station.ready()
    write(station, "before")
    await station.inbox.message("before")
    quiet = station.world.channel(station.works, "quiet")
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    for number in range(3):
        write(station, f"missed {number}")
    station.world.write(quiet, station.ann, "missed in a channel that was silent")
    await station.inbox.message("missed 2")
    await station.inbox.message("missed in a channel that was silent")
    write(station, "after")
    await station.inbox.message("after")
    assert sorted(texts(station.inbox)) == sorted(["before", "missed 0", "missed 1", "missed 2", "missed in a channel that was silent", "after"])
    assert [text for text in texts(station.inbox) if text.startswith("missed ")][:3] == ["missed 0", "missed 1", "missed 2"]
    assert not any(event.backfill for event in station.inbox.events if isinstance(event, MessageReceived))


async def test_a_session_ended_by_discord_is_begun_again_with_what_was_missed(station: Station) -> None:
    await station.ready()
    write(station, "before")
    await station.inbox.message("before")
    station.discord.gateway.invalidate(station.bot)
    write(station, "in between")
    await station.inbox.message("in between")
    assert said(await joined(station, 2), 2)
    assert texts(station.inbox) == ["before", "in between"]


async def test_what_is_read_back_and_comes_as_an_event_as_well_is_told_once(station: Station) -> None:
    await station.ready()
    write(station, "before")
    await station.inbox.message("before")
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    write(station, "missed")
    hold = station.discord.faults.hold_next("list_messages")
    await hold.arrived.wait()
    write(station, "both ways")
    write(station, "both ways, too")
    hold.let_go.set()
    write(station, "after")
    await station.inbox.message("after")
    assert texts(station.inbox) == ["before", "missed", "both ways", "both ways, too", "after"]


async def test_private_messages_and_threads_are_read_back_too(station: Station) -> None:
    private, thread = station.world.private(station.bot, station.ann), station.world.thread(station.general, "aside")
    await station.ready()
    station.world.write(private, station.ann, "psst")
    await station.inbox.message("psst")
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    station.world.write(private, station.ann, "still there?")
    station.world.write(thread, station.ann, "and here?")
    assert (await station.inbox.message("still there?")).chat.id == f"user:{station.ann}"
    assert (await station.inbox.message("and here?")).message.thread_id == thread


async def test_reading_back_goes_over_several_pages_and_has_an_end(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    timing = Timing(pauses=(0.01,), session_pause=0.01, stable_seconds=0, catching=Catching(messages=200))
    await station.ready(timing=timing)
    write(station, "first")
    await station.inbox.message("first")
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    for number in range(230):
        write(station, f"{number}")
    await station.inbox.message("199")
    write(station, "live")
    await station.inbox.message("live")
    assert texts(station.inbox) == ["first", *map(str, range(200)), "live"]
    assert "More than 200 messages were missed" in caplog.text


async def test_what_cannot_be_read_back_does_not_keep_back_the_rest(station: Station) -> None:
    locked = station.world.channel(station.works, "locked")
    await station.ready()
    station.world.denied.add((locked, "list_messages"))
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    station.world.write(locked, station.ann, "secret")
    write(station, "public")
    await station.inbox.message("public")
    assert texts(station.inbox) == ["public"]
    assert await station.inbox.wait(StateChanged, lambda state: "Not read back after an absence, in 1 channels" in (state.reason or ""))


async def test_what_the_bot_is_taken_out_of_is_closed_until_it_is_back(station: Station) -> None:
    await station.ready()
    (session,) = station.bot.sessions.values()
    shed = station.world.channel(station.works, "shed")
    session.dispatch("CHANNEL_DELETE", station.world.channels.pop(shed))
    assert (await station.inbox.wait(ChatClosed, lambda closed: closed.chat_id == shed)).reason
    session.dispatch("GUILD_DELETE", {"id": station.works})
    assert (await station.inbox.wait(ChatClosed, lambda closed: closed.chat_id == station.general)).reason
    station.world.invite(station.bot, station.works)
    await station.inbox.wait(ChatClosed, lambda closed: (closed.chat_id, closed.reason) == (station.general, None))


async def test_old_messages_are_history_and_no_news(station: Station) -> None:
    await station.ready()
    write(station, "before")
    await station.inbox.message("before")
    station.discord.gateway.forget(station.bot)
    station.discord.gateway.drop(station.bot)
    old = station.world.write(station.general, station.ann, "long ago")
    old["timestamp"] = "2020-01-01T00:00:00+00:00"
    assert (await station.inbox.message("long ago")).backfill


async def test_after_a_restart_nothing_is_missing_and_nothing_comes_twice(station: Station) -> None:
    private = station.world.private(station.bot, station.ann)
    provider = await station.ready()
    write(station, "before")
    station.world.write(private, station.ann, "psst")
    await station.inbox.message("psst")
    await provider.stop()
    write(station, "meanwhile")
    station.world.write(private, station.ann, "hello?")
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message("hello?")
    await station.inbox.message("meanwhile")
    assert sorted(texts(station.inbox)) == ["hello?", "meanwhile"]


async def test_what_was_not_taken_before_a_stop_comes_after_the_restart(station: Station) -> None:
    provider = await station.ready()
    station.inbox.refuse(10_000)
    write(station, "precious")
    await station.inbox.wait(MessageReceived, refused=True)
    await provider.stop()
    station.inbox = Inbox()
    await station.ready()
    await station.inbox.message("precious")


async def test_a_damaged_file_of_what_was_read_is_no_obstacle(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    provider = station.make()
    file = provider.context.data_dir / "read.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"read": [')
    await station.ready()
    write(station, "hello")
    await station.inbox.message("hello")
    assert "cannot be read" in caplog.text


async def test_the_first_start_reads_nothing_back(station: Station) -> None:
    station.world.clock = lambda: time.time() - 3600
    write(station, "long before the bot was here")
    station.world.clock = time.time
    await station.ready()
    write(station, "hello")
    await station.inbox.message("hello")
    assert texts(station.inbox) == ["hello"]


@pytest.mark.parametrize("away", [True, False])
async def test_what_was_written_before_the_bot_was_invited_is_not_read_back(station: Station, away: bool) -> None:
    other = station.world.guild("Other")
    lounge = station.world.channel(other, "lounge")
    provider = await station.ready()
    if away:
        await provider.stop()
    # Our clock and Discord's differ a little, so the moments that matter lie well apart.
    station.world.clock = lambda: time.time() + 60
    station.world.write(lounge, station.ann, "among ourselves")
    station.world.clock = lambda: time.time() + 120
    station.world.invite(station.bot, other)
    station.world.clock = lambda: time.time() + 180
    if away:
        station.inbox = Inbox()
    station.world.write(lounge, station.ann, "welcome")
    if away:
        await station.ready()
    assert (await station.inbox.message("welcome")).chat.title == "#lounge (Other)"
    assert texts(station.inbox) == ["welcome"]


async def test_a_folder_that_cannot_be_written_stops_nothing(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    provider = station.make()
    provider.context.data_dir.parent.mkdir(parents=True, exist_ok=True)
    provider.context.data_dir.write_text("a file in the way")
    provider = await station.ready()
    for text in ("one", "two"):
        write(station, text)
        await station.inbox.message(text)
    await provider.stop()
    assert "not written down" in caplog.text


async def test_a_server_that_is_told_of_in_another_form_keeps_nothing_back(station: Station) -> None:
    await station.ready()
    (session,) = station.bot.sessions.values()
    for odd in ({}, {"id": "5", "name": "Odd", "channels": [{"id": "6"}]}, {"id": "5", "name": "Odd", "channels": [{"id": "7", "type": 0}]}):
        session.dispatch("GUILD_CREATE", odd)
    write(station, "still here")
    await station.inbox.message("still here")


async def test_later_events_wait_for_those_that_were_not_taken(station: Station) -> None:
    await station.ready()
    station.inbox.refuse(3)
    for number in range(5):
        write(station, f"{number}")
    await station.inbox.message("4")
    assert texts(station.inbox) == ["0", "1", "2", "3", "4"]
    assert len(station.inbox.refused) >= 3


class Slow(Inbox):
    """Takes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_take = anyio.Event()

    async def deliver(self, events: Sequence[Event]) -> None:
        if any(isinstance(event, MessageReceived) for event in events):
            await self.may_take.wait()
        await super().deliver(events)


async def test_a_slow_store_slows_discord_down_and_loses_nothing(station: Station) -> None:
    slow = station.inbox = Slow()
    await station.ready()
    wanted = [f"{number}" for number in range(3000)]
    for text in wanted:
        write(station, text)
    station.discord.gateway.reconnect(station.bot)
    slow.may_take.set()
    await slow.message("2999")
    assert texts(slow) == wanted


async def test_an_outage_is_a_state_and_heals_with_what_was_missed(station: Station) -> None:
    await station.ready()
    await station.discord.go_down()
    await reason(station.inbox, "cannot be reached")
    write(station, "written meanwhile")
    await station.discord.come_back()
    await station.inbox.message("written meanwhile")
    await healed(station.inbox)


async def test_starts_during_an_outage(station: Station) -> None:
    await station.discord.go_down()
    await station.start()
    assert (await reason(station.inbox, "cannot be reached")).account is None
    await station.discord.come_back()
    await healed(station.inbox)


@pytest.mark.parametrize("body", ["<html>502 Bad Gateway</html>" * 100, ""])
async def test_nonsense_from_a_proxy_is_trouble_and_heals(station: Station, body: str) -> None:
    station.discord.faults.fail_next("get_my_user", 502, body)
    await station.start()
    degraded = await reason(station.inbox, "502 Bad Gateway")
    assert "<html>" not in (degraded.reason or "")
    await healed(station.inbox)


async def test_events_that_cannot_be_read_do_not_keep_back_the_others(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    await station.ready()
    (session,) = station.bot.sessions.values()
    for data in ({}, {"id": "1"}, {"channel_id": station.general, "id": "x", "author": []}):
        session.dispatch("MESSAGE_CREATE", data)
    session.dispatch("UNHEARD_OF", {"a": 1})
    write(station, "still here")
    await station.inbox.message("still here")
    assert "not of Discord's form" in caplog.text
    assert await station.inbox.wait(NoticeReceived, lambda notice: "MESSAGE_CREATE" in notice.text)


async def test_stop_ends_the_session(station: Station) -> None:
    provider = await station.ready()
    await provider.stop()
    await station.discord.until(lambda: not station.discord.gateway.connections)
    assert not station.bot.sessions
    await provider.stop()


async def test_two_instances_at_two_addresses_do_not_disturb_each_other(station: Station) -> None:
    async with DiscordStandIn() as elsewhere:
        other_bot = elsewhere.add_bot("Other")
        guild = elsewhere.world.guild("Elsewhere", other_bot)
        channel, bob = elsewhere.world.channel(guild, "lounge"), elsewhere.world.person("Bob", guild)
        first = await station.ready()
        second = station.make(instance="inst-2", bot_token=SecretStr(other_bot.token), base_url=elsewhere.base_url)
        inbox = Inbox()
        await second.start(inbox.deliver)
        await inbox.state(InstanceState.READY)
        write(station, "here")
        elsewhere.world.write(channel, bob, "there")
        await station.inbox.message("here")
        await inbox.message("there")
        await first.send(Draft(client_id="1", chat_id=station.general, text="from here"))
        await second.send(Draft(client_id="1", chat_id=channel, text="from there"))
        station.discord.gateway.drop(station.bot)
        elsewhere.gateway.invalidate(other_bot)
        write(station, "here again")
        elsewhere.world.write(channel, bob, "there again")
        await station.inbox.message("here again")
        await inbox.message("there again")
        await second.stop()
        assert (texts(station.inbox), texts(inbox)) == (["here", "from here", "here again"], ["there", "from there", "there again"])


async def test_an_address_of_the_gateway_that_is_set_is_kept_to(station: Station) -> None:
    await station.ready(gateway_url=f"ws://127.0.0.1:{station.discord.port}/gateway")
    station.discord.gateway.drop(station.bot)
    write(station, "hello")
    await station.inbox.message("hello")
    assert [connection.path for connection in station.discord.gateway.history] == ["/gateway", "/gateway"]


async def test_the_token_is_in_no_log(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = await station.ready(timing=QUICK)
    await provider.send(Draft(client_id="1", chat_id=station.general, text="hello"))
    station.discord.gateway.drop(station.bot)
    write(station, "hello you")
    await station.inbox.message("hello you")
    await station.discord.go_down()
    await reason(station.inbox, "cannot be reached")
    assert "users/@me" in caplog.text
    assert station.bot.token not in f"{caplog.text}{station.inbox.events}"
