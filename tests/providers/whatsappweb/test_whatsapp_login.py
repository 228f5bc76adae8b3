"""Linking: QR codes, pairing codes, passkeys, and being unlinked."""

from datetime import UTC, datetime, timedelta

import pytest

from providers.errors import InvalidRequest, Unreachable
from providers.events import Need, QrCode, StateChanged
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.providers.whatsappweb.conftest import Station
from tests.providers.whatsappweb.person import log_in
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def shown(inbox: Inbox, sequence: int) -> QrCode:
    event = await inbox.wait(StateChanged, lambda event: event.qr is not None and event.qr.sequence == sequence)
    assert event.qr is not None
    return event.qr


async def test_qr_codes_are_numbered_and_the_first_one_lasts_longer(station: Station, whatsapp: WhatsAppStandIn) -> None:
    await station.start()
    first = await shown(station.inbox, 1)
    whatsapp.renew_ref(whatsapp.pages[0])
    second = await shown(station.inbox, 2)
    assert first.expires_at - first.issued_at == timedelta(seconds=60)
    assert second.expires_at - second.issued_at == timedelta(seconds=20)
    assert first.content != second.content


@pytest.mark.parametrize("tears", [["/"] * 2, ["/static/models.js", "/static/start.js"] * 2, ["/wire"] * 2], ids=["page", "scripts", "line"])
async def test_a_page_that_a_changing_network_tore_is_loaded_again(station: Station, whatsapp: WhatsAppStandIn, tears: list[str]) -> None:
    """Chromium breaks off all that it loads where a network of the machine comes or goes, as with each container's."""
    whatsapp.tears = tears
    await station.start()
    await shown(station.inbox, 1)
    assert whatsapp.tears == []
    assert station.inbox.states() == [InstanceState.STARTING, InstanceState.QR_READY]


async def test_a_page_that_never_loads_says_what_was_missing(station: Station, whatsapp: WhatsAppStandIn) -> None:
    whatsapp.tears = ["/static/start.js"] * 1_000
    await station.start()
    state = await station.inbox.state(InstanceState.DEGRADED)
    assert "net::ERR_" in (state.reason or "")
    assert "https://web.whatsapp.com/static/start.js" in (state.reason or "")


