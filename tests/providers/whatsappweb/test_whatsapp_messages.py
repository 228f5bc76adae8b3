"""What comes in and goes out, beyond what all messengers do alike."""

import time

import pytest

from providers.errors import Forbidden, InvalidRequest, NotFound, Unreachable
from providers.events import ChatChanged, MessageReceived, ReceiptChanged, ReceiptStatus
from providers.models import Location, MediaKind, MessageKind, Poll, Upload
from providers.states import InstanceState
from tests.providers.harness import PNG, Inbox, Running
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import WhatsAppHarness
from tests.standins.whatsapp_web import Account, WhatsAppStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def running(harness: WhatsAppHarness, station: Station, agent: Account) -> Running:
    return Running(harness, await station.ready(agent), station.inbox)


async def test_two_accounts_talk_to_each_other(station: Station, agent: Account, ann: Account, harness: WhatsAppHarness) -> None:
    mine = await station.ready(agent, "mine")
    hers, inbox = station.make("hers"), Inbox()
    await hers.start(inbox.deliver)
    await inbox.state(InstanceState.QR_READY)
    assert hers.state.qr is not None
    ann.scan(hers.state.qr.content)
    await inbox.state(InstanceState.READY)
    sent = await mine.send(Running(harness, mine, station.inbox).draft("hello Ann"))
    event = await inbox.message("hello Ann")
    assert event.message.sender_id == agent.pn
    await hers.mark_read(event.message.chat_id, event.message.id)
    await station.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ and event.message_id == sent.id)


async def test_acks_are_told_one_by_one_and_a_played_voice_message_was_read(running: Running, ann: Account, whatsapp: WhatsAppStandIn) -> None:
    ann.online = False
    voice = Upload(kind=MediaKind.VOICE, content=b"OggS-not-really", mime="audio/ogg", name="voice.ogg")
    sent = await running.provider.send(running.draft(upload=voice))
    await running.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.SENT)
    post = whatsapp.posts[-1]
    assert post.type == "ptt"
    whatsapp.acknowledge(post, 2)
    await running.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.DELIVERED)
    ann.plays(post)
    read = await running.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ)
    assert (read.message_id, read.detail) == (sent.id, "played")


async def test_places_polls_files_and_mentions_arrive(running: Running, station: Station, agent: Account, ann: Account) -> None:
    ann.sends_location(agent, 52.5, -13.25, "Cafe\nMain Street 1")
    ann.sends_poll(agent, "Tea?", ["yes", "no"])
    ann.sends_file(agent, "document", b"%PDF", "application/pdf", caption="the bill", name="bill\u202efdp.exe")
    ann.writes(agent, "you!", mentionedJidList=[agent.pn])
    await running.inbox.message("you!")
    place, poll, file, mention = (event.message for event in station.inbox.received())
    assert place.location == Location(latitude=52.5, longitude=-13.25, name="Cafe, Main Street 1")
    assert poll.poll == Poll(question="Tea?", options=("yes", "no"))
    assert (file.kind, file.media[0].kind, file.media[0].name, file.text) == (MessageKind.MEDIA, MediaKind.DOCUMENT, "billfdp.exe", "the bill")
    assert "mediaKey" not in file.raw
    assert mention.mentions_me


