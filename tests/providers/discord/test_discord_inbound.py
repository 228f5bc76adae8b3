"""What Discord tells, in our words."""

from typing import Any

import pytest

from providers.errors import NotFound
from providers.events import ChatChanged, MessageDeleted, MessageEdited, MessageReceived, PollVoted, ReactionChanged
from providers.models import ChatKind, Draft, Media, MediaKind, MessageKind, Poll, TextFormat
from providers.states import InstanceState
from tests.providers.discord.conftest import Station
from tests.standins.discord_api.world import StoredFile

pytestmark = pytest.mark.anyio


async def received(station: Station, text: str = "hello", **fields: Any) -> MessageReceived:
    station.world.write(station.general, station.ann, text, **fields)
    return await station.inbox.message(text)


async def test_a_message_of_a_server_names_channel_and_person(station: Station) -> None:
    await station.ready()
    event = await received(station, "**hello** there")
    assert (event.chat.id, event.chat.title, event.chat.kind) == (station.general, "#general (Works)", ChatKind.GROUP)
    assert (event.message.sender_id, event.message.sender_name, event.message.outgoing) == (station.ann, "Ann", False)
    assert event.message.format is TextFormat.MARKDOWN
    assert event.sender is not None
    assert (event.sender.name, event.sender.username, event.sender.is_bot) == ("Ann", "ann", False)
    assert event.message.raw["content"] == "**hello** there"
    assert not event.message.mentions_me


async def test_a_nickname_of_the_server_is_the_name(station: Station) -> None:
    await station.ready()
    assert (await received(station, member={"nick": "Captain"})).message.sender_name == "Captain"


async def test_an_answer_brings_the_beginning_of_what_it_answers(station: Station) -> None:
    question = station.world.write(station.general, station.ann, "Which **colour** has the fence? " + "x" * 2000)
    await station.ready()
    event = await received(station, "green", reply_to=question["id"])
    assert event.message.reply_to == f"{station.general}:{question['id']}"
    assert event.message.quoted is not None
    assert event.message.quoted.name == "Ann"
    assert event.message.quoted.text.startswith("Which **colour** has the fence?")
    assert len(event.message.quoted.text) < 1100


async def test_a_private_chat_is_called_after_its_person(station: Station) -> None:
    private = station.world.private(station.bot, station.ann)
    await station.ready()
    message = station.world.write(private, station.ann, "psst")
    event = await station.inbox.message("psst")
    assert (event.chat.id, event.chat.title, event.chat.kind) == (f"user:{station.ann}", "Ann", ChatKind.PRIVATE)
    assert event.message.id == f"{private}:{message['id']}"
    assert event.message.chat_id == event.chat.id


async def test_a_private_message_of_ours_that_another_program_sent_is_in_the_same_chat(station: Station) -> None:
    private = station.world.private(station.bot, station.ann)
    await station.ready()
    station.world.post(private, station.bot.id, content="from elsewhere")
    event = await station.inbox.message("from elsewhere")
    assert (event.chat.id, event.message.outgoing, event.client_id) == (f"user:{station.ann}", True, None)


async def test_news_channels_are_channels(station: Station) -> None:
    news = station.world.channel(station.works, "news", kind=5)
    await station.ready()
    station.world.write(news, station.ann, "extra")
    assert (await station.inbox.message("extra")).chat.kind is ChatKind.CHANNEL


async def test_a_thread_is_part_of_its_channel(station: Station) -> None:
    await station.ready()
    thread = station.world.thread(station.general, "aside")
    station.world.write(thread, station.ann, "in the thread")
    event = await station.inbox.message("in the thread")
    assert (event.chat.id, event.message.thread_id) == (station.general, thread)
    assert event.message.id.startswith(f"{thread}:")


async def test_a_thread_that_nobody_told_of_is_looked_up(station: Station) -> None:
    await station.ready()
    thread = station.world.thread(station.general, "joined late")
    station.discord.calls.clear()
    (session,) = station.bot.sessions.values()
    session.dispatch("THREAD_DELETE", {"id": thread, "guild_id": station.works, "parent_id": station.general, "type": 11})
    station.world.write(thread, station.ann, "surprise")
    assert (await station.inbox.message("surprise")).message.thread_id == thread
    assert station.discord.calls_of("get_channel")


