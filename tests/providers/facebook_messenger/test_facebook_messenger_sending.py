"""What goes out from a Page, and what goes wrong."""

from typing import Any

import pytest
from pydantic import SecretStr

from providers.errors import Forbidden, InvalidRequest, LoggedOut, MessengerError, NotFound, RateLimited, Unreachable, WindowClosed
from providers.events import Need
from providers.models import Choice, Media, MediaKind, MessageKind, Upload
from providers.states import InstanceState
from tests.providers.harness import PICTURE, PNG
from tests.providers.meta_station import Station
from tests.standins.graph_api import MessagingAccount
from tests.standins.graph_api.refusal import Refusal, bad_parameter

pytestmark = pytest.mark.anyio

Pages = Station[MessagingAccount]


async def body_of(station: Pages, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """The call that a draft becomes."""
    provider = station.make()
    draft = station.draft(station.account.person(), text, **fields)
    provider.check(draft)
    await provider.send(draft)
    return station.account.sent[-1]


async def test_an_answer_is_a_response_with_our_mark(station: Pages) -> None:
    body = await body_of(station)
    assert body["messaging_type"] == "RESPONSE"
    assert body["message"] == {"text": "hello", "metadata": "mcp-messenger:inst-1:41"}


async def test_the_type_of_a_message_can_be_said(station: Pages) -> None:
    assert (await body_of(station, extra={"messaging_type": "UPDATE"}))["messaging_type"] == "UPDATE"


async def test_a_humans_answer_goes_out_for_seven_days(station: Pages) -> None:
    provider, ann = station.make(), station.account.person()
    station.account.close_window(ann, hours=6 * 24)
    with pytest.raises(WindowClosed, match="outside of allowed window") as caught:
        await provider.send(station.draft(ann, "hello"))
    assert "HUMAN_AGENT" in (caught.value.hint or "")
    await provider.send(station.draft(ann, "hello", extra={"tag": "HUMAN_AGENT"}))
    assert (station.account.sent[0]["messaging_type"], station.account.sent[0]["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
    station.account.close_window(ann, hours=8 * 24)
    with pytest.raises(WindowClosed):
        await provider.send(station.draft(ann, "hello", extra={"tag": "HUMAN_AGENT"}))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"tag": "ACCOUNT_UPDATE"}, "since 2026-04-27"),
        ({"messaging_type": "SHOUT"}, "messaging_type is"),
        ({"recipient": {"id": "1"}}, "extra may not hold recipient"),
        ({"message": {"text": "other"}}, "extra may not hold message"),
    ],
)
async def test_refuses_what_meta_refuses(station: Pages, extra: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        station.make().check(station.draft("1", "x", extra=extra))


@pytest.mark.parametrize(
    ("refusal", "kind", "hint"),
    [
        (Refusal(400, 100, "Thread owner", subcode=2534037), Forbidden, "set_thread_control"),
        (Refusal(400, 10903, "This User Can't Reply to This Activity"), Forbidden, "seven days"),
        (Refusal(403, 200, "Access to messages is off", subcode=2534041), Forbidden, "connected tools"),
        (Refusal(403, 200, "Not an administrator", subcode=2018028), Forbidden, "in development"),
        (Refusal(400, 100, "Upload attachment failure", subcode=2018047), InvalidRequest, "public https address"),
    ],
)
async def test_a_refusal_says_what_to_do(station: Pages, refusal: Refusal, kind: type[MessengerError], hint: str) -> None:
    station.account.fail_next("messages", refusal)
    with pytest.raises(kind) as caught:
        await station.make().send(station.draft(station.account.person(), "hello"))
    assert hint in (caught.value.hint or "")


async def test_a_quiet_message(station: Pages) -> None:
    assert (await body_of(station, silent=True))["notification_type"] == "SILENT_PUSH"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (tuple(Choice(id=str(number), title="x") for number in range(14)), "At most 13"),
        ((Choice(id="long", title="x" * 21),), "'long' has at most 20"),
        ((Choice(id="told", title="x", description="more"),), "no description"),
    ],
)
async def test_refuses_choices_that_are_not_shown(station: Pages, options: tuple[Choice, ...], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        station.make().check(station.draft("1", "x", choices=options))


@pytest.mark.parametrize(
    ("kind", "sent_as"), [(MediaKind.VOICE, "audio"), (MediaKind.VIDEO, "video"), (MediaKind.DOCUMENT, "file"), (MediaKind.STICKER, "image")]
)
async def test_each_kind_of_file(station: Pages, kind: MediaKind, sent_as: str) -> None:
    body = await body_of(station, "", upload=Upload(kind=kind, content=b"x", mime="a/b", name="a.bin"))
    assert body["message"]["attachment"]["type"] == sent_as


async def test_the_same_file_is_uploaded_once(station: Pages) -> None:
    provider = station.make()
    for _ in range(2):
        await provider.send(station.draft(station.account.person(), upload=PICTURE))
    assert len(station.account.calls_to("message_attachments")) == 1
    first, second = (body["message"]["attachment"]["payload"]["attachment_id"] for body in station.account.sent)
    assert first == second


async def test_a_caption_goes_after_its_file_and_both_are_named(station: Pages) -> None:
    provider = station.make()
    first = await provider.send(station.draft(ann := station.account.person(), "question"))
    sent = await provider.send(station.draft(ann, "look", upload=PICTURE, reply_to=first.id))
    assert sent.parts == tuple(station.account.order[1:])
    assert ["reply_to" in body for body in station.account.sent] == [False, True, True]
    assert [body["message"]["metadata"].rpartition("+")[2] for body in station.account.sent[1:]] == ["0", "1"]


async def test_a_caption_that_did_not_follow_is_told(station: Pages) -> None:
    provider = station.make()
    hold = station.account.hold_next("messages")
    hold.let_go.set()
    station.account.fail_next("messages", Refusal(400, 613, "(#613) Calls have exceeded the rate limit"))
    with pytest.raises(Unreachable, match=r"1 of 2 messages went out \(m_\d+\), then: .*613") as caught:
        await provider.send(station.draft(station.account.person(), "look", upload=PICTURE))
    assert caught.value.maybe_sent
    assert len(station.account.sent) == 1


async def test_a_file_by_its_address(station: Pages) -> None:
    attachment = {"type": "image", "payload": {"url": "https://shop.example/a.jpg"}}
    body = await body_of(station, "", extra={"attachment": attachment})
    assert body["message"]["attachment"] == attachment
    assert "attachment" not in body


async def test_a_stale_address_is_asked_for_again(station: Pages) -> None:
    await station.ready()
    provider = station.make()
    old, new = (station.account.store(PNG, "dot.png", "image/png") for _ in range(2))
    mid = station.account.sends_file(station.account.person(), new)
    old.expired = True
    media = Media(kind=MediaKind.IMAGE, ref=f"{mid}#0#{station.account.address(old)}")
    assert (await provider.download(media)).content == PNG
    new.expired = True
    with pytest.raises(NotFound, match="any more"):
        await provider.download(media)


async def test_a_failed_upload_has_sent_nothing(station: Pages) -> None:
    station.account.garble_next("message_attachments", 502, "<html>")
    with pytest.raises(Unreachable) as caught:
        await station.make().send(station.draft(station.account.person(), upload=PICTURE))
    assert not caught.value.maybe_sent


async def test_an_oversize_file_is_refused_before_and_by_meta(station: Pages) -> None:
    big = Upload(kind=MediaKind.DOCUMENT, content=b"x" * (25 * 2**20 + 1), mime="a/b", name="a.bin")
    draft = station.draft(station.account.person(), upload=big)
    with pytest.raises(InvalidRequest, match="26214401 bytes"):
        station.make().check(draft)
    with pytest.raises(InvalidRequest, match="Attachment size exceeds"):
        await station.make().send(draft)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_broken_server_leaves_it_open_and_is_asked_once(station: Pages, status: int) -> None:
    station.account.garble_next("messages", status, "oops")
    with pytest.raises(Unreachable) as caught:
        await station.make().send(station.draft(station.account.person(), "hello"))
    assert caught.value.maybe_sent
    assert len(station.account.calls_to("messages")) == 1


@pytest.mark.parametrize(
    ("refusal", "kind", "hint"),
    [
        (Refusal(400, 551, "(#551) This person isn't available right now."), Forbidden, "blocked"),
        (Refusal(403, 230, "(#230) Requires pages_messaging permission to manage the object"), Forbidden, "permission"),
        (Refusal(400, 100, "(#100) No matching user found", subcode=2018001), NotFound, "list_chats"),
        (Refusal(400, 613, "(#613) Calls to this API have exceeded the rate limit."), RateLimited, "60 s"),
        (Refusal(400, 190, "Error validating access token", subcode=460), LoggedOut, "token"),
        (Refusal(400, 1200, "(#1200) Temporary send message failure.", is_transient=True), Unreachable, "look"),
    ],
)
async def test_refusals_are_sorted_and_keep_metas_words(station: Pages, refusal: Refusal, kind: type[MessengerError], hint: str) -> None:
    station.account.fail_next("messages", refusal)
    with pytest.raises(MessengerError) as caught:
        await station.make().send(station.draft(station.account.person(), "hello"))
    assert type(caught.value) is kind
    assert refusal.body["error"]["message"] in caught.value.detail
    assert hint in (caught.value.hint or "")


async def test_an_unknown_person_is_not_found(station: Pages) -> None:
    with pytest.raises(NotFound, match="No matching user"):
        await station.make().send(station.draft("999", "hello"))


async def test_typing_ends_when_told(station: Pages) -> None:
    provider, ann = station.make(), station.account.person()
    await provider.set_typing(ann, True)
    assert station.account.typing == {ann}
    await provider.set_typing(ann, False)
    assert not station.account.typing


async def test_a_persons_token_is_not_the_pages(station: Pages) -> None:
    provider = await station.start(page_id="4711")
    state = await station.inbox.state(InstanceState.ERROR)
    assert state.needs is Need.TOKEN
    assert "Lucky Shrub" in (state.reason or "")
    assert "pages_messaging" in (state.reason or "")
    assert provider.state == state


async def test_a_wrong_token_becomes_a_state_with_metas_words(station: Pages) -> None:
    await station.start(page_access_token=SecretStr("fake-and-wrong"))
    state = await station.inbox.state(InstanceState.ERROR)
    assert "Invalid OAuth access token" in (state.reason or "")
    assert "fake-and-wrong" not in state.model_dump_json()


async def test_history_tells_who_wrote_and_keeps_files(station: Pages) -> None:
    provider, page = await station.ready(), station.account
    ann = page.person()
    page.writes(ann, "hello")
    page.sends_file(ann, page.store(PNG, "dot.png", "image/png"))
    page.says(ann)
    await provider.send(station.draft(ann, "nice"))
    ours, unshown, picture, theirs = await provider.history(ann, before=None, limit=10)
    assert "does not give out" in unshown.text
    assert (ours.outgoing, picture.outgoing, theirs.text) == (True, False, "hello")
    assert (await provider.download(picture.media[0])).content == PNG


async def test_history_shows_stickers_and_what_was_shared(station: Pages) -> None:
    provider, page = await station.ready(), station.account
    ann = page.person()
    page.says(ann, attachments=[{"type": "sticker", "payload": {"url": "https://cdn.example/thumb", "sticker_id": 7}}])
    page.says(ann, attachments=[{"type": "fallback", "payload": {"url": "https://a.example/fence", "title": "A fence"}}])
    shared, sticker = await provider.history(ann, before=None, limit=2)
    assert (shared.text, shared.kind) == ("A fence https://a.example/fence", MessageKind.TEXT)
    assert [(media.kind, media.ref.endswith("https://cdn.example/thumb")) for media in sticker.media] == [(MediaKind.STICKER, True)]


async def test_history_is_read_where_the_version_of_the_api_does_not_know_all_fields(station: Pages) -> None:
    provider, page = await station.ready(), station.account
    ann = page.person()
    page.writes(ann, "hello")
    page.fail_next("messages", bad_parameter("Tried accessing nonexisting field (sticker) on node type (Message)"))
    assert [message.text for message in await provider.history(ann, before=None, limit=2)] == ["hello"]


async def test_history_does_not_begin_anew_behind_a_message_that_is_not_there(station: Pages) -> None:
    provider = await station.ready()
    ann = station.account.person()
    station.account.writes(ann, "hello")
    with pytest.raises(NotFound, match="m_none"):
        await provider.history(ann, before="m_none", limit=10)
    with pytest.raises(NotFound, match="no conversation"):
        await provider.history("999", before=None, limit=10)
