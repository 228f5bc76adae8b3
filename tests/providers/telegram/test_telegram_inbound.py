"""What people do on Telegram, as events."""

import asyncio
import json
import time
from typing import Any

import pytest

from providers.capabilities import Capability
from providers.errors import NotFound
from providers.events import ChatChanged, ChatMigrated, MessageEdited, MessageReceived, NoticeReceived, PollVoted, ReactionChanged, StopRequested
from providers.models import ChatKind, Draft, Location, MediaKind, Message, MessageKind, Poll, TextFormat
from tests.providers.telegram.conftest import Station
from tests.standins.telegram_bot_api import StandInBot

pytestmark = pytest.mark.anyio


async def received(station: Station, sent: dict[str, Any]) -> MessageReceived:
    """The event of a message that a test made somebody send."""
    message_id = f"{sent['chat']['id']}:{sent['message_id']}"
    return await station.inbox.wait(MessageReceived, lambda event: event.message.id == message_id)


async def message(station: Station, **fields: Any) -> Message:
    """The message that arrives when Ann sends these fields in a private chat."""
    await station.ready()
    return (await received(station, station.bot.user_sends(station.bot.person("Ann"), **fields))).message


async def test_text_in_a_private_chat(station: Station) -> None:
    await station.ready()
    ann = station.bot.person("Ann", username="ann")
    event = await received(station, station.bot.user_writes(ann, "hello"))
    assert (event.chat.id, event.chat.kind, event.chat.title, event.chat.username) == (str(ann), ChatKind.PRIVATE, "Ann", "ann")
    assert event.sender is not None
    assert (event.sender.id, event.sender.name, event.sender.username, event.sender.is_bot) == (str(ann), "Ann", "ann", False)
    assert (event.message.kind, event.message.text, event.message.sender_name) == (MessageKind.TEXT, "hello", "Ann")
    assert abs(event.message.at.timestamp() - time.time()) < 60
    assert event.message.raw["message"]["text"] == "hello"


async def test_numbers_of_two_chats_do_not_collide(station: Station) -> None:
    await station.ready()
    in_one = await received(station, station.bot.user_writes(station.bot.person("Ann"), "one"))
    in_other = await received(station, station.bot.user_writes(station.bot.person("Bob"), "other"))
    assert in_one.message.raw["message"]["message_id"] == in_other.message.raw["message"]["message_id"] == 1
    assert in_one.message.id != in_other.message.id


async def test_text_in_a_group_with_topic_and_reply(station: Station) -> None:
    await station.ready()
    ann, team = station.bot.person("Ann"), station.bot.group("Team", username="team")
    opening = station.bot.compose(team, forum_topic_created={"name": "News", "icon_color": 1})
    first = station.bot.user_writes(team, "first", by=ann, message_thread_id=7, is_topic_message=True, reply_to_message=opening)
    second = station.bot.user_writes(team, "second", by=ann, message_thread_id=7, is_topic_message=True, reply_to_message=first)
    event = await received(station, second)
    assert (event.chat.kind, event.chat.title, event.chat.username) == (ChatKind.GROUP, "Team", "team")
    assert (event.message.thread_id, event.message.reply_to) == ("7", f"{team}:{first['message_id']}")
    assert (await received(station, first)).message.reply_to is None


async def test_what_one_person_and_the_bot_see_is_answered_so_that_nobody_else_sees_it(station: Station) -> None:
    provider = await station.ready()
    bot, ann, team = station.bot, station.bot.person("Ann"), station.bot.group("Team")
    for number, text in ((7, "psst"), (8, "and this")):
        hidden = {"message_id": 0, "date": int(time.time()), "ephemeral_message_id": number, "receiver_user": bot.user}
        bot.update("message", {**hidden, "chat": bot.chats[team], "from": bot.users[ann], "text": text})
    event, second = await station.inbox.message("psst"), await station.inbox.message("and this")
    assert (event.message.id, second.message.id) == (f"{team}:e7.{ann}", f"{team}:e8.{ann}")
    assert (event.chat.id, event.message.sender_id) == (str(team), str(ann))
    sent = await provider.send(Draft(client_id="1", chat_id=str(team), text="only you", reply_to=event.message.id))
    (call,) = bot.sent
    assert json.loads(call.params["reply_parameters"]) == {"ephemeral_message_id": 7}
    assert json.loads(call.params["ephemeral_message_parameters"]) == {"receiver_user_id": ann}
    assert sent.id.startswith(f"{team}:e")
    with pytest.raises(NotFound, match="Only one person"):
        await provider.edit(str(team), sent.id, "changed", TextFormat.PLAIN)


