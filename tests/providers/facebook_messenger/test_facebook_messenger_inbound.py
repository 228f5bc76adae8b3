"""What people write to a Page, and what Meta tells of the Page's messages."""

from typing import Any

import anyio
import pytest

from providers.base import WebhookRequest
from providers.events import ChatChanged, MessageReceived, NoticeReceived, ReactionChanged, ReceiptChanged, ReceiptStatus, StateChanged
from providers.models import ChatKind, MediaKind, MessageKind
from tests.providers.meta_station import Station, pretty
from tests.standins.graph_api import MessagingAccount

pytestmark = pytest.mark.anyio

Pages = Station[MessagingAccount]


def told(station: Pages) -> list[Any]:
    return [event for event in station.inbox.events if not isinstance(event, StateChanged | ChatChanged)]


async def said(station: Pages, **item: Any) -> Any:
    """The first event of one item of a delivery, about Ann."""
    provider = await station.start()
    station.account.callback = None
    station.account.event(station.account.person("Ann Lee"), **item)
    assert (await station.bring(provider, station.account.pending[-1])).status == 200
    return told(station)[0]


async def test_a_name_is_looked_up_once_and_shown_with_each_message(station: Pages) -> None:
    await station.ready()
    ann = station.account.person("Ann Lee")
    for text in ("one", "two"):
        station.account.writes(ann, text)
    await station.inbox.message("two")
    one = await station.inbox.message("one")
    assert (one.chat.title, one.message.sender_name, one.sender and one.sender.name) == ("Ann Lee", "Ann Lee", "Ann Lee")
    assert len(station.account.calls_to(ann)) == 1


async def test_a_name_that_comes_late_delays_no_message(station: Pages) -> None:
    await station.ready()
    ann = station.account.person("Ann Lee")
    hold = station.account.hold_next(ann)
    station.account.writes(ann, "hello")
    assert (await station.inbox.message("hello")).message.sender_name == ""
    hold.let_go.set()
    named = await station.inbox.wait(ChatChanged)
    assert (named.chat.id, named.chat.title) == (ann, "Ann Lee")


async def test_a_name_that_may_not_be_seen_stops_nothing(station: Pages) -> None:
    await station.ready()
    station.account.names_are_hidden = True
    ann = station.account.person("Ann Lee")
    station.account.writes(ann, "who am I?")
    await station.inbox.message("who am I?")
    with anyio.fail_after(15):
        await station.graph.until(lambda: bool(station.account.calls_to(ann)))
    station.account.writes(ann, "never mind")
    await station.inbox.message("never mind")


@pytest.mark.parametrize(
    ("type", "kind"), [("image", MediaKind.IMAGE), ("video", MediaKind.VIDEO), ("audio", MediaKind.AUDIO), ("file", MediaKind.DOCUMENT)]
)
async def test_files(station: Pages, type: str, kind: MediaKind) -> None:
    event = await said(station, message={"mid": "m_1", "attachments": [{"type": type, "payload": {"url": "https://x.fbcdn.net/a"}}]})
    assert (event.message.kind, [one.kind for one in event.message.media]) == (MessageKind.MEDIA, [kind])


async def test_a_sticker_is_one(station: Pages) -> None:
    sticker = {"type": "image", "payload": {"url": "https://x.fbcdn.net/a", "sticker_id": 369239263222822}}
    assert (await said(station, message={"mid": "m_1", "attachments": [sticker]})).message.media[0].kind is MediaKind.STICKER


async def test_a_place_and_a_link(station: Pages) -> None:
    place = {"type": "location", "title": "Here", "payload": {"coordinates": {"lat": 52.5, "long": 13.4}}}
    message = (await said(station, message={"mid": "m_1", "attachments": [place]})).message
    assert (message.kind, message.location.latitude, message.location.name) == (MessageKind.LOCATION, 52.5, "Here")
    station.inbox.events.clear()
    link = {"type": "fallback", "title": "A page", "payload": {"url": "https://a.example"}}
    assert (await said(station, message={"mid": "m_2", "attachments": [link]})).message.text == "A page https://a.example"


async def test_a_message_that_shows_nothing_is_kept_as_it_came(station: Pages) -> None:
    message = (await said(station, message={"mid": "m_1", "is_unsupported": True})).message
    assert message.kind is MessageKind.UNKNOWN
    assert message.raw["message"] == {"mid": "m_1", "is_unsupported": True}


async def test_a_pressed_button_is_a_choice(station: Pages) -> None:
    message = (await said(station, postback={"mid": "m_1", "title": "Get started", "payload": "START"})).message
    assert (message.id, message.text, message.chosen) == ("m_1", "Get started", "START")


