"""What Telegram gets to see of a draft."""

import json
from typing import Any

import pytest

from providers.capabilities import Capability
from providers.errors import InvalidRequest, NotFound, Unreachable, Unsupported
from providers.events import ChatMigrated
from providers.models import ChatKind, Draft, Location, Media, MediaKind, Poll, TextFormat, Upload
from providers.telegram.provider import TelegramProvider
from tests.providers.telegram.conftest import Station
from tests.standins.telegram_bot_api.server import calls_of

pytestmark = pytest.mark.anyio


def draft(chat: int | str, text: str = "", **fields: Any) -> Draft:
    return Draft.model_validate({"client_id": "c-1", "chat_id": str(chat), "text": text, **fields})


def upload(kind: MediaKind = MediaKind.DOCUMENT, content: bytes = b"content", mime: str = "application/octet-stream", name: str = "a.bin") -> Upload:
    return Upload(kind=kind, content=content, mime=mime, name=name)


async def test_sends_without_being_started(station: Station) -> None:
    ann = station.bot.person()
    sent = await station.make().send(draft(ann, "hello"))
    (call,) = station.bot.sent
    assert call.message is not None
    assert (sent.id, sent.chat_id, sent.parts) == (f"{ann}:{call.message['message_id']}", str(ann), ())
    assert (call.params["text"], "parse_mode" in call.params) == ("hello", False)


async def test_sends_to_a_channel_by_its_name(station: Station) -> None:
    news = station.bot.group("News", kind="channel", username="news")
    sent = await station.make().send(draft("@news", "hello"))
    assert (sent.chat_id, sent.id) == (str(news), f"{news}:1")


async def test_a_name_is_asked_for_at_each_send_since_it_may_be_another_chats(station: Station) -> None:
    provider, news = station.make(), station.bot.group("News", kind="channel", username="news")
    assert provider.must_resolve(provider.address("https://t.me/news"))
    address = await provider.resolve("@News")
    assert (address.chat_id, address.kind, address.title, address.lasting) == (str(news), ChatKind.CHANNEL, "News", False)
    station.bot.chats[news].pop("username")
    other = station.bot.group("Other news", kind="channel", username="news")
    assert (await provider.resolve("@news")).chat_id == str(other)


async def test_a_persons_name_leads_nowhere_and_says_what_does(station: Station) -> None:
    station.bot.person(username="ann_lee")
    with pytest.raises(NotFound) as caught:
        await station.make().resolve("@ann_lee")
    assert "list_chats" in (caught.value.hint or "")


async def test_ordinary_markdown_arrives_as_telegrams_html(station: Station) -> None:
    ann = station.bot.person()
    await station.make().send(draft(ann, "**Total:** 3.50 (see `snake_case`) - a_b_c!", format="markdown"))
    (call,) = station.bot.sent
    assert call.params["parse_mode"] == "HTML"
    assert call.params["text"] == "<b>Total:</b> 3.50 (see <code>snake_case</code>) - a_b_c!"
    assert call.message is not None
    assert call.message["text"] == "Total: 3.50 (see snake_case) - a_b_c!"


async def test_html_is_telegrams_own(station: Station) -> None:
    await station.make().send(draft(station.bot.person(), "<b>x</b> &amp; y", format="html"))
    assert station.bot.sent[0].params["parse_mode"] == "HTML"


@pytest.mark.parametrize("format", [TextFormat.PLAIN, TextFormat.MARKDOWN])
async def test_telegrams_own_parse_mode_passes_unread(station: Station, format: TextFormat) -> None:
    """What the guide sends as parseMode."""
    await station.make().send(draft(station.bot.person(), "*Bold* and _italic_", format=format, extra={"parse_mode": "Markdown"}))
    params = station.bot.sent[0].params
    assert (params["parse_mode"], params["text"]) == ("Markdown", "*Bold* and _italic_")


