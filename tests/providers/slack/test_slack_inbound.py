"""What Slack tells, as events."""

import logging
from typing import Any

import pytest

from providers.events import (
    ChatChanged,
    ChatClosed,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    StopRequested,
)
from providers.models import ChatKind, Media, MediaKind, MessageKind, TextFormat
from tests.providers.slack.conftest import Station
from tests.standins.slack_api.workspace import BOT, BOT_ID

pytestmark = pytest.mark.anyio


async def told(station: Station, **event: object) -> list[Event]:
    """What a single event brings: everything up to a mark that is written after it."""
    known = len(station.inbox.events)
    ts = station.slack.next_ts()
    station.slack.emit({"ts": ts, "event_ts": ts, **event})
    station.slack.user_writes(station.dm, f"mark {ts}", by=station.ann)
    await station.inbox.message(f"mark {ts}")
    return station.inbox.events[known:-1]


async def said(station: Station, channel: str | None = None, **event: Any) -> MessageReceived:
    found = await told(station, type="message", channel=channel or station.dm, **event)
    assert len(found) == 1
    assert isinstance(found[0], MessageReceived)
    return found[0]


@pytest.mark.parametrize(("kind", "expected"), [("channel", ChatKind.CHANNEL), ("group", ChatKind.GROUP), ("mpim", ChatKind.GROUP)])
async def test_channels_private_channels_and_group_messages(station: Station, kind: str, expected: ChatKind) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann, kind=kind)
    event = await said(station, team, user=station.ann, text="hello", channel_type=kind)
    assert (event.chat.id, event.chat.kind, event.chat.title) == (team, expected, "team")
    assert event.sender is not None
    assert (event.sender.name, event.sender.username, event.message.sender_name) == ("Ann", "ann", "Ann")


async def test_direct_messages_are_named_for_the_person(station: Station) -> None:
    await station.ready()
    event = await said(station, user=station.ann, text="hello", channel_type="im")
    assert (event.chat.kind, event.chat.title) == (ChatKind.PRIVATE, "Ann")


async def test_an_answer_that_is_shown_in_the_channel_too_quotes_what_it_answers(station: Station) -> None:
    await station.ready()
    root = {"user": station.ann, "text": f"Which <@{station.ann}>?", "ts": "1700000000.000100"}
    event = await said(station, user=station.ann, text="this one", subtype="thread_broadcast", thread_ts=root["ts"], root=root)
    assert event.message.reply_to == f"{station.dm}:{root['ts']}"
    assert event.message.quoted is not None
    assert (event.message.quoted.text, event.message.quoted.name) == ("Which @Ann?", "Ann")


async def test_what_happens_to_a_channel_and_to_the_apps_session_is_told(station: Station) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann)
    (moved,) = await told(station, type="channel_id_changed", old_channel_id="C0OLD", new_channel_id=team)
    assert isinstance(moved, ChatMigrated)
    assert (moved.old_id, moved.chat.id, moved.chat.title) == ("C0OLD", team, "team")
    for kind in ("channel_deleted", "group_deleted"):
        (gone,) = await told(station, type=kind, channel=team)
        assert isinstance(gone, ChatClosed)
        assert (gone.chat_id, bool(gone.reason)) == (team, True)
    assert await told(station, type="member_left_channel", user=station.ann, channel=team) == []
    (left,) = await told(station, type="member_left_channel", user=BOT, channel=team)
    assert isinstance(left, ChatClosed)
    (stopped,) = await told(station, type="agent_session_stopped", channel=station.dm, thread_ts="1700000000.000100", user=station.ann)
    assert isinstance(stopped, StopRequested)
    assert (stopped.chat_id, stopped.thread_id, stopped.sender_id) == (station.dm, f"{station.dm}:1700000000.000100", station.ann)
    thread = {"user_id": station.ann, "channel_id": station.dm, "thread_ts": "1700000000.000200", "context": {"channel_id": team}}
    (opened,) = await told(station, type="assistant_thread_started", assistant_thread=thread)
    assert isinstance(opened, MessageReceived)
    assert (opened.message.kind, opened.message.sender_id) == (MessageKind.SYSTEM, station.ann)
    assert opened.message.text == "Opened the assistant beside #team, and has not written yet."


