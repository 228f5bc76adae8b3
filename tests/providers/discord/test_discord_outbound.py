"""What we send, as it arrives at Discord."""

from base64 import b64decode
from typing import Any

import pytest

from providers.capabilities import Capability
from providers.errors import Forbidden, InvalidRequest, MessengerError, NotFound, RateLimited, Unreachable
from providers.events import MessageEdited, MessageReceived, ReactionChanged, StateChanged
from providers.models import Choice, Draft, MediaKind, Poll, TextFormat, Upload
from tests.providers.discord.conftest import Station
from tests.providers.harness import PICTURE, PNG
from tests.standins.discord_api.rest import Call

pytestmark = pytest.mark.anyio


def draft(station: Station, text: str = "hello", **fields: Any) -> Draft:
    return Draft.model_validate({"client_id": "17", "chat_id": station.general, "text": text, **fields})


async def sent(station: Station, text: str = "hello", **fields: Any) -> Call:
    """The call that the draft became."""
    provider, wanted = station.make(), draft(station, text, **fields)
    provider.check(wanted)
    await provider.send(wanted)
    return station.discord.calls_of("create_message")[-1]


async def test_a_long_text_goes_out_in_parts_and_is_one_message_of_ours(station: Station) -> None:
    provider = await station.ready()
    question = station.world.write(station.general, station.ann, "and?")
    text = "\n\n".join(f"paragraph {number} " + "*" * 700 for number in range(5))
    wanted = draft(station, text, reply_to=f"{station.general}:{question['id']}", choices=(Choice(id="m", title="More"),), extra={"split": True})
    provider.check(wanted)
    made = await provider.send(wanted)
    bodies = [call.body for call in station.discord.calls_of("create_message")]
    assert "\n\n".join(body["content"] for body in bodies).replace("\\", "") == text
    assert all(len(body["content"]) <= 2000 for body in bodies)
    assert all("message_reference" in body for body in bodies)
    assert ["components" in body for body in bodies] == [*[False] * (len(bodies) - 1), True]
    assert not any("split" in body for body in bodies)
    assert len(made.parts) == len({body["nonce"] for body in bodies}) == len(bodies) > 1
    station.world.write(station.general, station.ann, "thanks")
    await station.inbox.message("thanks")
    told = [event.message for event in station.inbox.events if isinstance(event, MessageReceived)]
    assert not any(message.outgoing for message in told)


async def test_a_text_of_too_many_parts_is_refused(station: Station) -> None:
    with pytest.raises(InvalidRequest, match="21 messages"):
        station.make().check(draft(station, "x" * 40_001, extra={"split": True}))


async def test_a_text_that_is_too_long_is_told_of_the_way_out(station: Station) -> None:
    with pytest.raises(InvalidRequest) as caught:
        station.make().check(draft(station, "x" * 2001))
    assert "split" in (caught.value.hint or "")


async def test_a_send_that_broke_off_says_what_went_out(station: Station) -> None:
    provider = station.make()
    hold = station.discord.faults.hold_next("create_message")
    hold.let_go.set()
    station.discord.faults.fail_next("create_message", 403, {"message": "Missing Permissions", "code": 50013})
    with pytest.raises(Unreachable, match="1 of 2 messages went out") as caught:
        await provider.send(draft(station, "x" * 2000 + " " + "y" * 10, extra={"split": True}))
    assert caught.value.maybe_sent


async def test_mentions_call_nobody_unless_extra_says_so(station: Station) -> None:
    assert (await sent(station, "@everyone look")).body["allowed_mentions"] == {"parse": []}
    allowed = {"parse": ["users"]}
    assert (await sent(station, "<@1> look", client_id="18", extra={"allowed_mentions": allowed})).body["allowed_mentions"] == allowed


async def test_a_plain_text_is_shown_as_it_was_written(station: Station) -> None:
    call = await sent(station, "snake_case *stars* https://example.org/a_b_c")
    assert call.body["content"] == r"snake\_case \*stars\* https://example.org/a_b_c"


async def test_markdown_goes_out_as_it_is(station: Station) -> None:
    assert (await sent(station, "**bold** _it_", format=TextFormat.MARKDOWN)).body["content"] == "**bold** _it_"