async def test_only_the_named_server_and_private_chats_are_seen(station: Station) -> None:
    other = station.world.guild("Other", station.bot)
    lounge, bob = station.world.channel(other, "lounge"), station.world.person("Bob", other)
    private = station.world.private(station.bot, bob)
    provider = await station.ready(guild_id=int(station.works))
    station.world.write(lounge, bob, "not for us")
    station.world.write(private, bob, "for us")
    await station.inbox.message("for us")
    await received(station, "and this")
    assert [event.message.text for event in station.inbox.events if isinstance(event, MessageReceived)] == ["for us", "and this"]
    assert lounge not in {chat.id for chat in await provider.list_chats()}
    with pytest.raises(NotFound, match="another"):
        await provider.history(lounge, before=None, limit=1)


async def test_mentions_of_the_bot_are_told(station: Station) -> None:
    await station.ready()
    station.world.write(station.general, station.ann, f"<@{station.bot.id}> hi")
    assert (await station.inbox.message("@robo hi")).message.mentions_me
    assert not (await received(station, "<@1> hi")).message.mentions_me


async def test_a_poll_is_one(station: Station) -> None:
    await station.ready()
    answers = [{"answer_id": 1, "poll_media": {"text": "yes"}}, {"answer_id": 2, "poll_media": {"emoji": {"name": "👎"}}}]
    event = await received(station, "Tea?", poll={"question": {"text": "Tea?"}, "answers": answers, "allow_multiselect": True})
    assert event.message.poll == Poll(question="Tea?", options=("yes", "👎"), multiple=True)
    assert event.message.kind is MessageKind.POLL


async def test_files_of_all_kinds_are_told(station: Station) -> None:
    provider = await station.ready()
    for mime, kind in {
        "image/png": MediaKind.IMAGE,
        "video/mp4": MediaKind.VIDEO,
        "audio/mpeg": MediaKind.AUDIO,
        "text/plain; charset=utf-8": MediaKind.DOCUMENT,
    }.items():
        event = await received(station, mime, file=StoredFile("a.bin", mime, b"content"))
        (media,) = event.message.media
        assert (media.kind, media.mime, media.size, media.name) == (kind, mime, 7, "a.bin")
        assert (await provider.download(media)).content == b"content"
    voice = await received(station, "voice", file=StoredFile("v.ogg", "audio/ogg", b"hm"), flags=1 << 13)
    assert voice.message.media[0].kind is MediaKind.VOICE


async def test_a_file_of_a_forwarded_message_is_its_file_and_its_text_the_text(station: Station) -> None:
    provider = await station.ready()
    attachment = station.world.attach(StoredFile("f.txt", "text/plain", b"forwarded"), "0")
    snapshot = {"message": {"content": "what was forwarded", "attachments": [attachment], "embeds": []}}
    station.world.write(station.general, station.ann, "", message_snapshots=[snapshot])
    event = await station.inbox.message("what was forwarded")
    assert (await provider.download(event.message.media[0])).content == b"forwarded"


async def test_what_has_no_text_shows_what_it_has(station: Station) -> None:
    await station.ready()
    station.world.write(station.general, station.ann, "", embeds=[{"title": "Build failed", "description": "main is red"}])
    await station.inbox.message("Build failed\nmain is red")
    station.world.write(station.general, station.ann, "", sticker_items=[{"id": "1", "name": "Wave", "format_type": 1}])
    await station.inbox.message("[Sticker: Wave]")


async def test_reports_of_discord_are_sentences(station: Station) -> None:
    await station.ready()
    station.world.post(station.general, station.ann, type=7)
    event = await station.inbox.message("Ann joined the server.")
    assert event.message.kind is MessageKind.SYSTEM
    station.world.post(station.general, station.ann, type=99)
    await station.inbox.message("A message of the type 99.")


async def test_webhooks_and_other_bots_are_bots(station: Station) -> None:
    await station.ready()
    event = await received(station, "deployed", webhook_id="1")
    assert event.sender is not None
    assert event.sender.is_bot


async def test_an_added_preview_is_no_edit(station: Station) -> None:
    await station.ready()
    message = station.world.write(station.general, station.ann, "https://example.org")
    message["embeds"] = [{"type": "link", "url": "https://example.org", "title": "Example"}]
    station.world.tell("MESSAGE_UPDATE", message, 0, station.general)
    station.world.rewrite(station.general, message["id"], content="edited")
    event = await station.inbox.wait(MessageEdited)
    assert event.text == "edited\n[Preview of https://example.org: Example]"
    assert len([event for event in station.inbox.events if isinstance(event, MessageEdited)]) == 1