async def test_what_nothing_is_made_of_is_counted_and_logged_with_the_reason(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    await station.ready()
    caplog.set_level(logging.INFO)
    for _ in range(3):
        assert await told(station, type="reaction_added", item={"type": "file", "file": "F1"}, user=station.ann, reaction="+1") == []
    logged = [record.getMessage() for record in caplog.records if "reaction_added on a file" in record.getMessage()]
    assert [line.rpartition("(")[2] for line in logged] == ["1 so far).", "2 so far)."]
    assert "it is about no message" in logged[0]


async def test_people_and_channels_are_asked_for_once(station: Station) -> None:
    await station.ready()
    for number in range(3):
        await said(station, user=station.ann, text=f"number {number}")
    assert len(station.slack.calls_of("users.info")) == 1
    assert len(station.slack.calls_of("conversations.info")) == 1


@pytest.mark.parametrize("is_known", [True, False])
async def test_slackbot_is_a_bot_though_slack_does_not_say_so(station: Station, is_known: bool) -> None:
    await station.ready()
    if is_known:
        station.slack.person("Slackbot", "USLACKBOT")
    event = await said(station, user="USLACKBOT", text="Reminder: water the plants")
    assert event.sender is not None
    assert event.sender.is_bot


async def test_a_new_name_is_learned(station: Station) -> None:
    await station.ready()
    await said(station, user=station.ann, text="one")
    await told(station, type="user_change", user={"id": station.ann, "name": "ann", "profile": {"display_name": "Ann Lee"}})
    assert (await said(station, user=station.ann, text="two")).message.sender_name == "Ann Lee"


async def test_mentions_are_readable_and_ours_is_noticed(station: Station) -> None:
    await station.ready()
    bob, team = station.slack.person("Bob"), station.slack.channel("random", station.ann)
    event = await said(station, team, user=station.ann, text=f"<@{BOT}> ask <@{bob}> in <#{team}>")
    assert event.message.text == "@Robo ask @Bob in #random"
    assert event.message.mentions_me
    assert not (await said(station, team, user=station.ann, text=f"<@{bob}> hello")).message.mentions_me


async def test_formatting_comes_as_markdown(station: Station) -> None:
    await station.ready()
    event = await said(station, user=station.ann, text="*so* <https://a.example|there>")
    assert (event.message.text, event.message.format) == ("**so** [there](https://a.example)", TextFormat.MARKDOWN)
    assert (await said(station, user=station.ann, text="so")).message.format is TextFormat.PLAIN


async def test_answers_in_threads_name_the_thread(station: Station) -> None:
    await station.ready()
    event = await said(station, user=station.ann, text="in here", thread_ts="1700000000.000100")
    assert event.message.thread_id == event.message.reply_to == f"{station.dm}:1700000000.000100"
    also = await said(station, user=station.ann, text="to all", thread_ts="1700000000.000100", subtype="thread_broadcast")
    assert also.message.thread_id == f"{station.dm}:1700000000.000100"
    first = station.slack.next_ts()
    root = await said(station, user=station.ann, text="the first", ts=first, thread_ts=first)
    assert (root.message.thread_id, root.message.reply_to) == (None, None)


async def test_our_own_messages_are_outgoing(station: Station) -> None:
    await station.ready()
    assert (await said(station, user=BOT, text="written elsewhere")).message.outgoing
    assert (await said(station, bot_id=BOT_ID, subtype="bot_message", text="as an old bot")).message.outgoing
    assert not (await said(station, bot_id="B0OTHER", subtype="bot_message", text="another bot", username="Jenkins")).message.outgoing


async def test_messages_of_other_bots(station: Station) -> None:
    await station.ready()
    event = await said(station, bot_id="B0OTHER", subtype="bot_message", text="built", username="Jenkins")
    assert event.sender is not None
    assert (event.sender.id, event.sender.name, event.sender.is_bot) == ("B0OTHER", "Jenkins", True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "in a *block*"}}]}, "in a **block**"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Title"}}, {"type": "divider"}]}, "Title"),
        ({"blocks": [{"type": "section", "fields": [{"type": "plain_text", "text": "a"}, {"type": "plain_text", "text": "b"}]}]}, "a\nb"),
        ({"attachments": [{"pretext": "Alarm", "text": "disk full"}]}, "Alarm\ndisk full"),
        ({"attachments": [{"fallback": "disk full"}]}, "disk full"),
    ],
)
async def test_words_in_blocks_and_attachments_are_text(station: Station, content: dict[str, Any], text: str) -> None:
    await station.ready()
    assert (await said(station, bot_id="B0OTHER", subtype="bot_message", text="", **content)).message.text == text