async def test_html_is_refused(station: Station) -> None:
    with pytest.raises(InvalidRequest, match="no HTML"):
        station.make().check(draft(station, "<b>bold</b>", format=TextFormat.HTML))


async def test_a_plain_text_counts_with_its_backslashes(station: Station) -> None:
    provider = station.make()
    provider.check(draft(station, "*" * 1000))
    provider.check(draft(station, "*" * 2000, format=TextFormat.MARKDOWN))
    with pytest.raises(InvalidRequest, match="2002 characters"):
        provider.check(draft(station, "*" * 1001))


async def test_the_nonce_makes_one_message_of_two_sends(station: Station) -> None:
    provider = station.make()
    first, second = await provider.send(draft(station)), await provider.send(draft(station))
    assert first.id == second.id
    assert len(station.world.messages[station.general]) == 1
    nonces = {call.body["nonce"] for call in station.discord.calls_of("create_message")}
    assert len(nonces) == 1
    assert all(call.body["enforce_nonce"] for call in station.discord.calls_of("create_message"))


async def test_two_instances_of_one_bot_do_not_share_nonces(station: Station) -> None:
    first = await station.make(instance="inst-1").send(draft(station))
    second = await station.make(instance="inst-2").send(draft(station))
    assert first.id != second.id


@pytest.mark.parametrize("client_id", ["17", str(2**62), "x" * 19, "a-client-id-that-is-much-longer-than-25-characters"])
async def test_a_nonce_fits_and_comes_back_with_the_echo(station: Station, client_id: str) -> None:
    provider = await station.ready()
    made = await provider.send(draft(station, "mine", client_id=client_id))
    event = await station.inbox.message("mine")
    assert (event.message.id, event.message.outgoing) == (made.id, True)
    assert len(station.discord.calls_of("create_message")[0].body["nonce"]) <= 25
    assert event.client_id == (client_id if len(client_id) <= 19 else None)


async def test_the_echo_for_another_instance_does_not_settle_a_send(station: Station) -> None:
    await station.ready()
    await station.make(instance="inst-2").send(draft(station, "of the other"))
    event = await station.inbox.message("of the other")
    assert (event.message.outgoing, event.client_id) == (True, None)


async def test_a_person_is_written_to_in_their_private_chat(station: Station) -> None:
    provider = station.make()
    _, made = [await provider.send(draft(station, text, client_id=text, chat_id=f"user:{station.ann}")) for text in ("0", "1")]
    assert made.chat_id == f"user:{station.ann}"
    assert len(station.discord.calls_of("create_dm")) == 1
    private = station.world.private(station.bot, station.ann)
    assert [message["content"] for message in station.world.messages[private].values()] == ["0", "1"]
    await provider.edit(made.chat_id, made.id, "edited", TextFormat.PLAIN)
    assert [message.text for message in await provider.history(made.chat_id, before=None, limit=5)] == ["edited", "0"]


@pytest.mark.parametrize(("to", "chat"), [("<#12>", "12"), ("<@34>", "user:34"), ("<@!34>", "user:34"), ("12", "12"), ("user:5", "user:5")])
async def test_chats_may_be_named_as_discord_writes_them(station: Station, to: str, chat: str) -> None:
    assert station.make().address(to) == chat


async def test_a_person_who_takes_no_messages_says_why(station: Station) -> None:
    station.world.closed.add(station.ann)
    with pytest.raises(Forbidden, match="Cannot send messages to this user") as caught:
        await station.make().send(draft(station, chat_id=f"user:{station.ann}"))
    assert "share a server" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (403, 340001, Forbidden, "limited what this account may do"),
        (403, 40333, Forbidden, "another network"),
        (400, 50006, InvalidRequest, "Give a text"),
        (403, 50173, Forbidden, "Send Voice Messages"),
        (403, 90001, Forbidden, "blocked the bot"),
        (403, 400001, Forbidden, "send a link"),
        (400, 50021, InvalidRequest, "somebody wrote"),
        (400, 520002, InvalidRequest, "list_chats"),
        (403, 60003, Forbidden, "two-factor"),
        (404, 10004, NotFound, "invite the bot"),
        (499, 0, InvalidRequest, "Change what these words name"),
    ],
)
async def test_a_refusal_says_what_to_do(station: Station, status: int, code: int, kind: type[MessengerError], hint: str) -> None:
    station.discord.faults.fail_next("create_message", status, {"message": "In Discord's words", "code": code})
    with pytest.raises(kind, match="In Discord's words") as caught:
        await station.make().send(draft(station))
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(("code", "of_chat"), [(20028, True), (20029, False), (40003, False), (30046, True)])
async def test_a_limit_that_passes_is_waited_for(station: Station, code: int, of_chat: bool) -> None:
    station.discord.faults.fail_next("create_message", 403, {"message": "Too many writes", "code": code})
    with pytest.raises(RateLimited, match="Too many writes") as caught:
        await station.make().send(draft(station))
    assert (caught.value.retry_after, caught.value.of_chat) == (30, of_chat)


