"""What is Instagram's own: two ways in, stories, bytes, and what ended."""

from typing import Any

import pytest
from pydantic import SecretStr

from providers.errors import InvalidRequest, NotFound, WindowClosed
from providers.events import MessageDeleted, MessageReceived, Need, ReceiptChanged, ReceiptStatus, StateChanged
from providers.meta.instagram import InstagramSettings
from providers.models import MediaKind, MessageKind
from providers.states import InstanceState
from tests.providers.harness import PICTURE
from tests.providers.meta_station import Station, pretty
from tests.standins.graph_api import MessagingAccount

pytestmark = pytest.mark.anyio

Accounts = Station[MessagingAccount]

STORY = {"url": "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1", "id": "17"}


async def said(station: Accounts, **item: Any) -> Any:
    """The first event of one item of a delivery."""
    provider = await station.start()
    station.account.callback = None
    station.account.event(station.account.person(), **item)
    assert (await station.bring(provider, station.account.pending[-1])).status == 200
    return next(event for event in station.inbox.events if not isinstance(event, StateChanged))


@pytest.mark.parametrize(("page", "host"), [(None, "https://graph.instagram.com"), ("7", "https://graph.facebook.com")])
def test_the_host_goes_with_the_way_in(page: str | None, host: str) -> None:
    given: dict[str, Any] = {"ig_user_id": "1", "page_id": page}
    secrets = {name: SecretStr("fake") for name in ("access_token", "app_secret", "webhook_verify_token")}
    settings = InstagramSettings.model_validate({**given, **secrets})
    assert settings.address == host
    assert settings.secret_fields() == secrets.keys()


async def test_a_token_of_the_api_that_ended_is_told_so(by_login: Accounts) -> None:
    await by_login.start(access_token=SecretStr("IGQVJ-fake-basic-display"))
    state = await by_login.inbox.state(InstanceState.ERROR)
    assert state.needs is Need.TOKEN
    assert "Basic Display API, which ended on 2024-12-04" in (state.reason or "")
    assert not by_login.account.calls


async def test_a_token_of_another_account_is_told_so(by_login: Accounts) -> None:
    await by_login.start(ig_user_id="4711")
    state = await by_login.inbox.state(InstanceState.ERROR)
    assert "@luckyshrub" in (state.reason or "")
    assert "instagram_business_manage_messages" in (state.reason or "")


async def test_history_shows_mentions_in_stories_and_names_what_is_not_supported(by_login: Accounts) -> None:
    provider, account = await by_login.ready(), by_login.account
    ann = account.person()
    account.says(ann, attachments=[{"type": "story_mention", "payload": {"url": STORY["url"]}}])
    account.says(ann, is_unsupported=True)
    hidden, mention = await provider.history(ann, before=None, limit=2)
    assert (hidden.kind, "does not support" in hidden.text) == (MessageKind.UNKNOWN, True)
    assert (mention.text, [media.kind for media in mention.media]) == ("Mentioned this account in a story.", [MediaKind.IMAGE])


async def test_says_who_it_is_by_either_way(by_login: Accounts, by_page: Accounts) -> None:
    for station in (by_login, by_page):
        account = await (await station.ready()).account()
        assert (account.id, account.username) == (station.account.id, "luckyshrub")


async def test_deliveries_may_name_the_accounts_other_id(by_login: Accounts) -> None:
    provider, account = await by_login.ready(), by_login.account
    item = {"sender": {"id": account.person()}, "recipient": {"id": account.app_scoped_id}, "timestamp": 1, "message": {"mid": "m_1", "text": "hi"}}
    await by_login.bring(provider, {"object": "instagram", "entry": [{"id": account.app_scoped_id, "messaging": [item]}]})
    await by_login.inbox.message("hi")


async def test_the_path_is_the_pages_where_one_is_set(by_login: Accounts, by_page: Accounts) -> None:
    for station in (by_login, by_page):
        await station.make().send(station.draft(station.account.person(), "hello"))
        assert [call.path for call in station.account.calls] == [f"{station.account.path_id}/messages"]
        assert "messaging_type" not in station.account.sent[0]


async def test_counts_bytes(by_login: Accounts) -> None:
    provider = by_login.make()
    await provider.send(by_login.draft(by_login.account.person(), "ж" * 500))
    with pytest.raises(InvalidRequest, match="1002 bytes"):
        provider.check(by_login.draft("1", "ж" * 501))


async def test_a_long_text_goes_in_pieces_of_bytes_when_asked(by_login: Accounts) -> None:
    provider, text = by_login.make(), " ".join(["жизнь"] * 250)
    first = by_login.account.writes(ann := by_login.account.person(), "tell me")
    draft = by_login.draft(ann, text, extra={"split": True}, reply_to=first)
    provider.check(draft)
    sent = await provider.send(draft)
    texts = [body["message"]["text"] for body in by_login.account.sent]
    assert " ".join(texts) == text
    assert len(sent.parts) == len(texts) == 3
    assert all(len(piece.encode()) <= 1000 for piece in texts)
    assert all("reply_to" in body for body in by_login.account.sent)
    with pytest.raises(InvalidRequest, match="at most 10 are sent"):
        provider.check(by_login.draft(ann, "x " * 6000, extra={"split": True}))