async def test_an_old_button_press_has_an_id_of_its_own(station: Pages) -> None:
    assert (await said(station, postback={"title": "Get started", "payload": "START"})).message.id.startswith("postback:")


@pytest.mark.parametrize("kind", ["referral", "optin", "pass_thread_control", "something_new"])
async def test_other_events_are_recorded_as_of_the_system(station: Pages, kind: str) -> None:
    message = (await said(station, **{kind: {"ref": "shop"}})).message
    assert (message.kind, message.raw[kind]) == (MessageKind.SYSTEM, {"ref": "shop"})


async def test_a_reaction_by_name(station: Pages) -> None:
    event = await said(station, reaction={"mid": "m_9", "action": "react", "reaction": "love"})
    assert isinstance(event, ReactionChanged)
    assert (event.message_id, event.emojis) == ("m_9", ("❤️",))


async def test_the_echo_of_our_own_message_has_our_nonce(station: Pages) -> None:
    provider = await station.ready()
    sent = await provider.send(station.draft(station.account.person(), "hello"))
    echo = await station.inbox.message("hello")
    assert (echo.message.id, echo.message.outgoing, echo.client_id) == (sent.id, True, "41")
    assert echo.chat.id == sent.chat_id


async def test_the_echo_settles_a_send_whose_answer_was_lost(station: Pages) -> None:
    provider = await station.ready()
    station.account.drop_next("messages", "after")
    with pytest.raises(Exception, match="did not answer"):
        await provider.send(station.draft(station.account.person(), "did it go?"))
    assert (await station.inbox.message("did it go?")).client_id == "41"


@pytest.mark.parametrize("metadata", [None, "campaign-7", "mcp-messenger:inst-2:41"])
async def test_what_others_write_for_the_page_is_no_echo_of_ours(station: Pages, metadata: str | None) -> None:
    message = {"mid": "m_1", "text": "by hand", "is_echo": True, "app_id": 7, **({"metadata": metadata} if metadata else {})}
    event = await said(station, by_us=True, message=message)
    assert (event.message.outgoing, event.client_id) == (True, None)
    assert event.chat.id in station.account.people


async def test_a_watermark_reads_all_that_was_sent_before_it_once(station: Pages) -> None:
    provider = await station.ready()
    station.account.receipts = False
    ann = station.account.person()
    ids = [(await provider.send(station.draft(ann, text))).id for text in ("one", "two")]
    watermark = 2_000_000_000_000
    for _ in range(2):
        station.account.event(ann, read={"watermark": watermark})
    station.account.writes(ann, "seen")
    await station.inbox.message("seen")
    receipts = [event for event in told(station) if isinstance(event, ReceiptChanged)]
    assert [(event.message_id, event.status) for event in receipts] == [(id, ReceiptStatus.READ) for id in ids]


async def test_a_watermark_that_could_not_be_stored_is_told_again(station: Pages) -> None:
    provider = await station.ready()
    station.account.receipts = False
    ann = station.account.person()
    sent = await provider.send(station.draft(ann, "one"))
    await station.inbox.message("one")
    station.inbox.refuse(1, ReceiptChanged)
    station.account.event(ann, read={"watermark": 2_000_000_000_000})
    assert (await station.inbox.wait(ReceiptChanged)).message_id == sent.id
    assert len(station.inbox.refused) == 1


async def test_a_choice_belongs_to_the_newest_message_that_had_it(station: Pages) -> None:
    from providers.models import Choice

    provider = await station.ready()
    ann = station.account.person()
    for text in ("Tea?", "Really tea?"):
        sent = await provider.send(station.draft(ann, text, choices=(Choice(id="y", title="Yes"),)))
    await provider.send(station.draft(ann, "Take your time."))
    station.account.says(ann, text="Yes", quick_reply={"payload": "y"})
    assert (await station.inbox.message("Yes")).message.reply_to == sent.id  # pyright: ignore[reportPossiblyUnboundVariable]
    station.account.says(ann, text="No", quick_reply={"payload": "of another program"})
    assert (await station.inbox.message("No")).message.reply_to is None


async def test_deliveries_about_other_pages_are_left_out(station: Pages) -> None:
    provider = await station.start(page_id="999")
    station.account.callback = None
    station.account.writes(station.account.person(), "not for 999")
    assert (await station.bring(provider, station.account.pending[0])).status == 200
    assert told(station) == []