async def test_a_thread_that_is_gone_is_not_told_as_a_missing_chat(station: Station) -> None:
    with pytest.raises(NotFound, match="thread '77'") as caught:
        await station.make().send(draft(station, thread_id="77"))
    assert "threads of a chat" in (caught.value.hint or "")


@pytest.mark.parametrize("chat", ["user:1", "12345", "user:x", "general"])
async def test_unknown_chats_and_people_name_the_next_step(station: Station, chat: str) -> None:
    with pytest.raises(NotFound) as caught:
        await station.make().send(draft(station, chat_id=chat))
    assert "list_c" in (caught.value.hint or "")


async def test_a_file_goes_out_whole_with_its_caption(station: Station) -> None:
    call = await sent(station, "a dot", upload=PICTURE)
    assert call.body["attachments"] == [{"id": "0", "filename": "dot.png"}]
    (file,) = call.files.values()
    assert (file.name, file.mime, file.content) == ("dot.png", "image/png", PNG)
    assert call.body["content"] == "a dot"


@pytest.mark.parametrize(("level", "mebibytes"), [(0, 10), (1, 10), (2, 50), (3, 100)])
async def test_a_file_may_be_as_large_as_the_boosts_of_the_server_allow(station: Station, level: int, mebibytes: int) -> None:
    station.world.guilds[station.works]["premium_tier"] = level
    provider = await station.ready()
    await provider.list_chats()
    just, more = (
        draft(station, upload=Upload(kind=MediaKind.DOCUMENT, content=bytes(mebibytes * 2**20 + surplus), mime="application/zip", name="a.zip"))
        for surplus in (0, 1)
    )
    provider.check(just)
    with pytest.raises(InvalidRequest, match=f"takes {mebibytes * 2**20}"):
        provider.check(more)


async def test_a_file_too_large_for_a_server_that_is_not_known_is_refused_in_discords_words(station: Station) -> None:
    upload = Upload(kind=MediaKind.DOCUMENT, content=bytes(10 * 2**20 + 1), mime="application/zip", name="a.zip")
    with pytest.raises(InvalidRequest, match="Request entity too large") as caught:
        await station.make().send(draft(station, upload=upload))
    assert "10 MB" in (caught.value.hint or "")


async def test_a_reply_notifies_the_person_who_is_answered_and_nobody_else(station: Station) -> None:
    question = station.world.write(station.general, station.ann, "who?")
    call = await sent(station, "@everyone me", reply_to=f"{station.general}:{question['id']}")
    assert call.body["allowed_mentions"] == {"parse": [], "replied_user": True}


async def test_everybody_is_called_where_the_draft_says_so(station: Station) -> None:
    assert "everyone" in (await sent(station, "@everyone look", mass_mentions=True)).body["allowed_mentions"]["parse"]


@pytest.mark.parametrize("allowed", [{"parse": ["everyone"]}, {"parse": ["roles"]}, {"roles": ["5"]}, {"parse": ["users", "roles"]}, None, []])
async def test_mentions_of_many_are_no_field_of_the_platform(station: Station, allowed: object) -> None:
    with pytest.raises(InvalidRequest, match="allowed_mentions") as caught:
        station.make().check(draft(station, extra={"allowed_mentions": allowed}))
    assert "mass_mentions" in (caught.value.hint or "")
    station.make().check(draft(station, extra={"allowed_mentions": allowed}, mass_mentions=True))