async def test_many_deleted_at_once_are_each_told(station: Station) -> None:
    await station.ready()
    ids = [station.world.write(station.general, station.ann, f"{number}")["id"] for number in range(3)]
    station.world.erase(station.general, *ids)
    await station.inbox.wait(MessageDeleted, lambda event: event.message_id == f"{station.general}:{ids[-1]}")
    deleted = [event.message_id for event in station.inbox.events if isinstance(event, MessageDeleted)]
    assert deleted == [f"{station.general}:{id}" for id in ids]


async def test_all_reactions_of_a_person_are_told_together(station: Station) -> None:
    await station.ready()
    message = station.world.write(station.general, station.ann, "nice")["id"]
    station.world.react(station.general, message, station.ann, "👍")
    station.world.react(station.general, message, station.ann, "party:123")
    event = await station.inbox.wait(ReactionChanged, lambda event: len(event.emojis) == 2)
    assert event.emojis == ("👍", "party:123")
    station.world.unreact(station.general, message, station.ann, "👍")
    await station.inbox.wait(ReactionChanged, lambda event: event.emojis == ("party:123",))
    where = {"channel_id": station.general, "guild_id": station.works, "message_id": message}
    station.world.tell("MESSAGE_REACTION_REMOVE_EMOJI", {**where, "emoji": station.world.emoji("party:123")}, 0, station.general)
    await station.inbox.wait(ReactionChanged, lambda event: event.emojis == ())


async def test_all_reactions_cleared_are_told_for_each_person(station: Station) -> None:
    await station.ready()
    bob = station.world.person("Bob", station.works)
    message = station.world.write(station.general, station.ann, "nice")["id"]
    for person in (station.ann, bob):
        station.world.react(station.general, message, person, "👍")
    where = {"channel_id": station.general, "guild_id": station.works, "message_id": message}
    station.world.tell("MESSAGE_REACTION_REMOVE_ALL", where, 0, station.general)
    for person in (station.ann, bob):
        await station.inbox.wait(ReactionChanged, lambda event, person=person: (event.sender_id, event.emojis) == (person, ()))


async def test_new_and_renamed_channels_are_told_and_listed(station: Station) -> None:
    provider = await station.ready()
    channel = station.world.channel(station.works, "ideas")
    await station.inbox.wait(ChatChanged, lambda event: (event.chat.id, event.chat.title) == (channel, "#ideas (Works)"))
    station.world.channels[channel]["name"] = "plans"
    station.world.tell("CHANNEL_UPDATE", station.world.channels[channel], 1, channel)
    await station.inbox.wait(ChatChanged, lambda event: event.chat.title == "#plans (Works)")
    assert {chat.title for chat in await provider.list_chats()} == {"#general (Works)", "#plans (Works)"}
    station.world.tell("CHANNEL_DELETE", station.world.channels[channel], 1, channel)
    await received(station, "afterwards")
    assert {chat.title for chat in await provider.list_chats()} == {"#general (Works)"}


async def test_voice_categories_and_forums_hold_or_hold_no_text(station: Station) -> None:
    station.world.channel(station.works, "Category", kind=4)
    station.world.channel(station.works, "talk", kind=2)
    provider = await station.ready()
    await received(station, "go")
    assert {chat.title for chat in await provider.list_chats()} == {"#general (Works)", "#talk (Works)"}


async def test_a_server_the_bot_was_taken_out_of_is_forgotten(station: Station) -> None:
    provider = await station.ready()
    await received(station, "go")
    (session,) = station.bot.sessions.values()
    session.dispatch("GUILD_DELETE", {"id": station.works, "unavailable": True})
    await received(station, "still there")
    assert await provider.list_chats()
    session.dispatch("GUILD_DELETE", {"id": station.works})
    station.world.write(station.world.private(station.bot, station.ann), station.ann, "sorry")
    await station.inbox.message("sorry")
    assert [chat.id for chat in await provider.list_chats()] == [f"user:{station.ann}"]


async def test_chats_are_listed_when_all_servers_were_told_of(station: Station) -> None:
    provider = await station.ready()
    assert {chat.title for chat in await provider.list_chats()} == {"#general (Works)"}


async def test_a_server_with_an_outage_does_not_keep_back_the_list_of_chats(station: Station) -> None:
    provider = await station.ready()
    (session,) = station.bot.sessions.values()
    lost = {"id": "99", "unavailable": True}
    ready = {**session.events[0]["d"], "guilds": [{"id": station.works, "unavailable": True}, lost]}
    session.dispatch("READY", ready)
    session.dispatch("GUILD_CREATE", station.world.guild_told(station.works))
    session.dispatch("GUILD_DELETE", lost)
    await received(station, "go")
    assert {chat.title for chat in await provider.list_chats()} == {"#general (Works)"}