async def test_what_slack_reports_is_a_system_message(station: Station) -> None:
    await station.ready()
    event = await said(station, user=station.ann, subtype="channel_join", text=f"<@{station.ann}> has joined the channel")
    assert (event.message.kind, event.message.text) == (MessageKind.SYSTEM, "@Ann has joined the channel")


FILE = {"id": "F1", "name": "a.bin", "size": 3, "mode": "hosted"}


@pytest.mark.parametrize(
    ("file", "media"),
    [
        (FILE | {"mimetype": "image/png"}, Media(kind=MediaKind.IMAGE, ref="F1", mime="image/png", size=3, name="a.bin")),
        (
            FILE | {"mimetype": "video/mp4", "duration_ms": 1500},
            Media(kind=MediaKind.VIDEO, ref="F1", mime="video/mp4", size=3, name="a.bin", duration=1.5),
        ),
        (FILE | {"mimetype": "audio/mp4", "subtype": "slack_audio"}, Media(kind=MediaKind.VOICE, ref="F1", mime="audio/mp4", size=3, name="a.bin")),
        (FILE | {"mimetype": "application/pdf"}, Media(kind=MediaKind.DOCUMENT, ref="F1", mime="application/pdf", size=3, name="a.bin")),
        ({"id": "F1", "mode": "hosted", "title": "t"}, Media(kind=MediaKind.DOCUMENT, ref="F1", name="t")),
    ],
)
async def test_files_by_their_kind(station: Station, file: dict[str, object], media: Media) -> None:
    await station.ready()
    event = await told(station, type="message", subtype="file_share", channel=station.dm, user=station.ann, text="", files=[file])
    assert isinstance(event[0], MessageReceived)
    assert (event[0].message.kind, event[0].message.media) == (MessageKind.MEDIA, (media,))


async def test_files_that_are_gone_or_elsewhere_are_no_media(station: Station) -> None:
    await station.ready()
    files = [{"id": "F1", "mode": "tombstone"}, {"id": "F2", "mode": "external", "permalink": "https://drive.example/x"}]
    event = await said(station, user=station.ann, subtype="file_share", text="see", files=files)
    assert (event.message.media, event.message.text) == ((), "see\nA file that Slack does not show any more.\nhttps://drive.example/x")


async def test_a_preview_or_a_first_answer_is_no_edit(station: Station) -> None:
    await station.ready()
    message = station.slack.user_writes(station.dm, "see https://a.example", by=station.ann)
    await station.inbox.message("see https://a.example")
    station.slack.link_unfurls(station.dm, message["ts"])
    assert not await told(station, type="message", subtype="message_replied", channel=station.dm, message=message)
    assert not [event for event in station.inbox.events if isinstance(event, MessageEdited)]


async def test_a_deleted_message_with_answers_leaves_a_stone(station: Station) -> None:
    await station.ready()
    stone = {"type": "message", "subtype": "tombstone", "ts": "1700000000.000100", "text": "This message was deleted."}
    event = await told(station, type="message", subtype="message_changed", channel=station.dm, message=stone, previous_message={"text": "x"})
    assert isinstance(event[0], MessageDeleted)
    assert event[0].message_id == f"{station.dm}:1700000000.000100"