async def test_a_person_may_be_called_by_a_field_of_the_platform(station: Station) -> None:
    allowed = {"users": [station.ann]}
    assert (await sent(station, f"<@{station.ann}>", extra={"allowed_mentions": allowed})).body["allowed_mentions"] == allowed


def forum(station: Station, **fields: Any) -> str:
    tags = [{"id": "71", "name": "Bug", "moderated": False}, {"id": "72", "name": "Idea", "moderated": False}]
    return station.world.channel(station.works, "questions", kind=15, available_tags=tags, **fields)


async def test_a_message_with_a_title_is_a_new_post_and_answers_to_it_are_in_its_thread(station: Station) -> None:
    questions = forum(station)
    provider = await station.ready()
    await provider.list_chats()
    wanted = draft(station, "It leans.", chat_id=questions, extra={"thread_name": "Fence", "applied_tags": ["bug"]})
    provider.check(wanted)
    made = await provider.send(wanted)
    (call,) = station.discord.calls_of("create_thread")
    assert (call.body["name"], call.body["applied_tags"], call.body["message"]["content"]) == ("Fence", ["71"], "It leans.")
    assert call.body["message"]["allowed_mentions"] == {"parse": []}
    assert (made.chat_id, made.id.split(":")[0]) == (questions, made.thread_id)
    station.world.write(made.thread_id or "", station.ann, "Straighten it")
    answer = await station.inbox.message("Straighten it")
    assert (answer.chat.id, answer.message.thread_id, answer.message.thread_title) == (questions, made.thread_id, "Fence [Bug]")


async def test_a_long_post_goes_on_in_its_own_thread(station: Station) -> None:
    questions = forum(station)
    text = "\n\n".join("word " * 300 for _ in range(3))
    made = await station.make().send(draft(station, text, chat_id=questions, extra={"thread_name": "Long", "split": True}))
    assert len(made.parts) > 1
    assert {part.split(":")[0] for part in made.parts} == {made.thread_id}


async def test_a_post_whose_answer_was_lost_is_not_created_again(station: Station) -> None:
    questions = forum(station)
    station.discord.faults.drop_next("create_thread", "after")
    with pytest.raises(Unreachable) as caught:
        await station.make().send(draft(station, chat_id=questions, extra={"thread_name": "Once"}))
    assert caught.value.maybe_sent
    assert len(station.discord.calls_of("create_thread")) == 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [({}, "forum"), ({"thread_name": " "}, "title"), ({"thread_name": "x" * 101}, "100"), ({"thread_name": "x"}, "a tag"),
     ({"thread_name": "x", "applied_tags": ["Rumour"]}, "no tag Rumour")],
)  # fmt: skip
async def test_what_a_forum_would_refuse_is_refused_without_asking(station: Station, extra: dict[str, Any], words: str) -> None:
    questions = forum(station, flags=1 << 4)
    provider = await station.ready()
    await provider.list_chats()
    wanted = draft(station, chat_id=questions, extra=extra)
    with pytest.raises(InvalidRequest, match=words):
        provider.check(wanted)
    with pytest.raises(InvalidRequest, match=words):
        await station.make().send(wanted)
    assert not station.discord.calls_of("create_message")
    assert not station.discord.calls_of("create_thread")


async def test_only_a_forum_takes_a_title(station: Station) -> None:
    with pytest.raises(InvalidRequest, match="forum"):
        await station.make().send(draft(station, extra={"thread_name": "Fence"}))


async def test_a_missing_permission_is_named(station: Station) -> None:
    station.world.denied.add((station.general, "create_message"))
    with pytest.raises(Forbidden) as caught:
        await station.make().send(draft(station, upload=PICTURE))
    assert "Attach Files" in (caught.value.hint or "")


async def test_slow_mode_says_so_and_how_long(station: Station) -> None:
    words = {"message": "This action cannot be performed due to slowmode rate limit.", "code": 20016}
    station.discord.faults.fail_next("create_message", 403, words, {"Retry-After": "7"})
    with pytest.raises(RateLimited, match="slow mode") as caught:
        await station.make().send(draft(station))
    assert caught.value.retry_after == 7