async def test_one_unreadable_item_does_not_keep_back_the_others(station: Pages) -> None:
    provider, page = await station.start(), station.account
    ann = page.person()
    good = {"sender": {"id": ann}, "recipient": {"id": page.id}, "timestamp": 1, "message": {"mid": "m_1", "text": "good"}}
    timeless = {**good, "timestamp": "soon", "message": {"mid": "m_2", "text": "when?"}}
    await station.bring(
        provider, page.delivery([{"sender": {}}, {"message": {}}, good, timeless, {"sender": {"id": ann}, "message": {"mid": "m_3"}}])
    )
    events = told(station)
    assert [event.message.text for event in events if isinstance(event, MessageReceived)] == ["good", "when?"]
    assert [event.code for event in events if isinstance(event, NoticeReceived)] == ["unread_event"] * 3


async def test_what_an_entry_holds_that_is_new_is_a_notice(station: Pages) -> None:
    provider = await station.start()
    await station.bring(provider, {"object": "page", "entry": [{"id": station.account.id, "time": 1, "holograms": [{"title": "Cube"}]}]})
    (notice,) = told(station)
    assert isinstance(notice, NoticeReceived)
    assert (notice.text, notice.is_error) == ("Holograms: title: Cube", False)


async def test_the_standby_channel_and_the_dashboards_test_are_read_too(station: Pages) -> None:
    provider, page = await station.start(), station.account
    ann = page.person()
    item = {"sender": {"id": ann}, "recipient": {"id": page.id}, "timestamp": "1527459824", "message": {"mid": "m_1", "text": "standby"}}
    changed = {**item, "message": {"mid": "m_2", "text": "test"}}
    entry = {"id": page.id, "time": 1, "standby": [item], "changes": [{"field": "messages", "value": changed}, {"field": "feed", "value": {}}]}
    await station.bring(provider, {"object": "page", "entry": [entry]})
    assert {(event.message.text, event.message.at.year, event.message.standby) for event in told(station)} == {
        ("standby", 2018, True),
        ("test", 2018, False),
    }


async def test_what_the_dashboard_sends_to_try_shows_up_and_wakes_nobody(station: Pages) -> None:
    provider = await station.start()
    message = {"mid": "test_message_id", "text": "test_message"}
    value = {"sender": {"id": "12334"}, "recipient": {"id": "23245"}, "timestamp": "1527459824", "message": message}
    await station.bring(provider, {"object": "page", "entry": [{"id": "0", "time": 1527459824, "changes": [{"field": "messages", "value": value}]}]})
    (event,) = told(station)
    assert (event.message.kind, event.message.text, event.chat.title) == (MessageKind.SYSTEM, "test_message", "Test from Meta's dashboard")


async def test_a_comment_is_a_notice_in_the_chat_of_its_post(station: Pages) -> None:
    provider, page = await station.start(), station.account
    value = {"from": {"id": "77", "name": "Bob"}, "post_id": "1_2", "comment_id": "2_3", "item": "comment", "verb": "add", "message": "Nice!"}
    change = {"field": "feed", "value": {**value, "created_time": 1790000000}}
    own = {"field": "feed", "value": {**value, "from": {"id": page.id}}}
    await station.bring(provider, {"object": "page", "entry": [{"id": page.id, "time": 1790000000, "changes": [change, own]}]})
    (event,) = told(station)
    assert (event.message.kind, event.message.sender_name, event.message.text) == (MessageKind.SYSTEM, "Bob", "Add comment: Nice!")
    assert event.chat.kind is ChatKind.CHANNEL


async def test_no_secret_of_a_linked_account_is_kept(station: Pages) -> None:
    linking = {"status": "linked", "authorization_code": "code-1"}
    event = await said(station, account_linking=linking)
    assert "linked" in event.message.text
    assert "code-1" not in event.model_dump_json()


async def test_a_field_that_is_null_loses_nothing(station: Pages) -> None:
    message = {"mid": "m_1", "text": "hi", "attachments": None, "quick_reply": None, "reply_to": None}
    assert (await said(station, message=message)).message.text == "hi"


async def test_refuses_what_is_not_signed_over_these_very_bytes(station: Pages) -> None:
    provider, page = await station.ready(), station.account
    page.callback = None
    page.writes(page.person(), "hello")
    delivery = page.pending[0]
    known = list(station.inbox.events)
    for changes in ({"headers": {}}, {"headers": {"x-hub-signature-256": "sha256=" + "0" * 64}}, {"body": pretty(delivery)}):
        assert (await station.bring(provider, delivery, **changes)).status == 403
    assert station.inbox.events == known


async def test_answers_the_challenge(station: Pages) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": station.account.verify_token, "hub.challenge": "7"}
    assert (await station.make().receive_webhook(WebhookRequest("GET", {}, query, b""))).body == "7"