async def test_in_a_group_people_are_known_by_their_lid_and_their_number_is_found(
    running: Running, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    group = whatsapp.group("Friends", [agent, ann])
    question = ann.writes(group, "who?")
    event = await running.inbox.message("who?")
    assert (event.message.sender_id, event.message.chat_id, event.chat.title) == (ann.lid, group.id, "Friends")
    assert event.sender is not None
    assert (event.sender.name, event.sender.phone) == ("Ann", "+15550101")
    sent = await running.provider.send(running.draft("me").model_copy(update={"chat_id": group.id, "reply_to": question.id_for(agent)}))
    assert whatsapp.posts[-1].fields["quotedStanzaID"] == question.key
    ann.writes(group, "fine", reply_to=whatsapp.posts[-1])
    assert (await running.inbox.message("fine")).message.reply_to == sent.id


async def test_a_person_known_only_by_lid_keeps_that_id_and_has_a_number(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    bob = whatsapp.account("15550102", "Bob", by_lid=True)
    provider = await station.ready(agent)
    bob.writes(agent, "guess who")
    event = await station.inbox.message("guess who")
    assert (event.chat.id, event.message.sender_id, event.chat.phone) == (bob.lid, bob.lid, "+15550102")
    assert bob.lid in {chat.id for chat in await provider.list_chats()}


async def test_a_new_title_of_a_group_is_told(running: Running, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    group = whatsapp.group("Friends", [agent, ann])
    ann.renames(group, "Old friends")
    assert (await running.inbox.wait(ChatChanged)).chat.title == "Old friends"


async def test_each_person_who_is_added_has_a_result(running: Running, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    """The library's own look for who is in already never finds anybody; WhatsApp's answer does."""
    shy = whatsapp.account("15550103", "Shy")
    shy.invite_only = True
    group = whatsapp.group("Friends", [agent, ann])
    await whatsapp.settled()
    change = await running.provider.add_participants(group.id, [ann.pn, shy.pn, "15559999@c.us"])
    assert [(result.id, result.ok) for result in change.results] == [(ann.pn, False), (shy.pn, False), ("15559999@c.us", False)]
    already, private, unknown = (result.reason or "" for result in change.results)
    assert "already" in already
    assert "invitation" in private
    assert "Not on WhatsApp" in unknown


async def test_a_group_of_others_cannot_be_changed(running: Running, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    group = whatsapp.group("Hers", [ann, agent])
    await whatsapp.settled()
    with pytest.raises(Forbidden):
        await running.provider.add_participants(group.id, ["15550101@c.us"])
    with pytest.raises(Forbidden):
        await running.provider.update_group(group.id, "Mine", None)


async def test_a_number_that_is_not_on_whatsapp_is_not_found(running: Running) -> None:
    assert running.provider.address("+1 (555) 999-9999") == "15559999999@c.us"
    with pytest.raises(NotFound, match="not on WhatsApp"):
        await running.provider.send(running.draft("hello?").model_copy(update={"chat_id": "15559999999@c.us"}))


async def test_what_was_there_before_the_first_login_is_kept_and_not_announced(station: Station, agent: Account, ann: Account) -> None:
    hour_ago = int(time.time()) - 3600
    for number in range(5):
        ann.sends(agent, "chat", {"body": f"old {number}"}, t=hour_ago + number)
    await station.ready(agent, backfill=3)
    await station.inbox.message("old 4")
    assert [(event.message.text, event.backfill) for event in station.inbox.received()] == [(f"old {number}", True) for number in (2, 3, 4)]


async def test_missed_messages_are_announced_unless_they_are_old(station: Station, agent: Account, ann: Account) -> None:
    provider = await station.ready(agent)
    ann.sends(agent, "chat", {"body": "before"}, t=int(time.time()) - 3 * 86_400)
    await station.inbox.message("before")
    await provider.stop()
    ann.sends(agent, "chat", {"body": "two days ago"}, t=int(time.time()) - 2 * 86_400)
    for number in range(70):
        ann.sends(agent, "chat", {"body": f"today {number}"}, t=int(time.time()) - 3600 + number)
    await station.ready(agent)
    await station.inbox.message("today 69")
    found = {event.message.text: event.backfill for event in station.inbox.received()}
    assert len(found) == len(station.inbox.received()) == 72
    assert (found["two days ago"], found["today 0"], found["today 69"]) == (True, False, False)


async def test_a_message_written_on_the_phone_is_our_own(running: Running, agent: Account, ann: Account) -> None:
    agent.writes(ann, "from my phone")
    event = await running.inbox.message("from my phone")
    assert event.message.outgoing
    assert event.client_id is None


async def test_a_send_that_is_not_answered_is_unsure_until_whatsapp_has_it(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, harness: WhatsAppHarness
) -> None:
    provider = await station.ready(agent, timing=station.patient(answer=0.5))
    agent.is_slow = True
    draft = Running(harness, provider, station.inbox).draft("did it arrive?")
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft)
    assert caught.value.maybe_sent
    await whatsapp.release()
    event = await station.inbox.wait(MessageReceived, lambda event: event.client_id == draft.client_id)
    assert event.message.outgoing
    assert [post.text for post in whatsapp.posts] == ["did it arrive?"]


async def test_what_whatsapp_refuses_is_refused_with_its_words(running: Running, agent: Account) -> None:
    agent.refuses_with = 403
    with pytest.raises(Forbidden, match="403"):
        await running.provider.send(running.draft("hello"))
    large = Upload(kind=MediaKind.VIDEO, content=bytes(17 * 2**20), mime="video/mp4", name="long.mp4")
    with pytest.raises(InvalidRequest, match="too large"):
        await running.provider.send(running.draft(upload=large))


async def test_after_463_no_new_chats_are_begun_and_known_ones_go_on(
    running: Running, station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    bob = whatsapp.account("15550102", "Bob")
    ann.writes(agent, "I wrote first")
    await running.inbox.message("I wrote first")
    agent.refuses_with = 463
    to_bob = running.draft("hello Bob").model_copy(update={"chat_id": bob.pn})
    with pytest.raises(Forbidden, match="463"):
        await running.provider.send(to_bob)
    agent.refuses_with = None
    with pytest.raises(Forbidden, match="463"):
        running.provider.check(to_bob)
    budget = await running.provider.sending_budget()
    assert (budget.begun, budget.next_at) == (1, budget.locked_until)
    assert budget.locked_until is not None
    await running.provider.send(running.draft("hello Ann"))
    # The page keeps Bob's chat with the refused message in it; that makes him no acquaintance, not even for another process.
    await running.provider.stop()
    again = await station.ready(agent)
    assert bob.pn in {chat.id for chat in await again.list_chats()}
    with pytest.raises(Forbidden, match="463"):
        again.check(to_bob)
    for attempt in (again.resolve(bob.pn), again.send(to_bob)):
        with pytest.raises(Forbidden, match="463"):
            await attempt
    assert {post.text for post in whatsapp.posts} == {"I wrote first", "hello Ann"}
    assert "hello Bob" not in {event.message.text for event in station.inbox.received()}
    bob.writes(agent, "Who is this?")
    await station.inbox.message("Who is this?")
    await again.send(to_bob)


async def test_stickers_and_documents_go_out_as_such(running: Running, whatsapp: WhatsAppStandIn) -> None:
    await running.provider.send(running.draft("the bill", upload=Upload(kind=MediaKind.DOCUMENT, content=PNG, mime="image/png", name="bill.png")))
    post = whatsapp.posts[-1]
    assert (post.type, post.fields["filename"], post.fields["caption"]) == ("document", "bill.png", "the bill")
    await running.provider.send(running.draft(upload=Upload(kind=MediaKind.STICKER, content=b"RIFF....WEBP", mime="image/webp", name="s.webp")))
    assert whatsapp.posts[-1].type == "sticker"