async def test_addresses_are_resolved_as_people_write_them(station: Station) -> None:
    thread = station.world.thread(station.general, "aside")
    bob = station.world.person("Bob", station.works)
    provider = await station.ready()
    station.world.write(station.general, station.ann, "here")
    await station.inbox.message("here")
    general, person = (station.general, None), (f"user:{station.ann}", None)
    for to, place in {
        station.general: general,
        "#general": general,
        f"<#{station.general}>": general,
        f"https://discord.com/channels/{station.works}/{station.general}/1": general,
        thread: (station.general, thread),
        "@ann": person,
        station.ann: person,
        bob: (f"user:{bob}", None),
    }.items():
        found = await provider.resolve(to)
        assert (found.chat_id, found.thread_id) == place
    for to in ("#nowhere", "@nobody", "99", "general"):
        with pytest.raises(NotFound) as caught:
            await provider.resolve(to)
        assert "list_c" in (caught.value.hint or "")


async def test_a_thread_is_written_to_and_read_by_its_own_id(station: Station) -> None:
    thread = station.world.thread(station.general, "aside")
    station.world.write(thread, station.ann, "older words")
    provider = station.make()
    made = await provider.send(draft(station, chat_id=thread))
    assert (made.chat_id, made.thread_id) == (station.general, thread)
    found = await provider.history(thread, before=None, limit=5)
    assert [(message.text, message.chat_id, message.thread_id) for message in found][-1] == ("older words", station.general, thread)


async def test_the_history_of_a_forum_is_that_of_its_posts(station: Station) -> None:
    questions = forum(station)
    provider = await station.ready()
    posts = [station.world.channel(station.works, title, kind=11, parent=questions) for title in ("one", "two")]
    for post in posts:
        station.world.write(post, station.ann, f"in {post}")
        await station.inbox.message(f"in {post}")
    found = await provider.history(questions, before=None, limit=5)
    assert [(message.thread_id, message.thread_title) for message in found] == [(posts[1], "two"), (posts[0], "one")]


async def test_a_reply_in_a_thread_stays_in_the_thread(station: Station) -> None:
    thread = station.world.thread(station.general, "aside")
    question = station.world.write(thread, station.ann, "who?")
    call = await sent(station, "me", reply_to=f"{thread}:{question['id']}")
    assert call.path["channel_id"] == thread
    assert call.body["message_reference"]["message_id"] == question["id"]


async def test_a_thread_or_message_of_another_chat_is_refused(station: Station) -> None:
    other = station.world.channel(station.works, "other")
    thread, message = station.world.thread(other, "aside"), station.world.write(other, station.ann, "hi")
    for fields in ({"thread_id": thread}, {"reply_to": f"{other}:{message['id']}"}, {"thread_id": "x"}, {"thread_id": "999"}):
        with pytest.raises(NotFound):
            await station.make().send(draft(station, **fields))
    assert not station.discord.calls_of("create_message")


async def test_a_reply_to_a_message_that_is_gone_is_not_found(station: Station) -> None:
    with pytest.raises(NotFound, match="Unknown message"):
        await station.make().send(draft(station, reply_to=f"{station.general}:1"))


async def test_silent_messages_make_no_noise(station: Station) -> None:
    assert (await sent(station, silent=True, extra={"flags": 4})).body["flags"] == 4 | 1 << 12


async def test_extra_goes_to_discord_as_it_is(station: Station) -> None:
    embed = {"title": "Build", "description": "green", "color": 65280}
    call = await sent(station, "", extra={"embeds": [embed]})
    assert call.body["embeds"] == [embed]
    assert call.message is not None


@pytest.mark.parametrize("embeds", ["x", ["x"], [{}] * 11, [{"title": "a" * 3000, "fields": [{"name": "b", "value": "c" * 3000}]}]])
async def test_embeds_that_discord_would_refuse_are_refused_without_asking(station: Station, embeds: object) -> None:
    with pytest.raises(InvalidRequest, match=r"extra\.embeds is a list of at most 10 embeds, with 6000 characters"):
        station.make().check(draft(station, extra={"embeds": embeds}))


