"""What is done with messages, chats, people, groups and calls beyond writing, and what the other phones then see."""

import struct
import zlib
from datetime import UTC, datetime

import pytest

from providers.errors import Forbidden, InvalidRequest, NotFound
from providers.events import NoticeReceived
from providers.groups import GroupSettings
from providers.models import ChatMarks, MediaKind, MessageKind, Profile, Upload
from tests.providers.harness import Running
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import WhatsAppHarness
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

pytestmark = pytest.mark.anyio


def picture() -> Upload:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + b"\x20\x80\xc0" * 64) * 64
    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return Upload(kind=MediaKind.IMAGE, content=content, mime="image/png", name="blue.png")


async def test_marks_of_chats_and_people_and_the_profile_reach_whatsapp(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    post = ann.writes(agent, "the address")
    provider = await station.ready(agent, stories=True)
    await station.inbox.message("the address")
    for starred in (True, False):
        await provider.star_message(ann.pn, post.id_for(agent), starred)
        assert (post.key in agent.starred) == starred
    for archived in (True, False):
        await provider.archive_chat(ann.pn, archived)
        assert agent.marks[ann.pn]["archived"] == archived
    end = datetime(2027, 1, 1, tzinfo=UTC)
    await provider.mark_chat(ann.pn, ChatMarks(pinned=True, muted=True, muted_until=end, unread=True))
    assert agent.marks[ann.pn] == {"archived": False, "pin": True, "muted": int(end.timestamp()), "unread": True}
    await provider.mark_chat(ann.pn, ChatMarks(pinned=False, muted=False))
    assert (agent.marks[ann.pn]["pin"], agent.marks[ann.pn]["muted"]) == (False, 0)

    await provider.block(ann.pn, True)
    ann.writes(agent, "are you there?")
    await provider.block(ann.pn, False)
    ann.writes(agent, "and now?")
    await station.inbox.message("and now?")
    assert "are you there?" not in {event.message.text for event in station.inbox.received()}
    with pytest.raises(InvalidRequest, match="Only people"):
        await provider.block("120363000000000000@g.us", True)

    await provider.update_profile(Profile(name="The shop", about="Open at nine", picture=picture()))
    assert (agent.name, agent.about, agent.picture > 100) == ("The shop", "Open at nine", True)
    story = await provider.post_story("New bread today")
    assert {id.split("_")[2]: text for id, text in ((story, "New bread today"),)} == agent.stories

    bob = whatsapp.account("5511987654321", "Bob")
    bob.also_written.add("551187654321@c.us")
    found = await provider.look_up("+55 (11) 8765-4321")
    assert found is not None
    assert (found.id, found.phone) == (bob.pn, "+5511987654321")
    for registered, written in (("5491123456789", "+54 11 2345-6789"), ("525512345678", "+52 1 55 1234 5678")):
        person = whatsapp.account(registered, registered)
        person.also_written.add(provider.address(written))
        found = await provider.look_up(written)
        assert found is not None
        assert found.id == person.pn
    assert await provider.look_up("+1 555 999 0000") is None


async def test_stories_need_the_settings_leave(station: Station, agent: Account) -> None:
    provider = await station.ready(agent)
    with pytest.raises(Forbidden, match="may not post stories"):
        await provider.post_story("hello all")
    assert agent.stories == {}


async def test_settings_links_and_requests_of_groups(station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    bob = whatsapp.account("15550102", "Bob")
    ours, hers = whatsapp.group("Ours", [agent, ann]), whatsapp.group("Hers", [ann])
    hers.invite = "HERS-12345678"
    provider = await station.ready(agent)
    await provider.set_group(ours.id, GroupSettings(picture=picture(), only_admins_write=True, only_admins_edit=True, only_admins_add=False))
    assert ours.properties == {"announcement": 1, "restrict": 1, "member_add_mode": 1}
    assert ours.picture > 100
    with pytest.raises(Forbidden):
        await provider.set_group(whatsapp.group("Not ours", [ann, agent]).id, GroupSettings(only_admins_write=True))

    old = await provider.invite_link(ours.id)
    assert await provider.reset_invite_link(ours.id) == f"https://chat.whatsapp.com/{ours.invite}" != old
    joined = await provider.join_group("https://chat.whatsapp.com/HERS-12345678?mode=ac_t")
    assert (joined.id, agent in hers.members) == (hers.id, True)
    with pytest.raises(NotFound):
        await provider.join_group("https://chat.whatsapp.com/NOSUCHGROUP")
    with pytest.raises(InvalidRequest, match="no invitation link"):
        await provider.join_group("https://example.com/x")

    carl = whatsapp.account("15550103", "Carl")
    for person in (bob, carl):
        person.asks_to_join(ours)
    await station.inbox.message("+15550103 asks to join.")
    requests = await provider.list_join_requests(ours.id)
    assert {request.person.id for request in requests} == {bob.lid, carl.lid}
    admitted = await provider.answer_join_requests(ours.id, ["+1 555 0102", "+1 555 0101"], True)
    assert [(result.ok, result.reason) for result in admitted] == [(True, None), (False, "Does not ask to join this group.")]
    assert [result.ok for result in await provider.answer_join_requests(ours.id, [carl.lid], False)] == [True]
    assert (bob in ours.members, carl in ours.members, ours.asking) == (True, False, {})


async def test_answers_by_button_and_list_and_notes_in_words(station: Station, agent: Account, ann: Account) -> None:
    await station.ready(agent)
    post = ann.writes(agent, "look at this")
    ann.sends(agent, "buttons_response", {"body": "Yes, please", "selectedButtonId": "yes"})
    listed = {"title": "Tomorrow, 9:00", "singleSelectReply": {"selectedRowId": "slot-9"}}
    ann.sends(agent, "list_response", {"body": "", "listResponse": listed})
    album = ann.sends(agent, "album", {"expectedImageCount": 2, "expectedVideoCount": 1})
    key = {"_serialized": album.id_for(agent)}
    ann.sends(agent, "image", {"caption": "first", "mimetype": "image/png", "associationType": "MEDIA_ALBUM", "parentMsgKey": key})
    ann.sends(agent, "pinned_message", {"pinMessageType": 1, "pinParentKey": {"_serialized": post.id_for(agent)}})
    ann.sends(agent, "notification_template", {"subtype": "change_number", "templateParams": ["15550999@c.us"]})
    ann.sends(agent, "groups_v4_invite", {"inviteGrpName": "Readers", "comment": "Join us"})
    await station.inbox.message("An invitation to the group Readers.\nJoin us")
    found = {event.message.text: event.message for event in station.inbox.received()}
    assert (found["Yes, please"].chosen, found["Yes, please"].kind) == ("yes", MessageKind.TEXT)
    assert found["Tomorrow, 9:00"].chosen == "slot-9"
    assert found["This person has a new number."].kind is MessageKind.SYSTEM
    note = found["An album of 2 pictures and 1 video."]
    assert (note.kind, note.album) == (MessageKind.SYSTEM, found["first"].album)
    assert (found["A message was pinned."].kind, found["A message was pinned."].reply_to) == (MessageKind.SYSTEM, post.id_for(agent))


async def test_calls_are_rejected_with_one_message_where_the_settings_say_so(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    ann.writes(agent, "hello")
    await station.ready(agent, reject_calls=True, reject_calls_message="Please write instead.")
    await station.inbox.message("hello")
    ann.calls(agent)
    await whatsapp.until(lambda: any(post.text == "Please write instead." for post in whatsapp.posts))
    ann.calls(agent, video=True)
    await station.inbox.message("A video call comes in. It was rejected.")
    assert [who for who, _ in agent.rejected] == [ann.pn, ann.pn]
    answer = await station.inbox.message("Please write instead.")
    assert (answer.message.outgoing, answer.message.kind) == (True, MessageKind.SYSTEM)
    assert [post.text for post in whatsapp.posts].count("Please write instead.") == 1

    bob = whatsapp.account("15550102", "Bob")
    bob.writes(agent, "hello, too")
    await station.inbox.message("hello, too")
    agent.refuses_with = 403
    bob.calls(agent)
    notice = await station.inbox.wait(NoticeReceived)
    assert (notice.code, "was not written to" in notice.text) == ("call_not_answered", True)
    whatsapp.lost.add("stanza")
    bob.calls(agent, video=True)
    await station.inbox.message("A video call comes in. It could not be rejected.")


async def test_a_forwarded_file_keeps_its_caption_and_needs_no_download(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    bob = whatsapp.account("15550102", "Bob")
    bob.writes(agent, "send it to me")
    post = ann.sends_file(agent, "image", picture().content, "image/png", caption="the plan")
    provider = await station.ready(agent)
    await until(lambda: len(station.inbox.received()) == 2)
    draft = Running(harness, provider, station.inbox).draft("the plan", forward={"chat_id": ann.pn, "message_id": post.id_for(agent)})
    sent = await provider.send(draft.model_copy(update={"chat_id": bob.pn}))
    passed_on = whatsapp.posts[-1]
    assert (passed_on.id_for(agent), passed_on.place.members.count(bob)) == (sent.id, 1)
    assert (passed_on.text, passed_on.fields["directPath"], passed_on.fields["isForwarded"]) == ("the plan", post.fields["directPath"], True)
    assert sent.media
    with pytest.raises(NotFound):
        await provider.send(draft.model_copy(update={"client_id": "other", "forward": draft.forward and draft.forward.model_copy(
            update={"message_id": f"false_{ann.pn}_NOSUCH"})}))  # fmt: skip