async def test_an_upload_needs_a_page_and_an_address_does_not(by_login: Accounts) -> None:
    provider = by_login.make()
    draft = by_login.draft(by_login.account.person(), upload=PICTURE)
    with pytest.raises(InvalidRequest, match="public address") as caught:
        provider.check(draft)
    assert "page_id" in (caught.value.hint or "")
    with pytest.raises(InvalidRequest, match="cannot be uploaded"):
        await provider.send(draft)
    assert not by_login.account.calls
    by_address = by_login.draft(by_login.account.person(), extra={"attachment": {"type": "image", "payload": {"url": "https://a.example/a.jpg"}}})
    provider.check(by_address)
    await provider.send(by_address)
    assert by_login.account.sent[0]["message"]["attachment"]["payload"] == {"url": "https://a.example/a.jpg"}


async def test_a_picture_has_its_own_limit(by_page: Accounts) -> None:
    big = PICTURE.model_copy(update={"content": b"x" * (8 * 2**20 + 1)})
    with pytest.raises(InvalidRequest, match="8388608"):
        by_page.make().check(by_page.draft("1", upload=big))


async def test_a_humans_answer_goes_out_for_seven_days(by_login: Accounts) -> None:
    provider, ann = by_login.make(), by_login.account.person()
    by_login.account.close_window(ann)
    with pytest.raises(WindowClosed, match="outside of allowed window"):
        await provider.send(by_login.draft(ann, "hello"))
    await provider.send(by_login.draft(ann, "hello", extra={"tag": "HUMAN_AGENT"}))
    assert by_login.account.sent[0]["messaging_type"] == "MESSAGE_TAG"


async def test_an_unknown_person_is_not_found(by_login: Accounts) -> None:
    with pytest.raises(NotFound, match="cannot be found"):
        await by_login.make().send(by_login.draft("999", "hello"))


async def test_the_heart_has_a_name(by_login: Accounts) -> None:
    provider, ann = by_login.make(), by_login.account.person()
    mid = by_login.account.writes(ann, "hello")
    await provider.react(ann, mid, "❤")
    assert by_login.account.calls[-1].body["payload"] == {"message_id": mid, "reaction": "love"}
    await provider.react(ann, mid, None)
    assert not by_login.account.reactions


async def test_an_answer_to_a_story_shows_the_story(by_login: Accounts) -> None:
    message = (await said(by_login, message={"mid": "m_1", "text": "Lovely!", "reply_to": {"story": STORY}})).message
    assert (message.text, message.reply_to, message.media[0].name) == ("Lovely!", None, "story")
    assert message.raw["message"]["reply_to"]["story"] == STORY


async def test_a_mention_in_a_story_is_told(by_login: Accounts) -> None:
    attachment = {"type": "story_mention", "payload": {"url": STORY["url"]}}
    message = (await said(by_login, message={"mid": "m_1", "attachments": [attachment]})).message
    assert (message.kind, message.text, message.media[0].kind) == (MessageKind.MEDIA, "Mentioned this account in a story.", MediaKind.IMAGE)


async def test_a_shared_post_is_a_link(by_login: Accounts) -> None:
    attachment = {"type": "share", "payload": {"url": "https://www.instagram.com/p/1"}}
    assert (await said(by_login, message={"mid": "m_1", "attachments": [attachment]})).message.text == "https://www.instagram.com/p/1"


async def test_an_unsent_message_is_deleted(by_login: Accounts) -> None:
    event = await said(by_login, message={"mid": "m_1", "is_deleted": True})
    assert isinstance(event, MessageDeleted)
    assert event.message_id == "m_1"


async def test_a_read_message_is_named(by_login: Accounts) -> None:
    event = await said(by_login, read={"mid": "m_7"})
    assert isinstance(event, ReceiptChanged)
    assert (event.message_id, event.status) == ("m_7", ReceiptStatus.READ)


async def test_an_echo_is_our_own_and_has_no_nonce(by_login: Accounts) -> None:
    provider = await by_login.ready()
    sent = await provider.send(by_login.draft(by_login.account.person(), "hello"))
    echo = await by_login.inbox.message("hello")
    assert (echo.message.id, echo.message.outgoing, echo.client_id) == (sent.id, True, None)


async def test_refuses_what_is_not_signed_over_these_very_bytes(by_login: Accounts) -> None:
    provider, account = await by_login.ready(), by_login.account
    account.callback = None
    account.writes(account.person(), "hello")
    delivery = account.pending[0]
    for changes in ({"headers": {}}, {"headers": {"x-hub-signature-256": "sha256=" + "0" * 64}}, {"body": pretty(delivery)}):
        assert (await by_login.bring(provider, delivery, **changes)).status == 403
    assert not any(isinstance(event, MessageReceived) for event in by_login.inbox.events)


async def test_a_guides_placeholders_become_a_state(by_login: Accounts) -> None:
    await by_login.start(ig_user_id="YOUR_IG_USER_ID", access_token=SecretStr("test-token"))
    assert (await by_login.inbox.state(InstanceState.ERROR)).needs is Need.TOKEN