async def test_the_stop_button_of_an_answer(station: Station) -> None:
    await station.ready()
    ann = station.bot.person("Ann")
    station.bot.update("stopped_message_generation", {"chat": station.bot.chats[ann], "draft_id": 5, "message_thread_id": 3})
    stopped = await station.inbox.wait(StopRequested)
    assert (stopped.chat_id, stopped.thread_id, stopped.sender_id) == (str(ann), "3", str(ann))


@pytest.mark.parametrize(("state", "is_error"), [("active", False), ("failed", True)])
async def test_a_subscription_is_a_notice(station: Station, state: str, is_error: bool) -> None:
    await station.ready()
    ann = station.bot.users[station.bot.person("Ann")]
    station.bot.update("subscription", {"user": ann, "invoice_payload": "gold", "state": state})
    told = await station.inbox.wait(NoticeReceived)
    assert (told.code, told.is_error) == ("subscription", is_error)
    assert told.text == f"The subscription of Ann with the payload “gold” is now {state}."


async def test_privacy_mode_is_named_as_what_the_bot_does_not_hear(station: Station) -> None:
    station.bot.hears_all = False
    provider = await station.ready()
    assert "/setprivacy" in (await provider.lacking())[Capability.GROUP_MESSAGES]


async def test_a_channel_post_is_from_the_channel(station: Station) -> None:
    await station.ready()
    news = station.bot.group("News", kind="channel")
    event = await received(station, station.bot.user_writes(news, "today"))
    assert (event.chat.kind, event.message.sender_id, event.message.sender_name) == (ChatKind.CHANNEL, str(news), "News")


async def test_an_anonymous_administrator_is_the_group(station: Station) -> None:
    await station.ready()
    team, ann = station.bot.group("Team"), station.bot.person("Group")
    event = await received(station, station.bot.user_writes(team, "hello", by=ann, sender_chat=station.bot.chats[team]))
    assert (event.message.sender_id, event.message.sender_name) == (str(team), "Team")


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("hello @robo_bot", True),
        ("👋👋 @ROBO_bot, please", True),
        ("/start@robo_bot", True),
        ("/start", False),
        ("hello @robo_bottle", False),
        ("hello @somebody", False),
        ("hello robo_bot", False),
    ],
)
async def test_knows_when_it_is_mentioned(station: Station, text: str, mentioned: bool) -> None:
    await station.ready()
    event = await received(station, station.bot.user_writes(station.bot.person(), text))
    assert event.message.mentions_me is mentioned


async def test_knows_a_mention_by_name_and_in_a_caption(station: Station) -> None:
    await station.ready()
    ann = station.bot.person()
    by_name = [{"type": "text_mention", "offset": 0, "length": 4, "user": station.bot.user}]
    assert (await received(station, station.bot.user_sends(ann, text="Robo", entities=by_name))).message.mentions_me
    in_caption = [{"type": "mention", "offset": 0, "length": 9}]
    photo = station.bot.user_sends_photo(ann, caption="@robo_bot", caption_entities=in_caption)
    assert (await received(station, photo)).message.mentions_me


async def test_a_photo_is_its_largest_size(station: Station) -> None:
    provider = await station.ready()
    event = await received(station, station.bot.user_sends_photo(station.bot.person(), b"the large one", caption="look"))
    assert (event.message.kind, event.message.text) == (MessageKind.MEDIA, "look")
    (media,) = event.message.media
    assert (media.kind, media.mime, media.size) == (MediaKind.IMAGE, "image/jpeg", 13)
    assert (await provider.download(media)).content == b"the large one"


def stored(bot: StandInBot, **more: Any) -> dict[str, Any]:
    return bot.store(b"12345", "name.bin").described(**more)