def recording(*packets: bytes, samples: int = 96_000) -> bytes:
    """An Ogg Opus of two seconds, without checksums: a page for each head, and one with the sound."""

    def page(position: int, *parts: bytes) -> bytes:
        sizes = b"".join(b"\xff" * (len(part) // 255) + bytes([len(part) % 255]) for part in parts)
        return b"OggS\0\0" + position.to_bytes(8, "little") + bytes(12) + bytes([len(sizes)]) + sizes + b"".join(parts)

    head = b"OpusHead\x01\x01" + (312).to_bytes(2, "little") + bytes(7)
    return page(0, head) + page(0, b"OpusTags" + bytes(8)) + page(samples + 312, *packets)


async def test_a_recording_goes_out_as_a_voice_message_and_alone(station: Station) -> None:
    voice = Upload(kind=MediaKind.VOICE, content=recording(b"a" * 10, b"b" * 300, b"c" * 150), mime="audio/ogg", name="voice.ogg")
    call = await sent(station, "", upload=voice)
    assert call.body["flags"] & 1 << 13
    (attachment,) = call.body["attachments"]
    assert (attachment["duration_secs"], list(b64decode(attachment["waveform"]))) == (2.0, [8, 255, 127])
    with pytest.raises(InvalidRequest, match="nothing beside a voice message"):
        station.make().check(draft(station, "listen!", upload=voice))


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", recording(b"x")[:60], recording(b"x").replace(b"OpusHead", b"\x01vorbis.")])
async def test_a_recording_of_another_form_goes_out_as_a_file(station: Station, content: bytes) -> None:
    call = await sent(station, "listen", upload=Upload(kind=MediaKind.VOICE, content=content or b"x", mime="audio/ogg", name="voice.ogg"))
    assert call.body["attachments"] == [{"id": "0", "filename": "voice.ogg"}]


async def test_a_search_waits_until_discord_has_prepared_the_server_and_finds_no_private_chats(station: Station) -> None:
    station.world.write(station.general, station.ann, "the fence is green")
    station.world.unindexed.add(station.works)
    provider = await station.ready()
    with pytest.raises(RateLimited, match="prepares") as caught:
        await provider.search("fence", chat_id=None, limit=30)
    assert caught.value.retry_after == 2
    (found,) = await provider.search("fence", chat_id=None, limit=30)
    assert (found.message.text, found.chat.title) == ("the fence is green", "#general (Works)")
    with pytest.raises(InvalidRequest, match="not private chats"):
        await provider.search("fence", chat_id=f"user:{station.ann}", limit=30)


async def test_what_no_role_of_the_bot_allows_is_named(station: Station) -> None:
    everyone = {"id": station.works, "name": "@everyone", "permissions": str(1 << 10 | 1 << 11 | 1 << 16)}
    station.world.guilds[station.works]["roles"] = [everyone]
    station.bot.application["flags"] = 0
    provider = await station.start()
    await station.inbox.wait(StateChanged, lambda state: "Message Content" in (state.reason or ""))
    await provider.list_chats()
    lacking = await provider.lacking()
    assert lacking.keys() > {Capability.REACT, Capability.MEDIA, Capability.PIN, Capability.THREADS, Capability.POLL}
    assert Capability.HISTORY not in lacking
    assert "Attach Files" in lacking[Capability.MEDIA]
    assert "Message Content intent" in lacking[Capability.GROUP_MESSAGES]


@pytest.mark.parametrize("name", ["content", "nonce", "enforce_nonce", "message_reference", "attachments", "poll"])
async def test_extra_cannot_say_what_the_draft_says(station: Station, name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        station.make().check(draft(station, extra={name: "x"}))


@pytest.mark.parametrize(
    "poll", [Poll(question="x" * 301, options=("a", "b")), Poll(question="x", options=("a", "b" * 56)), Poll(question="x", options=("a",) * 11)]
)
async def test_a_poll_too_large_for_discord_is_refused(station: Station, poll: Poll) -> None:
    with pytest.raises(InvalidRequest, match="300"):
        station.make().check(draft(station, "", poll=poll))


async def test_a_poll_of_ours_comes_back_as_one(station: Station) -> None:
    provider = await station.ready()
    poll = Poll(question="Tea?", options=("yes", "no"))
    await provider.send(draft(station, "", poll=poll))
    event = await station.inbox.wait(MessageReceived, lambda event: event.message.poll is not None)
    assert event.message.poll == poll


async def test_many_choices_or_described_ones_are_a_menu(station: Station) -> None:
    choices = tuple(Choice(id=f"{number}", title=f"Tea {number}") for number in range(6))
    (row,) = (await sent(station, "Tea?", choices=choices)).body["components"]
    assert [option["label"] for option in row["components"][0]["options"]] == [f"Tea {number}" for number in range(6)]
    (row,) = (await sent(station, "Tea?", client_id="18", choices=(Choice(id="t", title="Tea", description="green"),))).body["components"]
    assert row["components"][0]["options"] == [{"label": "Tea", "value": "t", "description": "green"}]


@pytest.mark.parametrize("choices", [(Choice(id="x" * 101, title="Tea"),), (Choice(id="t", title="x" * 81),), (Choice(id="t", title="Tea"),) * 26])
async def test_choices_too_many_or_too_long_are_refused(station: Station, choices: tuple[Choice, ...]) -> None:
    with pytest.raises(InvalidRequest, match="choices"):
        station.make().check(draft(station, choices=choices))


async def test_our_reaction_replaces_the_one_before(station: Station) -> None:
    provider = station.make()
    message = station.world.write(station.general, station.ann, "news")["id"]
    id = f"{station.general}:{message}"
    for emoji in ("👍", "<:party:123>", "party:123"):
        await provider.react(station.general, id, emoji)
    held = {emoji for emoji, people in station.world.reactions[station.general, message].items() if station.bot.id in people}
    assert held == {"party:123"}
    await provider.react(station.general, id, None)
    assert not any(station.world.reactions[station.general, message].values())


async def test_an_emoji_that_is_none_is_refused(station: Station) -> None:
    message = station.world.write(station.general, station.ann, "news")["id"]
    with pytest.raises(InvalidRequest, match="Unknown Emoji") as caught:
        await station.make().react(station.general, f"{station.general}:{message}", "thumbsup")
    assert "name:id" in (caught.value.hint or "")


async def test_an_edit_calls_nobody_either(station: Station) -> None:
    provider = station.make()
    made = await provider.send(draft(station))
    await provider.edit(made.chat_id, made.id, "@here *now*", TextFormat.PLAIN)
    call = station.discord.calls_of("update_message")[0]
    assert call.body == {"content": r"@here \*now\*", "allowed_mentions": {"parse": []}}


async def test_our_own_edits_and_reactions_are_not_told_back_but_those_of_another_program_are(station: Station) -> None:
    provider = await station.ready()
    made = await provider.send(draft(station))
    await provider.edit(made.chat_id, made.id, "snake_case", TextFormat.PLAIN)
    await provider.react(made.chat_id, made.id, "👍")
    await provider.react(made.chat_id, made.id, None)
    station.world.rewrite(*made.id.split(":"), content="by another program")
    await station.inbox.wait(MessageEdited, lambda event: event.text == "by another program")
    assert [event.text for event in station.inbox.events if isinstance(event, MessageEdited)] == ["by another program"]
    assert not [event for event in station.inbox.events if isinstance(event, ReactionChanged)]


async def test_typing_is_not_taken_back(station: Station) -> None:
    await station.make().set_typing(station.general, False)
    assert not station.discord.calls


async def test_a_long_history_is_read_page_by_page(station: Station) -> None:
    for number in range(230):
        station.world.write(station.general, station.ann, f"{number}")
    provider = station.make()
    newest = await provider.history(station.general, before=None, limit=150)
    assert [message.text for message in newest] == [f"{number}" for number in range(229, 79, -1)]
    rest = await provider.history(station.general, before=newest[-1].id, limit=150)
    assert [message.text for message in rest] == [f"{number}" for number in range(79, -1, -1)]
    assert not rest[0].outgoing


async def test_the_history_of_a_thread_is_read_from_one_of_its_messages(station: Station) -> None:
    thread = station.world.thread(station.general, "aside")
    first, second = (station.world.write(thread, station.ann, text) for text in ("first", "second"))
    (message,) = await station.make().history(station.general, before=f"{thread}:{second['id']}", limit=5)
    assert (message.id, message.thread_id) == (f"{thread}:{first['id']}", thread)
