"""A browser that nobody uses is stopped, and another version of WhatsApp Web is noticed and avoided."""

import pytest

from providers.capabilities import Capability
from providers.errors import LoggedOut
from providers.states import InstanceState
from tests.providers.harness import Running
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import WhatsAppHarness
from tests.providers.whatsappweb.test_whatsapp_hazards import browser_of
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_an_unused_browser_is_stopped_and_woken_by_a_send_or_on_schedule(
    station: Station, whatsapp: WhatsAppStandIn, harness: WhatsAppHarness, agent: Account, ann: Account
) -> None:
    ann.writes(agent, "hello")
    quick = station.patient(minute=0.4, linger=0.2, wake=30)
    provider = await station.ready(agent, timing=quick, suspend_after=1, wake_every=1380)
    await station.inbox.message("hello")
    await until(lambda: (provider.state.reason or "").startswith("Suspended"))
    await until(lambda: not browser_of(station))
    assert provider.state.state is InstanceState.READY
    assert provider.state.account is not None
    assert (await provider.sending_budget()).begun == 0

    ann.writes(agent, "are you asleep?")
    sent = await provider.send(Running(harness, provider, station.inbox).draft("I am back"))
    assert (whatsapp.posts[-1].text, whatsapp.posts[-1].id_for(agent)) == ("I am back", sent.id)
    event = await station.inbox.message("are you asleep?")
    assert not event.backfill
    assert set(station.inbox.states()[station.inbox.states().index(InstanceState.READY) :]) == {InstanceState.READY}

    await until(lambda: (provider.state.reason or "").startswith("Suspended"))
    await provider.stop()
    ann.writes(agent, "and on schedule?")
    again = await station.start(timing=station.patient(minute=0.2, linger=0.2), suspend_after=1, wake_every=5)
    await station.inbox.message("and on schedule?")
    await until(lambda: (again.state.reason or "").startswith("Suspended"))
    ann.writes(agent, "while it sleeps")
    await station.inbox.message("while it sleeps")

    await until(lambda: (again.state.reason or "").startswith("Suspended"))
    agent.devices.clear()
    with pytest.raises(LoggedOut):
        await again.list_chats()


async def test_a_page_that_lacks_what_the_bridge_uses_is_told_and_an_earlier_one_can_be_run(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account
) -> None:
    provider = await station.ready(agent)
    version = "2.3000.1030000000"
    assert provider.state.reason == f"WhatsApp Web {version}."
    await provider.stop()
    whatsapp.without = {"WAWebChatForwardMessage", "WAWebGroupInviteJob"}
    provider = await station.start()
    state = await station.inbox.state(InstanceState.DEGRADED)
    assert f"{version} has changed and lacks WAWebChatForwardMessage, WAWebGroupInviteJob" in (state.reason or "")
    assert await provider.list_chats() == []
    lacking = await provider.lacking()
    assert set(lacking) == {Capability.FORWARD, Capability.JOIN_GROUPS, Capability.STORIES}
    assert "lacks WAWebChatForwardMessage. Upgrade the bridge" in lacking[Capability.FORWARD]
    whatsapp.change_modules()
    await until(lambda: provider.state.state is InstanceState.READY)
    assert set(await provider.lacking()) == {Capability.STORIES}, "by its settings"
    await provider.stop()

    provider = await station.start(web_version=version)
    await until(lambda: provider.state.state is InstanceState.READY)
    pages = whatsapp.pages_served
    await provider.stop()
    provider = await station.start()
    await until(lambda: provider.state.state is InstanceState.READY)
    assert (pages, whatsapp.pages_served) == (2, 3)
    await provider.stop()
    provider = await station.start(web_version="2.1.1")
    await until(lambda: "Couldn't load version 2.1.1" in (provider.state.reason or ""))


async def test_older_messages_come_from_the_phone_when_they_are_asked_for(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    for day in range(1, 5):
        ann.sends(agent, "chat", {"body": f"day {day}"}, t=1_790_000_000 + 86_400 * day)
    agent.on_phone[ann.pn] = 1_790_000_000 + 86_400 * 3
    provider = await station.ready(agent)
    await station.inbox.message("day 4")
    assert "day 2" not in {event.message.text for event in station.inbox.received()}
    newest = await provider.history(ann.pn, before=None, limit=2)
    assert [message.text for message in newest] == ["day 4", "day 3"]
    older = await provider.history(ann.pn, before=newest[-1].id, limit=10)
    assert [message.text for message in older] == ["day 2", "day 1"]
    assert [op for op, _ in whatsapp.calls].count("ask_phone") == 1