@pytest.mark.parametrize(
    ("field", "more", "kind", "mime"),
    [
        ("document", {"mime_type": "application/pdf", "file_name": "a.pdf"}, MediaKind.DOCUMENT, "application/pdf"),
        ("document", {}, MediaKind.DOCUMENT, None),
        ("audio", {"duration": 3, "mime_type": "audio/mp4"}, MediaKind.AUDIO, "audio/mp4"),
        ("voice", {"duration": 3}, MediaKind.VOICE, "audio/ogg"),
        ("video", {"duration": 3, "width": 1, "height": 1}, MediaKind.VIDEO, "video/mp4"),
        ("video_note", {"duration": 3, "length": 1}, MediaKind.VIDEO, "video/mp4"),
        ("sticker", {"is_animated": False, "is_video": False, "emoji": "🙂"}, MediaKind.STICKER, "image/webp"),
        ("sticker", {"is_animated": True, "is_video": False}, MediaKind.STICKER, "application/x-tgsticker"),
        ("sticker", {"is_animated": False, "is_video": True}, MediaKind.STICKER, "video/webm"),
    ],
)
async def test_files_of_each_kind(station: Station, field: str, more: dict[str, Any], kind: MediaKind, mime: str | None) -> None:
    found = await message(station, **{field: stored(station.bot, **more)})
    assert found.kind is MessageKind.MEDIA
    (media,) = found.media
    assert (media.kind, media.mime, media.size, media.duration, media.name) == (kind, mime, 5, more.get("duration"), more.get("file_name"))
    assert found.text == more.get("emoji", "")


async def test_an_animation_is_one_video(station: Station) -> None:
    file = stored(station.bot, duration=2, width=1, height=1, mime_type="video/mp4")
    found = await message(station, animation=file, document=file)
    assert [media.kind for media in found.media] == [MediaKind.VIDEO]


async def test_a_location_and_a_venue(station: Station) -> None:
    place = {"latitude": 52.5, "longitude": 13.4}
    assert (await message(station, location=place)).location == Location(latitude=52.5, longitude=13.4)
    sent = station.bot.user_sends(station.bot.person(), location=place, venue={"location": place, "title": "Café", "address": "Main St 1"})
    event = await received(station, sent)
    assert event.message.kind is MessageKind.LOCATION
    assert event.message.location == Location(latitude=52.5, longitude=13.4, name="Café, Main St 1")


async def test_a_poll(station: Station) -> None:
    options = [{"text": text, "voter_count": 0} for text in ("yes", "no")]
    found = await message(station, poll={"id": "1", "question": "Tea?", "options": options, "allows_multiple_answers": True})
    assert (found.kind, found.poll) == (MessageKind.POLL, Poll(question="Tea?", options=("yes", "no"), multiple=True))


async def test_a_poll_with_a_single_option_is_kept_in_raw(station: Station) -> None:
    found = await message(station, poll={"id": "1", "question": "Coming?", "options": [{"text": "yes", "voter_count": 0}]})
    assert (found.kind, found.poll) == (MessageKind.POLL, None)
    assert found.raw["message"]["poll"]["question"] == "Coming?"


async def test_a_contact(station: Station) -> None:
    found = await message(station, contact={"phone_number": "+15550100", "first_name": "Bo", "last_name": "Li"})
    assert (found.kind, found.text) == (MessageKind.CONTACT, "Bo Li +15550100")


async def test_what_is_not_known_is_unknown_and_kept_in_raw(station: Station) -> None:
    found = await message(station, something_new={"a": 1})
    assert (found.kind, found.text) == (MessageKind.UNKNOWN, "A message of the type something_new.")
    assert found.raw["message"]["something_new"] == {"a": 1}


async def test_raw_is_bounded(station: Station) -> None:
    found = await message(station, text="short", huge="x" * 70_000)
    assert found.raw.keys() == {"update_id", "left_out"}
    assert found.text == "short"


