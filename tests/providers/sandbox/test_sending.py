"""What our side can do, and every failure that can be rehearsed."""

import pytest

from providers.errors import Forbidden, InvalidRequest, NotFound, RateLimited, Unreachable, WindowClosed
from providers.events import ChatChanged, MessageReceived, ReceiptChanged, ReceiptStatus
from providers.models import Draft, Location, TextFormat
from providers.sandbox.phone import Phone
from tests.providers.harness import PICTURE
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio


def draft(chat_id: str, client_id: str = "c-1") -> Draft:
    return Draft(client_id=client_id, chat_id=chat_id, text="hello")


async def test_the_same_client_id_is_sent_once_over_restarts_too(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    picture = Draft(client_id="c-1", chat_id="ann", text="look", upload=PICTURE)
    sent = await provider.send(picture)
    assert await provider.send(picture) == sent
    provider, inbox = await sandbox.ready()
    assert await provider.send(picture) == sent
    assert len(await provider.history("ann", before=None, limit=10)) == 1
    await provider.send(draft("ann", "c-2"))
    await inbox.wait(MessageReceived, lambda event: event.client_id == "c-2")


async def test_the_echo_of_a_sent_message_carries_its_client_id(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    sent = await provider.send(draft("ann"))
    echo = await inbox.wait(MessageReceived)
    assert (echo.message.id, echo.client_id, echo.message.outgoing) == (sent.id, "c-1", True)


async def test_rate_limited_takes_a_message_at_the_second_try(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    with pytest.raises(RateLimited) as caught:
        await provider.send(draft("rate-limited"))
    assert caught.value.retry_after == 1
    assert (await provider.send(draft("rate-limited"))).chat_id == "rate-limited"
    with pytest.raises(RateLimited):
        await provider.send(draft("rate-limited", "c-2"))


@pytest.mark.parametrize(("chat_id", "error"), [("blocked", Forbidden), ("window-closed", WindowClosed)])
async def test_refusals_are_the_same_every_time(sandbox: Sandbox, chat_id: str, error: type[Exception]) -> None:
    provider, _ = await sandbox.ready()
    for _ in range(2):
        with pytest.raises(error):
            await provider.send(draft(chat_id))
    assert await provider.history(chat_id, before=None, limit=1) == []


@pytest.mark.parametrize(("chat_id", "maybe_sent"), [("unreachable", False), ("lost", True)])
async def test_what_never_arrives_leaves_no_trace(sandbox: Sandbox, chat_id: str, maybe_sent: bool) -> None:
    provider, inbox = await sandbox.ready()
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft(chat_id))
    assert caught.value.maybe_sent is maybe_sent
    await provider.send(draft("ann", "c-2"))
    await inbox.wait(MessageReceived, lambda event: event.client_id == "c-2")
    assert not [event for event in inbox.events if isinstance(event, MessageReceived) and event.client_id == "c-1"]


async def test_the_echo_settles_a_send_without_an_answer(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    with pytest.raises(Unreachable) as caught:
        await provider.send(draft("maybe-sent"))
    assert caught.value.maybe_sent
    echo = await inbox.wait(MessageReceived, lambda event: event.client_id == "c-1")
    assert (await provider.send(draft("maybe-sent"))).id == echo.message.id


async def test_a_message_may_fail_after_it_was_sent(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready(persona="echo")
    sent = await provider.send(draft("failing"))
    receipt = await inbox.wait(ReceiptChanged, lambda event: event.message_id == sent.id)
    assert (receipt.status, receipt.detail) == (ReceiptStatus.FAILED, "The sandbox fails every message in 'failing'.")


async def test_writing_to_a_contact_opens_a_chat(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    assert "carol" not in {chat.id for chat in await provider.list_chats()}
    await provider.send(draft("carol"))
    assert "carol" in {chat.id for chat in await provider.list_chats()}


async def test_only_own_messages_are_edited_and_deleted(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    theirs = Phone(provider.world).write("ann", "mine")
    await inbox.message("mine")
    with pytest.raises(Forbidden):
        await provider.edit("ann", theirs, "yours", TextFormat.PLAIN)
    with pytest.raises(Forbidden):
        await provider.delete("ann", theirs)
    place = await provider.send(Draft(client_id="c-1", chat_id="ann", location=Location(latitude=0, longitude=0)))
    with pytest.raises(InvalidRequest, match="location cannot be edited"):
        await provider.edit("ann", place.id, "elsewhere", TextFormat.PLAIN)
    own = await provider.send(draft("ann", "c-2"))
    with pytest.raises(InvalidRequest, match="4097 characters"):
        await provider.edit("ann", own.id, "x" * 4097, TextFormat.PLAIN)


async def test_a_message_is_looked_for_in_its_own_chat(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    sent = await provider.send(draft("ann"))
    for attempt in (
        provider.edit("bob", sent.id, "text", TextFormat.PLAIN),
        provider.delete("ann", "no-such-message"),
        provider.react("bob", sent.id, "👍"),
        provider.mark_read("bob", sent.id),
        provider.send(Draft(client_id="c-2", chat_id="bob", text="re", reply_to=sent.id)),
        provider.history("ann", before="no-such-message", limit=1),
        provider.set_typing("nobody", True),
        provider.add_participants("no-such-group", ["ann"]),
        provider.add_participants("ann", ["bob"]),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_history_leaves_out_what_was_deleted_and_goes_on_from_there(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    first = await provider.send(draft("ann", "c-1"))
    second = await provider.send(draft("ann", "c-2"))
    await provider.delete("ann", second.id)
    assert [message.id for message in await provider.history("ann", before=None, limit=5)] == [first.id]
    assert [message.id for message in await provider.history("ann", before=second.id, limit=5)] == [first.id]


async def test_typing_ends_by_itself_and_with_the_message(sandbox: Sandbox) -> None:
    provider, _ = await sandbox.ready()
    await provider.set_typing("ann", True)
    sandbox.clock.go_on(10)
    assert not provider.world.is_typing("ann")
    await provider.set_typing("ann", True)
    await provider.send(draft("ann"))
    assert not provider.world.is_typing("ann")


async def test_a_group_takes_those_who_can_be_added_and_says_why_not(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    change = await provider.create_group("Plan\u202e B", ["ann", "blocked", "nobody"])
    assert [(result.id, result.ok) for result in change.results] == [("ann", True), ("blocked", False), ("nobody", False)]
    assert all(result.reason for result in change.results if not result.ok)
    assert (await inbox.wait(ChatChanged)).chat.title == "Plan B"
    for title, people in (("Alone", ["nobody"]), ("  ", ["ann"])):
        with pytest.raises(InvalidRequest):
            await provider.create_group(title, people)
    assert {group.id for group in await provider.list_groups()} == {"team", change.group.id}


async def test_somebody_in_a_group_mentions_the_agent(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    phone = Phone(provider.world)
    phone.write("team", "lunch, @Agent?", sender_id="bob")
    phone.write("team", "lunch, all?")
    mention, other = await inbox.message("lunch, @Agent?"), await inbox.message("lunch, all?")
    assert (mention.message.mentions_me, mention.message.sender_name) == (True, "Bob Stone")
    assert (other.message.mentions_me, other.message.sender_name) == (False, "Ann Lee")
    with pytest.raises(Forbidden, match="is not in the chat"):
        phone.write("ann", "as somebody else", sender_id="bob")