async def reactions(station: Station, ts: str, name: str, *, takes_back: bool = False) -> tuple[str, ...]:
    known = len([event for event in station.inbox.events if isinstance(event, ReactionChanged)])
    station.slack.reacts(station.dm, ts, name, by=station.ann, takes_back=takes_back)

    def new(_: ReactionChanged) -> bool:
        return len([event for event in station.inbox.events if isinstance(event, ReactionChanged)]) > known

    await station.inbox.wait(ReactionChanged, new)
    return [event for event in station.inbox.events if isinstance(event, ReactionChanged)][-1].emojis


async def test_several_reactions_of_one_person_are_told_together(station: Station) -> None:
    await station.ready()
    ts = station.slack.user_writes(station.dm, "well?", by=station.ann)["ts"]
    assert await reactions(station, ts, "+1") == ("👍",)
    assert await reactions(station, ts, "party_parrot") == ("👍", ":party_parrot:")
    assert await reactions(station, ts, "+1", takes_back=True) == (":party_parrot:",)
    assert len(station.slack.calls_of("reactions.get")) == 1


async def test_reactions_from_before_a_restart_are_known(station: Station) -> None:
    provider = await station.ready()
    ts = station.slack.user_writes(station.dm, "well?", by=station.ann)["ts"]
    await reactions(station, ts, "+1")
    await provider.stop()
    await station.start()
    await station.slack.until(lambda: station.slack.sockets.opened == 2 and bool(station.slack.sockets.links))
    assert await reactions(station, ts, "tada") == ("👍", "🎉")


async def test_a_renamed_channel_and_an_invitation_are_told(station: Station) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann)
    await said(station, team, user=station.ann, text="hello")
    station.slack.channels[team].name = "crew"
    renamed = await told(station, type="channel_rename", channel={"id": team, "name": "crew"})
    assert isinstance(renamed[0], ChatChanged)
    assert (renamed[0].chat.id, renamed[0].chat.title) == (team, "crew")
    joined = await told(station, type="member_joined_channel", channel=team, user=BOT)
    assert isinstance(joined[0], ChatChanged)
    assert isinstance(joined[1], ChatClosed)
    assert joined[1].reason is None
    assert not await told(station, type="member_joined_channel", channel=team, user=station.ann)


@pytest.mark.parametrize(
    ("kind", "reason"), [("channel_archive", "archived"), ("group_archive", "archived"), ("channel_left", "removed"), ("group_left", "removed")]
)
async def test_a_channel_that_takes_no_messages_any_more_is_closed(station: Station, kind: str, reason: str) -> None:
    await station.ready()
    team = station.slack.channel("team", station.ann)
    (closed,) = await told(station, type=kind, channel=team)
    assert isinstance(closed, ChatClosed)
    assert (closed.chat_id, reason in (closed.reason or "")) == (team, True)


async def test_all_who_are_named_have_names_and_who_is_unknown_is_asked_for_once(station: Station) -> None:
    await station.ready()
    people = [station.slack.person(f"Person {number}") for number in range(12)]
    text = " ".join(f"<@{id}>" for id in ["U0NOBODY", *people])
    for _ in range(2):
        event = await said(station, user=station.ann, text=text)
        assert event.message.text == "@U0NOBODY " + " ".join(f"@Person {number}" for number in range(12))
    assert len([call for call in station.slack.calls_of("users.info") if call.params["user"] == "U0NOBODY"]) == 1


async def test_raw_holds_what_slack_said_and_no_verification_token(station: Station) -> None:
    await station.ready()
    event = await said(station, user=station.ann, text="hello")
    assert event.message.raw["text"] == "hello"
    assert "FAKE-VERIFICATION" not in f"{station.inbox.events}"
    big = await said(station, user=station.ann, text="x" * 70_000)
    assert len(f"{big.message.raw}") < 1000