BOB = {"id": 42, "is_bot": False, "first_name": "Bob", "last_name": "Roe"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"new_chat_members": [BOB]}, "Ann added Bob Roe."),
        ({"left_chat_member": BOB}, "Ann removed Bob Roe."),
        ({"new_chat_title": "Crew"}, "Ann changed the title to “Crew”."),
        ({"pinned_message": {"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}}}, "Ann pinned a message."),
        ({"group_chat_created": True}, "Ann created the group."),
        ({"forum_topic_created": {"name": "News", "icon_color": 1}}, "Ann created the topic “News”."),
        ({"video_chat_ended": {"duration": 3}}, "The video chat ended."),
    ],
)
async def test_what_happens_in_a_group_is_a_plain_sentence(station: Station, fields: dict[str, Any], sentence: str) -> None:
    await station.ready()
    event = await received(station, station.bot.user_sends(station.bot.group(), by=station.bot.person("Ann"), **fields))
    assert (event.message.kind, event.message.text) == (MessageKind.SYSTEM, sentence)


async def test_joining_and_leaving_by_oneself(station: Station) -> None:
    await station.ready()
    team, ann = station.bot.group(), station.bot.person("Ann")
    joined = station.bot.user_sends(team, by=ann, new_chat_members=[station.bot.users[ann]])
    left = station.bot.user_sends(team, by=ann, left_chat_member=station.bot.users[ann])
    assert (await received(station, joined)).message.text == "Ann joined."
    assert (await received(station, left)).message.text == "Ann left."


async def test_a_new_title_is_a_change_of_the_chat(station: Station) -> None:
    await station.ready()
    team, ann = station.bot.group("Old"), station.bot.person()
    station.bot.chats[team]["title"] = "New"
    station.bot.user_sends(team, by=ann, new_chat_title="New")
    changed = await station.inbox.wait(ChatChanged)
    assert (changed.chat.id, changed.chat.title) == (str(team), "New")


async def test_being_added_to_a_group_is_a_new_chat(station: Station) -> None:
    await station.ready()
    team, ann = station.bot.group("Team"), station.bot.person()
    before = {"user": station.bot.user, "status": "left"}
    change = {"chat": station.bot.chats[team], "from": station.bot.users[ann], "date": 1, "old_chat_member": before, "new_chat_member": before}
    station.bot.update("my_chat_member", change)
    changed = await station.inbox.wait(ChatChanged)
    assert (changed.chat.id, changed.chat.kind, changed.chat.title) == (str(team), ChatKind.GROUP, "Team")


async def test_a_group_that_becomes_a_supergroup_moves(station: Station) -> None:
    await station.ready()
    old = station.bot.group("Team", kind="group")
    new = station.bot.group_becomes_supergroup(old)
    moved = await station.inbox.wait(ChatMigrated)
    assert (moved.old_id, moved.chat.id, moved.chat.kind, moved.chat.title) == (str(old), str(new), ChatKind.GROUP, "Team")
    told_in_the_new = await station.inbox.wait(MessageReceived, lambda event: event.chat.id == str(new))
    assert told_in_the_new.message.kind is MessageKind.SYSTEM
    assert {(event.old_id, event.chat.id) for event in station.inbox.events if isinstance(event, ChatMigrated)} == {(str(old), str(new))}


async def test_edits_in_chats_and_channels(station: Station) -> None:
    await station.ready()
    for chat in (station.bot.person(), station.bot.group(kind="channel")):
        sent = station.bot.user_writes(chat, "helo")
        station.bot.user_edits(sent, "hello")
        chat_id = str(chat)
        edited = await station.inbox.wait(MessageEdited, lambda event, chat_id=chat_id: event.chat_id == chat_id)
        assert (edited.message_id, edited.text) == (f"{chat}:{sent['message_id']}", "hello")
        assert abs(edited.at.timestamp() - time.time()) < 60


async def test_an_edit_that_brings_the_bot_into_a_message_brings_the_message(station: Station) -> None:
    """With privacy mode a bot sees of a group what is for it, and that may become so by an edit alone."""
    await station.ready()
    team, ann = station.bot.group(), station.bot.person()
    unseen = station.bot.compose(team, **{"from": station.bot.users[ann]}, text="what time is it?")
    station.bot.user_edits(unseen, "what time is it, @robo_bot?")
    event = await received(station, unseen)
    assert (event.message.text, event.message.mentions_me, event.message.sender_id) == ("what time is it, @robo_bot?", True, str(ann))


async def test_reactions_as_they_now_are(station: Station) -> None:
    await station.ready()
    ann, team = station.bot.person(), station.bot.group()
    sent = station.bot.compose(team, text="nice?")
    new = [{"type": "emoji", "emoji": "👍"}, {"type": "custom_emoji", "custom_emoji_id": "555"}, {"type": "paid"}]
    reacted = {"chat": station.bot.chats[team], "message_id": sent["message_id"], "date": 1, "old_reaction": [], "new_reaction": new}
    station.bot.update("message_reaction", reacted | {"user": station.bot.users[ann]})
    changed = await station.inbox.wait(ReactionChanged)
    assert (changed.chat_id, changed.message_id) == (str(team), f"{team}:{sent['message_id']}")
    assert (changed.sender_id, changed.emojis) == (str(ann), ("👍", "555", "⭐"))
    station.bot.update("message_reaction", reacted | {"actor_chat": station.bot.chats[team], "new_reaction": []})
    assert (await station.inbox.wait(ReactionChanged, lambda event: event.emojis == ())).sender_id == str(team)


async def test_a_pressed_button_is_a_message_in_reply_and_can_be_answered(station: Station) -> None:
    provider = await station.ready()
    ann = station.bot.person()
    menu = station.bot.compose(ann, text="Pick one", **{"from": station.bot.user})
    press = station.bot.user_presses(menu, "yes", by=ann)
    event = await station.inbox.message("yes")
    assert event.message.reply_to == f"{ann}:{menu['message_id']}"
    assert event.message.id == f"{ann}:{menu['message_id']}:{press}"
    assert (event.message.sender_id, event.message.mentions_me) == (str(ann), True)
    assert event.message.raw["callback_query"]["data"] == "yes"
    await station.telegram.until(lambda: station.bot.answered == [press])
    again = station.bot.user_presses(menu, "yes", by=ann)
    await station.inbox.wait(MessageReceived, lambda other: other.message.id == f"{ann}:{menu['message_id']}:{again}")
    await provider.edit(str(ann), event.message.id, "You said yes", TextFormat.PLAIN)
    assert station.bot.messages[ann, menu["message_id"]]["text"] == "You said yes"


async def test_a_press_under_a_message_of_unknown_chat_is_left_out_but_answered(station: Station) -> None:
    await station.ready()
    ann = station.bot.person()
    station.bot.presses.add("inline-1")
    query = {"id": "inline-1", "from": station.bot.users[ann], "inline_message_id": "x", "chat_instance": "1", "data": "yes"}
    station.bot.update("callback_query", query)
    await station.telegram.until(lambda: station.bot.answered == ["inline-1"])
    assert not [event for event in station.inbox.events if isinstance(event, MessageReceived)]


async def test_the_state_of_a_poll_whose_voters_are_named_is_counted_as_left_out(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="providers.kit.left_out")
    provider, ann = await station.ready(), station.bot.person()
    await provider.send(Draft(client_id="1", chat_id=str(ann), poll=Poll(question="Tea?", options=("yes", "no"))))
    ((_, message),) = station.bot.messages.items()
    station.bot.update("poll", message["poll"])
    station.bot.user_writes(ann, "afterwards")
    await station.inbox.message("afterwards")
    assert "Left out of what Telegram brings: poll, it says nothing that is new to anybody (1 so far)." in caplog.messages
    assert not [event for event in station.inbox.events if isinstance(event, PollVoted)]


async def test_a_vote_that_overtakes_the_answer_to_the_send_of_its_poll_is_a_vote(station: Station) -> None:
    provider, ann = await station.ready(), station.bot.person()
    hold = station.bot.hold_next("sendPoll", "after")
    question = Draft(client_id="1", chat_id=str(ann), poll=Poll(question="Tea?", options=("yes", "no")))
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(provider.send(question))
        await hold.arrived.wait()
        ((_, message),) = station.bot.messages.items()
        station.bot.user_votes(message, 1, by=ann)
        # The bot has fetched the vote when it asks for what comes after it, or waits with it.
        hold.let_go.set()
    vote = await station.inbox.wait(PollVoted)
    assert (vote.message_id, vote.sender_id, vote.options) == (sending.result().id, str(ann), ("no",))