async def test_members_are_listed_only_where_discord_lets_the_bot_see_them(station: Station) -> None:
    bob = station.world.person("Bob", station.works)
    provider = await station.ready()
    await received(station)
    assert {contact.id for contact in await provider.list_contacts()} == {station.ann}
    assert not station.discord.calls_of("list_guild_members")
    station.bot.application["flags"] |= 1 << 15
    await provider.stop()
    station.inbox.events.clear()
    again = await station.ready()
    await received(station, "hello again")
    assert {station.ann, bob} <= {contact.id for contact in await again.list_contacts()}


async def test_a_pressed_button_is_answered_whoever_pressed_it(station: Station) -> None:
    private = station.world.private(station.bot, station.ann)
    await station.ready()
    components = [{"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}]
    message = station.world.post(private, station.bot.id, content="Ready?", components=components)
    press = station.world.press(private, message["id"], station.ann, {"component_type": 2, "custom_id": "go"})
    event = await station.inbox.message("Go")
    assert (event.message.chosen, event.message.reply_to, event.chat.id) == ("go", f"{private}:{message['id']}", f"user:{station.ann}")
    assert "press-token" not in f"{event}"
    await station.discord.until(lambda: press in station.world.answered)


async def test_a_press_that_cannot_be_answered_any_more_stops_nothing(station: Station) -> None:
    await station.ready()
    components = [{"type": 1, "components": [{"type": 3, "custom_id": "choices", "options": [{"label": "Tea", "value": "t"}]}]}]
    message = station.world.post(station.general, station.bot.id, content="?", components=components)
    press = station.world.press(station.general, message["id"], station.ann, {"component_type": 3, "custom_id": "choices", "values": ["t"]})
    station.world.presses.pop(press, None)
    assert (await station.inbox.message("Tea")).message.chosen == "t"
    await received(station, "goes on")


async def test_a_huge_message_is_kept_without_its_raw_form(station: Station) -> None:
    await station.ready()
    station.world.write(station.general, station.ann, "big", embeds=[{"description": "x" * 70_000}])
    event = await station.inbox.wait(MessageReceived)
    assert set(event.message.raw) == {"id", "left_out"}


@pytest.mark.parametrize("ref", ["x", "1:2", "1:2:3:4", "a:b:c", ""])
async def test_a_file_of_no_message_is_not_found(station: Station, ref: str) -> None:
    with pytest.raises(NotFound):
        await station.make().download(Media(kind=MediaKind.IMAGE, ref=ref))


async def test_an_event_of_which_nothing_is_made_is_counted_and_logged_with_the_reason(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="providers.kit.left_out")
    await station.ready()
    for kind in ("CHANNEL_PINS_UPDATE", "SOMETHING_NEW", "SOMETHING_NEW"):
        station.world.tell(kind, {"channel_id": station.general}, 0, station.general)
    await received(station, "and a message")
    assert "Left out of what Discord brings: CHANNEL_PINS_UPDATE, nothing here is made of it (1 so far)." in caplog.messages
    assert "Left out of what Discord brings: SOMETHING_NEW, nothing here is made of it (2 so far)." in caplog.messages


async def test_events_before_ready_do_not_hurt(station: Station) -> None:
    hold = station.discord.faults.hold_next("get_bot_gateway")
    await station.start()
    await hold.arrived.wait()
    station.world.write(station.general, station.ann, "early")
    hold.let_go.set()
    await station.inbox.state(InstanceState.READY)
    await received(station, "late")


async def test_a_forward_names_its_channel_and_keeps_its_embeds_and_stickers(station: Station) -> None:
    other = station.world.channel(station.works, "news")
    await station.ready()
    inner = {
        "content": "", "attachments": [], "timestamp": "2026-09-20T10:00:00+00:00",
        "embeds": [{"type": "rich", "title": "Frost", "fields": [{"name": "Tonight", "value": "-4"}]}],
        "sticker_items": [{"id": "1", "name": "Brr", "format_type": 1}],
    }  # fmt: skip
    fields = {"message_snapshots": [{"message": inner}], "message_reference": {"type": 1, "channel_id": other, "message_id": "1"}}
    station.world.post(station.general, station.ann, content="Look", **fields)
    event = await station.inbox.message("Look\nForwarded:\nFrost\nTonight: -4\n[Sticker: Brr]")
    assert event.message.forwarded is not None
    assert (event.message.forwarded.name, event.message.forwarded.id) == ("#news", other)


async def test_components_of_every_kind_are_read(station: Station) -> None:
    await station.ready()
    components = [
        {"type": 17, "components": [
            {"type": 9, "components": [{"type": 10, "content": "# Order 55"}],
             "accessory": {"type": 11, "media": {"url": "x"}, "description": "a crate"}},
            {"type": 14},
            {"type": 12, "items": [{"media": {"url": "https://img.example.com/1.png"}}]},
            {"type": 13, "file": {"url": "attachment://list.pdf"}, "name": "list.pdf"},
            {"type": 1, "components": [{"type": 2, "style": 1, "label": "Ship", "custom_id": "s"}, {"type": 2, "style": 5, "label": "Site", "url": "https://x"}]},
            {"type": 1, "components": [{"type": 3, "custom_id": "m", "placeholder": "Which?", "options": [{"label": "Saw", "value": "s"}]}]},
        ]},
        {"type": 99, "content": "something new"},
    ]  # fmt: skip
    station.world.write(station.general, station.ann, "", components=components, flags=1 << 15)
    await station.inbox.message(
        "# Order 55\n[Picture: a crate]\n[Picture: https://img.example.com/1.png]\n[File: list.pdf]\n"
        "[Button: Ship]\n[Button: Site https://x]\n[Menu: Which?: Saw]\nsomething new"
    )


async def test_what_an_app_writes_later_replaces_what_it_announced(station: Station) -> None:
    await station.ready()
    message = station.world.post(
        station.general, station.ann, type=20, flags=1 << 7, interaction_metadata={"name": "ask", "user": station.world.users[station.ann]}
    )
    event = await station.inbox.message("The app is working on its answer.")
    assert event.message.quoted is not None
    assert event.message.quoted.text == "/ask"
    message |= {"content": "Nine to five.", "flags": 0}
    station.world.tell("MESSAGE_UPDATE", message, 0, station.general)
    assert (await station.inbox.wait(MessageEdited)).text == "Nine to five."


async def test_a_preview_added_to_an_edited_message_is_no_second_edit(station: Station) -> None:
    await station.ready()
    message = station.world.write(station.general, station.ann, "see")
    station.world.rewrite(station.general, message["id"], content="see https://example.org")
    await station.inbox.wait(MessageEdited)
    message["embeds"] = [{"type": "article", "url": "https://example.org", "title": "Example"}]
    station.world.tell("MESSAGE_UPDATE", message, 0, station.general)
    await received(station, "afterwards")
    assert len([event for event in station.inbox.events if isinstance(event, MessageEdited)]) == 1


async def test_marks_are_read_as_discord_shows_them(station: Station) -> None:
    await station.ready()
    bob = station.world.person("Bob", station.works)
    station.world.write(station.general, station.ann, f"<@{bob}> in <#{station.general}> </ask:1> <:fire:2> <t:1790000000:R> <#9> `<@{bob}>`")
    await station.inbox.message(f"@Bob in #general /ask :fire: 2026-09-21 14:13 UTC <#9> `<@{bob}>`")


async def test_a_role_that_discord_made_for_the_bot_means_the_bot(station: Station) -> None:
    own = {"id": "81", "name": "Robo", "tags": {"bot_id": station.bot.id}}
    station.world.guilds[station.works]["roles"] = [own, {"id": "82", "name": "Gardeners"}]
    await station.ready()
    station.world.write(station.general, station.ann, "<@&81> one", mention_roles=["81"])
    assert (await station.inbox.message("@Robo one")).message.mentions_me
    station.world.write(station.general, station.ann, "<@&82> two", mention_roles=["82"])
    assert not (await station.inbox.message("@Gardeners two")).message.mentions_me


@pytest.mark.parametrize(
    ("kind", "data", "text", "chosen"),
    [
        (2, {"name": "mill", "type": 1, "options": [{"name": "set", "type": 1, "options": [{"name": "hours", "type": 4, "value": 9}]}]},
         "/mill set hours: 9", None),
        (2, {"name": "Report", "type": 2, "target_id": "7", "resolved": {"users": {"7": {"id": "7", "username": "bob"}}}}, "Report: bob", None),
        (5, {"custom_id": "form", "components": [{"type": 18, "component": {"type": 4, "custom_id": "name", "value": "Ann"}}]}, "name: Ann", "form"),
    ],
)  # fmt: skip
async def test_commands_and_dialogs_are_messages_and_are_answered(
    station: Station, kind: int, data: dict[str, Any], text: str, chosen: str | None
) -> None:
    await station.ready()
    id = station.world.interact(station.general, station.ann, kind, data)
    event = await station.inbox.message(text)
    assert (event.message.chosen, event.message.mentions_me, event.message.sender_name) == (chosen, True, "Ann")
    await station.discord.until(lambda: id in station.world.answered)


async def test_the_typing_of_a_command_is_answered_and_is_no_message(station: Station) -> None:
    await station.ready()
    id = station.world.interact(station.general, station.ann, 4, {"name": "ask", "options": []})
    await station.discord.until(lambda: id in station.world.answered)
    await received(station, "afterwards")
    assert len([event for event in station.inbox.events if isinstance(event, MessageReceived)]) == 1


async def test_an_answer_to_a_command_goes_out_without_a_reply(station: Station) -> None:
    provider = await station.ready()
    station.world.interact(station.general, station.ann, 2, {"name": "ask", "type": 1})
    event = await station.inbox.message("/ask")
    await provider.send(Draft(client_id="1", chat_id=station.general, text="yes", reply_to=event.message.id))
    assert "message_reference" not in station.discord.calls_of("create_message")[-1].body


async def test_an_interaction_is_answered_in_time_though_the_store_is_away(station: Station) -> None:
    await station.ready()
    station.inbox.refuse(1_000)
    id = station.world.interact(station.general, station.ann, 2, {"name": "ask", "type": 1})
    await station.discord.until(lambda: id in station.world.answered)
    station.inbox.refuse(0)
    await station.inbox.message("/ask")


async def test_votes_of_a_person_are_told_together(station: Station) -> None:
    await station.ready()
    answers = [{"answer_id": 1, "poll_media": {"text": "tea"}}, {"answer_id": 2, "poll_media": {"text": "milk"}}]
    poll = {"question": {"text": "What?"}, "answers": answers, "allow_multiselect": True}
    message = station.world.write(station.general, station.ann, "", poll=poll)["id"]
    for answer in (1, 2):
        station.world.vote(station.general, message, station.ann, answer)
    both = await station.inbox.wait(PollVoted, lambda event: event.options == ("tea", "milk"))
    assert (both.message_id, both.sender_id, both.sender_name) == (f"{station.general}:{message}", station.ann, "Ann")
    station.world.vote(station.general, message, station.ann, 1, taken_back=True)
    await station.inbox.wait(PollVoted, lambda event: event.options == ("milk",))


async def test_what_comes_from_a_channel_that_discord_does_not_show_is_in_a_chat_by_its_number(station: Station) -> None:
    """A private thread, or a channel whose rights were changed meanwhile: the message came whole."""
    await station.ready()
    hidden = {**station.world.write(station.general, station.ann, "known"), "id": "1300000000000000001", "channel_id": "700", "content": "still read"}
    (session,) = station.bot.sessions.values()
    session.dispatch("MESSAGE_CREATE", {**hidden, "guild_id": station.works})
    event = await station.inbox.message("still read")
    assert (event.chat.id, event.message.sender_id, event.message.id) == ("700", station.ann, "700:1300000000000000001")
    vote = {"channel_id": "700", "message_id": "5", "user_id": station.ann, "answer_id": 2, "guild_id": station.works}
    session.dispatch("MESSAGE_POLL_VOTE_ADD", vote)
    assert (await station.inbox.wait(PollVoted)).options == ("option 2",)


async def test_a_pin_names_the_message_and_the_end_of_a_poll_its_result(station: Station) -> None:
    await station.ready()
    message = station.world.write(station.general, station.ann, "rules")["id"]
    reference = {"type": 0, "channel_id": station.general, "message_id": message}
    station.world.post(station.general, station.ann, type=6, message_reference=reference)
    assert (await station.inbox.message("Ann pinned a message.")).message.reply_to == f"{station.general}:{message}"
    fields = {"poll_question_text": "Colour?", "total_votes": "4"}
    embeds = [{"type": "poll_result", "fields": [{"name": name, "value": value} for name, value in fields.items()]}]
    station.world.post(station.general, station.ann, type=46, embeds=embeds)
    await station.inbox.message("The poll “Colour?” has ended without a winner; votes: 4.")
