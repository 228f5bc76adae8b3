"""An account that WhatsApp has moved from numbers to lids: people have two ids, and chats change theirs."""

import pytest

from providers.errors import Forbidden, NotFound
from providers.events import ReceiptChanged, ReceiptStatus
from providers.models import ChatKind
from providers.states import InstanceState
from tests.providers.harness import Running
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import WhatsAppHarness
from tests.standins.whatsapp_web import Account, WhatsAppStandIn

pytestmark = pytest.mark.anyio


async def test_a_registered_number_that_was_never_met_is_written_to_and_answers_in_the_same_chat(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account
) -> None:
    agent.migrated = True
    bia = whatsapp.account("551187654321", "Bia")
    bia.also_written.add("5511987654321@c.us")
    provider = await station.ready(agent)
    to = provider.address("+55 11 98765-4321")
    assert provider.must_resolve(to)
    address = await provider.resolve(to)
    assert (address.chat_id, address.kind) == (bia.pn, ChatKind.PRIVATE)
    sent = await provider.send(Running(harness, provider, station.inbox).draft("hello Bia").model_copy(update={"chat_id": address.chat_id}))
    assert [(post.author.name, post.text) for post in whatsapp.posts_between(agent, bia)] == [("Agent", "hello Bia")]
    assert sent.chat_id == bia.lid
    bia.writes(agent, "hello agent")
    event = await station.inbox.message("hello agent")
    assert (event.chat.id, event.chat.aliases, event.chat.phone) == (bia.lid, (bia.pn,), "+551187654321")
    for id in (to, bia.pn, bia.lid):
        assert (await provider.resolve(id)).chat_id == bia.lid


async def test_a_send_without_resolving_goes_out_too(station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account) -> None:
    """As after a restart in between, when the page has forgotten whom it asked about."""
    agent.migrated = True
    bob = whatsapp.account("15550102", "Bob")
    provider = await station.ready(agent)
    draft = Running(harness, provider, station.inbox).draft("hello Bob")
    assert (await provider.send(draft.model_copy(update={"chat_id": bob.pn}))).chat_id == bob.lid
    with pytest.raises(NotFound, match="not on WhatsApp"):
        await provider.send(draft.model_copy(update={"chat_id": "19999999@c.us"}))


async def test_its_own_sends_are_known_as_such_and_a_healthy_page_is_left_alone(
    station: Station, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    agent.migrated = True
    provider = await station.ready(agent, timing=station.patient(echo=0.1))
    draft = Running(harness, provider, station.inbox).draft("hello")
    for number in range(3):
        await provider.send(draft.model_copy(update={"client_id": str(number), "text": f"hello {number}"}))
    ann.reads(agent)
    await station.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ)
    ann.writes(agent, "one")
    await station.inbox.message("one")
    connection = provider._connection
    assert connection is not None
    assert not connection.echoes.overdue(0)
    assert [event.message.text for event in station.inbox.received()] == ["one"]
    assert InstanceState.DEGRADED not in station.inbox.states()


async def test_a_chat_that_changes_its_id_goes_on(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    first = ann.writes(agent, "under the number")
    before = await station.inbox.message("under the number")
    assert (before.chat.id, before.chat.aliases) == (ann.pn, ())
    draft = Running(harness, provider, station.inbox).draft("noted")
    noted = await provider.send(draft)
    agent.migrate()
    await whatsapp.settled()
    ann.writes(agent, "under the lid", reply_to=whatsapp.posts[-1])
    after = await station.inbox.message("under the lid")
    assert (after.chat.id, after.chat.aliases, after.message.reply_to) == (ann.lid, (ann.pn,), noted.id)
    ann.reads(agent)
    await station.inbox.wait(ReceiptChanged, lambda event: event.status is ReceiptStatus.READ and event.message_id == noted.id)
    # The ids from before still work.
    answer = draft.model_copy(update={"client_id": "2", "text": "and on", "reply_to": before.message.id})
    assert (await provider.send(answer)).chat_id == ann.lid
    assert whatsapp.posts[-1].fields["quotedStanzaID"] == first.key
    await provider.react(before.chat.id, before.message.id, "\N{THUMBS UP SIGN}")
    await whatsapp.until(lambda: agent in first.reactions)
    await provider.delete(noted.chat_id, noted.id)
    await whatsapp.until(lambda: any(post.deleted for post in whatsapp.posts))
    await provider.set_typing(ann.pn, True)
    await whatsapp.until(lambda: agent.typing.get(ann.lid) is True)
    # After a restart nothing comes a second time.
    await provider.stop()
    ann.writes(agent, "later")
    await station.ready(agent)
    await station.inbox.message("later")
    assert sorted(event.message.text for event in station.inbox.received()) == ["later", "under the lid", "under the number"]


async def test_a_person_who_wrote_first_is_no_stranger_under_either_id(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    agent.migrated = True
    bob = whatsapp.account("15550102", "Bob")
    provider = await station.ready(agent, new_chats_per_day=0)
    ann.writes(agent, "I wrote first")
    await station.inbox.message("I wrote first")
    for number, id in enumerate((ann.pn, ann.lid)):
        draft = Running(harness, provider, station.inbox).draft("hello").model_copy(update={"client_id": str(number), "chat_id": id})
        provider.check(draft)
        assert (await provider.resolve(id)).chat_id == ann.lid
        await provider.send(draft)
    assert (await provider.sending_budget()).begun == 0
    with pytest.raises(Forbidden, match="0 are allowed"):
        await provider.resolve(bob.pn)