async def test_an_idle_page_shows_a_new_code_by_itself(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    provider = await station.start()
    await shown(station.inbox, 1)
    whatsapp.idle(whatsapp.pages[0])
    renewed = await shown(station.inbox, 2)
    assert renewed.expires_at - renewed.issued_at == timedelta(seconds=60)
    agent.scan(renewed.content)
    await until(lambda: provider.state.state is InstanceState.READY)


async def test_a_pairing_code_links_the_phone_of_that_number(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    provider = await station.start()
    await shown(station.inbox, 1)
    code = await provider.request_pairing_code("+1 555-0100")
    state = await station.inbox.wait(StateChanged, lambda event: event.pairing_code is not None)
    assert (state.state, state.needs, state.pairing_code) == (InstanceState.QR_READY, Need.PAIRING_CODE, code)
    assert state.qr is not None
    assert state.qr.expires_at > datetime.now(UTC) + timedelta(seconds=150)
    # The QR code beside it is renewed, and the code stays.
    whatsapp.idle(whatsapp.pages[0])
    renewed = await station.inbox.wait(StateChanged, lambda event: event.qr is not None and event.qr.sequence == 2)
    assert renewed.pairing_code == code
    agent.enter_code(code.replace("-", ""))
    await until(lambda: provider.state.state is InstanceState.READY)
    assert (await provider.account()).phone == "+15550100"


async def test_a_pairing_code_needs_a_phone_number(station: Station) -> None:
    provider = await station.start()
    await shown(station.inbox, 1)
    with pytest.raises(InvalidRequest):
        await provider.request_pairing_code("Ann")


async def test_a_demanded_passkey_is_a_need_of_its_own(station: Station, agent: Account) -> None:
    agent.wants_passkey = True
    provider = await station.start()
    agent.scan((await shown(station.inbox, 1)).content)
    state = await station.inbox.wait(StateChanged, lambda event: event.needs is Need.PASSKEY)
    assert state.state is InstanceState.QR_READY
    assert "passkey" in (state.reason or "")
    agent.wants_passkey = False
    await log_in(provider, agent)
    await until(lambda: provider.state.state is InstanceState.READY)


async def test_after_the_scan_no_code_is_shown_and_it_tells_how_far_it_is(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    whatsapp.holds_sync = True
    provider = await station.start()
    agent.scan((await shown(station.inbox, 1)).content)
    linked = await station.inbox.state(InstanceState.AUTHENTICATED)
    assert (linked.qr, linked.needs) == (None, Need.NOTHING)
    assert "loading" in (linked.reason or "")
    whatsapp.progress(40)
    await station.inbox.wait(StateChanged, lambda event: event.state is InstanceState.AUTHENTICATED and "40 %" in (event.reason or ""))
    whatsapp.finish_sync()
    await until(lambda: provider.state.state is InstanceState.READY)


async def test_a_login_that_does_not_become_ready_is_said_so(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    whatsapp.holds_sync = True
    await station.start(timing=station.patient(loading=8))
    agent.scan((await shown(station.inbox, 1)).content)
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert "did not become ready within 8 s after the login" in (degraded.reason or "")


async def test_a_page_that_synced_before_anybody_listened_becomes_ready(station: Station, whatsapp: WhatsAppStandIn, agent: Account) -> None:
    await (await station.ready(agent)).stop()
    whatsapp.syncs_early = True
    await station.ready(agent)


async def test_unlinked_on_the_phone_it_shows_a_new_code_and_the_next_login_lasts(station: Station, agent: Account) -> None:
    """The library deletes the login under the running browser, and what is linked then is lost with the next restart."""
    provider = await station.ready(agent)
    agent.unlink()
    told = await station.inbox.state(InstanceState.LOGGED_OUT)
    assert "as soon as it was ready, by WhatsApp itself or on the phone" in (told.reason or "")
    await log_in(provider, agent)
    await until(lambda: provider.state.state is InstanceState.READY)
    await provider.stop()
    inbox = Inbox()
    again = station.make()
    await again.start(inbox.deliver)
    await inbox.state(InstanceState.READY)
    assert InstanceState.QR_READY not in inbox.states()


async def test_a_login_that_lasted_is_said_to_have_been_ended_on_the_phone(station: Station, agent: Account) -> None:
    await station.ready(agent, timing=station.patient(fresh=0))
    agent.unlink()
    told = await station.inbox.state(InstanceState.LOGGED_OUT)
    assert (told.reason or "").startswith("This device was unlinked on the phone")


async def test_logged_out_by_this_side_the_device_is_gone_and_no_code_is_shown(station: Station, agent: Account) -> None:
    provider = await station.ready(agent)
    assert agent.devices
    await provider.logout()
    await station.inbox.state(InstanceState.LOGGED_OUT)
    assert not agent.devices
    assert not (station.folder / "instance" / "session").exists()
    assert station.inbox.states()[-1] is InstanceState.LOGGED_OUT


async def test_a_logout_that_is_not_confirmed_is_an_error_and_its_end_is_known_later(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account
) -> None:
    provider = await station.ready(agent, timing=station.patient(logout=0.3))
    whatsapp.lost.add("logout")
    with pytest.raises(Unreachable, match="did not confirm"):
        await provider.logout()
    assert provider.state.state is InstanceState.READY
    agent.unlink()
    told = await station.inbox.state(InstanceState.LOGGED_OUT)
    assert told.reason == "Logged out by this side."


async def test_a_login_that_is_gone_is_said_and_what_another_account_has_is_not_taken_for_missed(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    ann.writes(agent, "to the agent")
    await station.inbox.message("to the agent")
    await provider.stop()
    agent.devices.clear()
    bob = whatsapp.account("15550102", "Bob")
    ann.writes(bob, "to Bob")
    provider = await station.start()
    code = await station.inbox.wait(StateChanged, lambda event: event.reason is not None and event.qr is not None)
    assert "The login is not there any more" in (code.reason or "")
    await station.log_in(provider, bob)
    assert (await station.inbox.message("to Bob")).backfill
    assert (await provider.sending_budget()).warm_up_until is not None