async def test_markup_that_telegram_cannot_parse_is_refused_in_its_words(station: Station) -> None:
    with pytest.raises(InvalidRequest, match=r"[Cc]an't find end of the entity starting at byte offset 0") as refused:
        await station.make().send(draft(station.bot.person(), "*bold", extra={"parse_mode": "Markdown"}))
    assert "plain" in (refused.value.hint or "")


async def test_other_fields_of_telegram_pass(station: Station) -> None:
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}
    forum = station.bot.group()
    topic = station.bot.topic(forum, "News")
    extra = {"reply_markup": keyboard, "message_thread_id": topic, "protect_content": True, "link_preview_options": {"is_disabled": True}}
    provider = station.make()
    asked = draft(forum, "Sure?", extra=extra, silent=True)
    provider.check(asked)
    await provider.send(asked)
    params = station.bot.sent[0].params
    assert json.loads(params["reply_markup"]) == keyboard
    assert (params["message_thread_id"], params["protect_content"], params["disable_notification"]) == (str(topic), "true", "true")


@pytest.mark.parametrize(
    ("text", "format", "wanted", "expected"),
    [
        ("# Sum\n\n| a | b |\n|---|---|", "markdown", True, {"markdown": "# Sum\n\n| a | b |\n|---|---|"}),
        ("<h1>Sum</h1>", "html", {"is_rtl": True}, {"html": "<h1>Sum</h1>", "is_rtl": True}),
        ("", "plain", {"blocks": [{"type": "paragraph", "text": "Sum"}]}, {"blocks": [{"type": "paragraph", "text": "Sum"}]}),
    ],
)
async def test_rich_messages_are_written_in_markdown_html_or_blocks(
    station: Station, text: str, format: str, wanted: object, expected: object
) -> None:
    provider, asked = station.make(), draft(station.bot.person(), text, format=format, extra={"rich_message": wanted})
    provider.check(asked)
    sent = await provider.send(asked)
    (call,) = station.bot.sent
    assert (call.method, json.loads(call.params["rich_message"])) == ("sendRichMessage", expected)
    assert call.message is not None
    assert sent.id == f"{asked.chat_id}:{call.message['message_id']}"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"extra": {"rich_message": "yes"}}, "true, or an InputRichMessage"),
        ({"extra": {"rich_message": {"html": "a", "markdown": "b"}}}, "html and markdown"),
        ({"extra": {"rich_message": True}, "format": "plain"}, "written in Markdown or HTML"),
        ({"extra": {"rich_message": True, "parse_mode": "HTML"}}, "without files"),
        ({"extra": {"rich_message": True}, "upload": upload()}, "without files"),
        ({"extra": {"rich_message": True, "split": True}}, "not split"),
        ({"extra": {"rich_message": True}, "text": "x" * 32_769}, "32768"),
    ],
)
async def test_what_is_no_rich_message_is_refused_without_asking(station: Station, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        station.make().check(draft(1, **{"text": "hello", "format": "markdown", **fields}))


async def test_an_old_server_shows_plain_drafts_or_none_and_says_so(station: Station) -> None:
    station.bot.hears_all, station.bot.has_rich = True, False
    ann, provider = station.bot.person(), await station.ready()
    await provider.preview(str(ann), "Hello", number=1, thread_id=None)
    assert station.bot.drafts[ann] == (1, "Hello")
    assert await provider.lacking() == {}
    station.bot.has_drafts = False
    with pytest.raises(Unsupported, match="preview") as caught:
        await provider.preview(str(ann), "Hello you", number=1, thread_id=None)
    assert "9.5" in (caught.value.hint or "")
    assert (await provider.lacking()).keys() == {Capability.PREVIEW}


@pytest.mark.parametrize("field", ["chat_id", "text", "caption", "photo", "reply_parameters"])
async def test_extra_cannot_change_what_was_checked(station: Station, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        station.make().check(draft(1, "hello", extra={field: "other"}))


async def test_replies_to_messages_and_refuses_ids_of_elsewhere(station: Station) -> None:
    ann = station.bot.person()
    provider = station.make()
    first = await provider.send(draft(ann, "one"))
    await provider.send(draft(ann, "two", reply_to=first.id))
    assert json.loads(station.bot.sent[1].params["reply_parameters"]) == {"message_id": 1}
    for wrong in ("7", "abc", f"{ann}:x", f"{ann + 1}:1", ""):
        with pytest.raises(NotFound) as caught:
            await provider.send(draft(ann, "three", reply_to=wrong))
        assert caught.value.hint
    with pytest.raises(NotFound, match=r"[Mm]essage to be replied not found"):
        await provider.send(draft(ann, "three", reply_to=f"{ann}:99"))


@pytest.mark.parametrize(
    ("kind", "mime", "method", "field"),
    [
        (MediaKind.IMAGE, "image/png", "sendPhoto", "photo"),
        (MediaKind.IMAGE, "image/gif", "sendAnimation", "animation"),
        (MediaKind.VIDEO, "video/mp4", "sendVideo", "video"),
        (MediaKind.AUDIO, "audio/mpeg", "sendAudio", "audio"),
        (MediaKind.VOICE, "audio/ogg", "sendVoice", "voice"),
        (MediaKind.DOCUMENT, "application/pdf", "sendDocument", "document"),
        (MediaKind.STICKER, "image/webp", "sendSticker", "sticker"),
    ],
)
async def test_each_kind_of_file_is_shown_as_what_it_is(station: Station, kind: MediaKind, mime: str, method: str, field: str) -> None:
    provider = station.make()
    sent = await provider.send(draft(station.bot.person(), upload=upload(kind, b"\x00 content", mime, 'näme "x".bin')))
    (call,) = station.bot.sent
    assert call.method == method
    assert call.files[field].content == b"\x00 content"
    (media,) = sent.media
    assert (await provider.download(media)).content == b"\x00 content"


async def test_a_caption_has_markup_too(station: Station) -> None:
    await station.make().send(draft(station.bot.person(), "**big** sale", upload=upload(MediaKind.IMAGE), format="markdown"))
    params = station.bot.sent[0].params
    assert (params["caption"], params["parse_mode"]) == ("<b>big</b> sale", "HTML")


async def test_keeps_the_name_of_a_document(station: Station) -> None:
    await station.make().send(draft(station.bot.person(), upload=upload(name="Quartalsbericht Ä.pdf")))
    assert station.bot.sent[0].files["document"].name == "Quartalsbericht Ä.pdf"


async def test_a_named_location_is_a_venue(station: Station) -> None:
    await station.make().send(draft(station.bot.person(), location=Location(latitude=52.5, longitude=13.4, name="Café")))
    (call,) = station.bot.sent
    assert (call.method, call.params["title"], call.params["address"]) == ("sendVenue", "Café", "52.500000, 13.400000")


async def test_a_poll_shows_who_voted_unless_told_otherwise(station: Station) -> None:
    provider, team = station.make(), station.bot.group()
    poll = Poll(question="Tea?", options=("yes", "no"))
    await provider.send(draft(team, poll=poll))
    await provider.send(draft(team, poll=poll, extra={"is_anonymous": True}))
    assert [call.params["is_anonymous"] for call in station.bot.sent] == ["false", "true"]


@pytest.mark.parametrize(
    "content",
    [{"location": Location(latitude=1, longitude=1)}, {"poll": Poll(question="?", options=("a", "b"))}, {"upload": upload(MediaKind.STICKER)}],
)
async def test_refuses_text_where_telegram_shows_none(station: Station, content: dict[str, Any]) -> None:
    provider = station.make()
    provider.check(draft(1, **content))
    with pytest.raises(InvalidRequest, match="no text"):
        provider.check(draft(1, "lost", **content))


async def test_counts_as_telegram_counts(station: Station) -> None:
    provider = station.make()
    provider.check(draft(1, "🙂" * 2048))
    with pytest.raises(InvalidRequest, match="4098 utf16") as refused:
        provider.check(draft(1, "🙂" * 2049))
    assert '{"split": true}' in (refused.value.hint or "")
    provider.check(draft(1, "x" * 1024, upload=upload()))
    with pytest.raises(InvalidRequest, match="caption has 1025 utf16"):
        provider.check(draft(1, "x" * 1025, upload=upload()))


async def test_leaves_the_length_of_marked_up_text_to_telegram(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    fits = draft(ann, " ".join(["[x](https://example.org/a/long/address)"] * 500), format="markdown")
    provider.check(fits)
    await provider.send(fits)
    with pytest.raises(InvalidRequest, match=r"[Mm]essage is too long"):
        await provider.send(draft(ann, "<b>" + "x" * 4097 + "</b>", format="html"))
    for fields in ({"format": "html"}, {"format": "markdown"}, {"format": "html", "upload": upload()}, {"extra": {"parse_mode": "HTML"}}):
        with pytest.raises(InvalidRequest, match="at most 32768"):
            provider.check(draft(ann, "x" * 32_769, **fields))
    with pytest.raises(InvalidRequest, match="21 messages; at most 20"):
        provider.check(draft(ann, "x" * 81_921, extra={"split": True}))
    with pytest.raises(InvalidRequest, match="50000001 bytes"):
        provider.check(draft(ann, "x", format="html", upload=upload(content=bytes(50_000_001))))


async def test_refuses_files_beyond_the_limits(station: Station) -> None:
    provider = station.make()
    with pytest.raises(InvalidRequest, match="10000001 bytes"):
        provider.check(draft(1, upload=upload(MediaKind.IMAGE, bytes(10_000_001))))
    with pytest.raises(InvalidRequest, match="50000001 bytes"):
        provider.check(draft(1, upload=upload(content=bytes(50_000_001))))
    with pytest.raises(InvalidRequest, match="20000001 bytes"):
        await provider.download(Media(kind=MediaKind.VIDEO, ref="x", size=20_000_001))
    assert not station.bot.calls


async def test_a_file_that_telegram_finds_too_big_is_refused_and_not_called_unreachable(station: Station) -> None:
    station.bot.fail_next("sendDocument", 413, "Request Entity Too Large")
    with pytest.raises(InvalidRequest, match="Too Large"):
        await station.make().send(draft(station.bot.person(), upload=upload()))
    large = station.bot.store(b"", "large.mp4", size=21 * 1024 * 1024)
    with pytest.raises(InvalidRequest, match="too big"):
        await station.make().download(Media(kind=MediaKind.VIDEO, ref=large.id))


async def test_a_file_that_is_gone_is_not_a_wrong_token(station: Station) -> None:
    provider = station.make()
    file = station.bot.store(b"x", "a.txt")
    described = {"ok": True, "result": file.described(file_path="files/gone.txt")}
    station.bot.garble_next("getFile", 200, json.dumps(described))
    with pytest.raises(NotFound, match="any more"):
        await provider.download(Media(kind=MediaKind.DOCUMENT, ref=file.id))


async def test_reads_no_file_of_this_machine(station: Station) -> None:
    provider = station.make()
    described = {"ok": True, "result": {"file_id": "x", "file_unique_id": "x", "file_path": __file__}}
    station.bot.garble_next("getFile", 200, json.dumps(described))
    with pytest.raises(InvalidRequest, match="does not hand out files"):
        await provider.download(Media(kind=MediaKind.DOCUMENT, ref="x"))


LONG = "\n\n".join(" ".join(f"word{number}" for number in range(300)) for _ in range(5))


async def test_splits_when_asked_and_names_all_parts(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    first = await provider.send(draft(ann, "question"))
    long = draft(ann, LONG, extra={"split": True}, reply_to=first.id)
    provider.check(long)
    sent = await provider.send(long)
    calls = station.bot.sent[1:]
    assert len(calls) == len(sent.parts) > 1
    assert sent.id == sent.parts[0]
    assert " ".join(" ".join(call.params["text"] for call in calls).split()) == " ".join(LONG.split())
    assert all("split" not in call.params for call in calls)
    assert all("reply_parameters" in call.params for call in calls)


async def test_splits_markdown_before_it_becomes_html(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    long = draft(ann, "\n".join("**a <b> & c** " + "x" * 60 for _ in range(200)), extra={"split": True}, format="markdown")
    provider.check(long)
    sent = await provider.send(long)
    assert len(sent.parts) > 1
    assert all("<b>a &lt;b&gt; &amp; c</b>" in call.params["text"] for call in station.bot.sent)


async def test_a_short_text_with_split_is_one_message(station: Station) -> None:
    sent = await station.make().send(draft(station.bot.person(), "short", extra={"split": True}))
    assert (len(station.bot.sent), sent.parts) == (1, ())


@pytest.mark.parametrize("fields", [{"format": "html", "extra": {"split": True}}, {"extra": {"split": True, "parse_mode": "HTML"}}])
async def test_does_not_cut_through_markup_it_cannot_read(station: Station, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="cannot be split"):
        station.make().check(draft(1, "x", **fields))


async def test_says_how_much_of_a_split_text_went_out(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    station.bot.fail_next("sendMessage", 400, "Bad Request: an odd one")
    with pytest.raises(InvalidRequest, match="odd"):
        await provider.send(draft(ann, LONG, extra={"split": True}))
    station.bot.hold_next("sendMessage").let_go.set()
    station.bot.flood_next("sendMessage", 30)
    with pytest.raises(Unreachable, match=f"1 of 5 messages went out \\({ann}:1\\), then: .*30 seconds") as failed:
        await provider.send(draft(ann, LONG, extra={"split": True}))
    assert failed.value.maybe_sent
    assert len(station.bot.sent) == 1


async def test_follows_a_group_that_moved_and_tells(station: Station) -> None:
    provider = await station.ready()
    old = station.bot.group("Team", kind="group")
    new = station.bot.group_becomes_supergroup(old, announce=False)
    sent = await provider.send(draft(old, "still there?"))
    assert (sent.chat_id, [call.params["chat_id"] for call in station.bot.sent]) == (str(new), [str(new)])
    moved = await station.inbox.wait(ChatMigrated)
    assert (moved.old_id, moved.chat.id) == (str(old), str(new))
    assert len(calls_of(station.bot, "sendMessage")) == 2


async def test_follows_a_moved_group_only_once_and_not_with_a_reply(station: Station) -> None:
    provider = station.make()
    old = station.bot.group("Team", kind="group")
    new = station.bot.group_becomes_supergroup(old, announce=False)
    with pytest.raises(NotFound) as caught:
        await provider.send(draft(old, "as I said", reply_to=f"{old}:1"))
    assert str(new) in (caught.value.hint or "")
    station.bot.migrated[new] = old
    with pytest.raises(NotFound):
        await provider.send(draft(old, "round and round"))
    assert not station.bot.sent


async def edited(provider: TelegramProvider, message_id: str, text: str, format: TextFormat = TextFormat.PLAIN) -> None:
    await provider.edit(message_id.partition(":")[0], message_id, text, format)


async def test_edits_texts_and_captions(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    text = await provider.send(draft(ann, "first"))
    photo = await provider.send(draft(ann, "first", upload=upload(MediaKind.IMAGE)))
    await edited(provider, text.id, "**second**", TextFormat.MARKDOWN)
    await edited(provider, photo.id, "second")
    assert station.bot.messages[ann, 1]["text"] == "second"
    assert station.bot.messages[ann, 2]["caption"] == "second"
    await edited(provider, text.id, "second")
    await edited(provider, photo.id, "second")


async def test_a_heart_in_colour_is_the_heart_that_telegram_knows(station: Station) -> None:
    provider, ann = station.make(), station.bot.person()
    station.bot.user_writes(ann, "hello")
    await provider.react(str(ann), f"{ann}:1", "❤️")
    assert station.bot.reactions[ann, 1] == [{"type": "emoji", "emoji": "❤"}]


async def test_typing_needs_no_end(station: Station) -> None:
    await station.make().set_typing(str(station.bot.person()), False)
    assert not station.bot.calls
