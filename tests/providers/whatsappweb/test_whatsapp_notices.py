"""Votes, calls, changes of groups, mentions and formatting."""

import pytest

from providers.events import ChatClosed, MessageReceived, PollVoted
from providers.models import MessageKind, TextFormat
from tests.providers.harness import Running
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import WhatsAppHarness
from tests.standins.whatsapp_web import Account, WhatsAppStandIn

pytestmark = pytest.mark.anyio


async def test_a_vote_and_its_change_arrive_with_the_words_of_the_options(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    draft = Running(harness, provider, station.inbox).draft(poll={"question": "What to drink?", "options": ["Tea", "Coffee"]})
    sent = await provider.send(draft)
    poll = whatsapp.posts[-1]
    for options in (("Tea",), ("Tea", "Coffee"), ()):
        ann.votes(poll, options)
        vote = await station.inbox.wait(PollVoted, lambda event, options=options: event.options == options)
        assert (vote.chat_id, vote.message_id, vote.sender_id) == (ann.pn, sent.id, ann.pn)


async def test_calls_and_changes_of_a_group_are_notices(station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account) -> None:
    await station.ready(agent)
    bob = whatsapp.account("15550102", "Bob")
    group = whatsapp.group("Friends", [ann, agent])
    await whatsapp.settled()
    ann.adds(group, bob)
    ann.renames(group, "Old friends")
    ann.calls(agent, video=True)
    ann.sends(agent, "call_log", {"callOutcome": "Missed", "isVideoCall": True})
    ann.sends(agent, "event_creation", {})
    ann.removes(group, agent)
    closed = await station.inbox.wait(ChatClosed)
    assert (closed.chat_id, "not in the group" in (closed.reason or "")) == (group.id, True)
    await station.inbox.message("+15550101 removed This account.")
    messages = [event.message for event in station.inbox.events if isinstance(event, MessageReceived)]
    assert {(message.text, message.kind) for message in messages if message.chat_id == ann.pn} == {
        ("A video call comes in.", MessageKind.SYSTEM),
        ("A video call (Missed).", MessageKind.SYSTEM),
        ("An event: without a name", MessageKind.TEXT),
    }
    assert {message.kind for message in messages if message.chat_id == group.id} == {MessageKind.SYSTEM}
    texts = [message.text for message in messages if message.chat_id == group.id]
    assert texts[0].startswith("+15550101 added ")
    assert texts[1] == "+15550101 changed the title."


async def test_members_of_a_group_are_mentioned_by_number_and_bold_is_whatsapps(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    ann.writes(agent, "this is my number")
    await station.inbox.message("this is my number")
    group = whatsapp.group("Friends", [ann, agent])
    await whatsapp.settled()
    draft = Running(harness, provider, station.inbox).draft("**Hi** @15550101 and @19999999, see `a*b`", format=TextFormat.MARKDOWN)
    await provider.send(draft.model_copy(update={"chat_id": group.id}))
    fields = whatsapp.posts[-1].fields
    assert fields["body"] == f"*Hi* @{ann.lid.removesuffix('@lid')} and @19999999, see `a*b`"
    assert [wid["_serialized"] for wid in fields["mentionedJidList"]] == [ann.lid]
