"""What breaks in a WhatsApp Web that is driven by a program, and what becomes of it here."""

import dataclasses
from pathlib import Path

import psutil
import pytest

from providers.states import InstanceState
from providers.whatsappweb.client import Bridge
from tests.providers.harness import Running
from tests.providers.whatsappweb.conftest import QUICK, Station, browsers
from tests.providers.whatsappweb.person import WhatsAppHarness, log_in
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

pytestmark = pytest.mark.anyio


def browser_of(station: Station) -> list[psutil.Process]:
    """The processes that work in the instance's profile."""
    return browsers(station.folder / "instance")


async def comes_back(station: Station) -> None:
    """Degraded, and then ready, by itself."""
    await station.inbox.state(InstanceState.DEGRADED)
    await until(lambda: station.inbox.states()[-1] is InstanceState.READY)


def is_written(station: Station) -> bool:
    """Whether the login is on the disk, in the local storage of its page."""
    folder = station.folder / "instance" / "session" / "Default" / "Local Storage"
    return any(b"device-" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def kill(station: Station, *victims: str) -> None:
    browser = browser_of(station)
    bridge = browser[0].parent()
    assert bridge is not None
    assert "bridge.mjs" in " ".join(bridge.cmdline())
    if "bridge" in victims:
        bridge.kill()
    if "browser" in victims:
        for process in browser:
            process.kill()


async def test_a_killed_browser_is_started_again_and_nothing_is_missed(station: Station, agent: Account, ann: Account) -> None:
    await station.ready(agent)
    await until(lambda: is_written(station), within=4)  # left to itself, the browser lets 5 s pass
    station.inbox.events.clear()
    kill(station, "browser")
    ann.writes(agent, "are you there?")
    await comes_back(station)
    event = await station.inbox.message("are you there?")
    assert not event.backfill
    assert InstanceState.QR_READY not in station.inbox.states()


@pytest.mark.parametrize("victims", [("bridge",), ("browser", "bridge")], ids="-and-".join)
async def test_killed_right_after_the_scan_its_login_is_kept_or_the_loss_is_said(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, victims: tuple[str, ...]
) -> None:
    """A browser whose bridge alone was killed closes in order, which does not always write a login that is so new."""
    whatsapp.holds_sync = True
    provider = await station.start()
    await log_in(provider, agent)
    await station.inbox.state(InstanceState.AUTHENTICATED)
    kill(station, *victims)
    whatsapp.holds_sync = False
    await station.inbox.state(InstanceState.DEGRADED)
    is_kept = is_written(station)
    await until(lambda: station.inbox.states()[-1] in {InstanceState.READY, InstanceState.QR_READY})
    assert (provider.state.state is InstanceState.READY) == is_kept
    if not is_kept:
        assert "The login is not there any more" in (provider.state.reason or "")
        await station.log_in(provider, agent)
        assert len(agent.devices) == 2, "the first one stays on the phone"


async def test_a_page_that_hangs_is_started_again(station: Station, agent: Account, ann: Account) -> None:
    await station.ready(agent)
    agent.hang()
    ann.writes(agent, "hello?")
    await comes_back(station)
    await station.inbox.message("hello?")


async def test_a_killed_bridge_leaves_no_browser_behind(station: Station, agent: Account) -> None:
    await station.ready(agent)
    await until(lambda: is_written(station))
    browser = browser_of(station)
    kill(station, "bridge")
    await until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in browser))
    await comes_back(station)
    assert len(agent.devices) == 1, "the login is kept"


async def test_a_bridge_whose_parent_is_gone_closes_its_browser_and_ends(station: Station, tmp_path: Path) -> None:
    bridge = await Bridge.start(station.machine, station.folder / "instance", 0.3)
    names = [event.name async for event in until_qr(bridge)]
    assert names[-1] == "qr"
    family = psutil.Process(bridge.pid).children(recursive=True)
    assert family
    bridge.close()  # all that is left of a parent that was killed is the end of its pipe
    last = [event async for event in bridge.events()][-1]
    assert (last.name, last.data) == ("exit", {"reason": "parent_gone"})
    await until(lambda: not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family))
    await bridge.stop()


async def until_qr(bridge: Bridge):
    async for event in bridge.events():
        yield event
        if event.name == "qr":
            return


async def test_nothing_is_written_beside_the_login(station: Station, agent: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's page cache writes into the working folder, and where it cannot, it never becomes ready."""
    read_only = tmp_path / "read-only"
    read_only.mkdir(mode=0o500)
    monkeypatch.chdir(read_only)
    await station.ready(agent)
    assert not list(read_only.iterdir())
    assert not list(station.folder.rglob(".wwebjs_cache"))


async def test_a_stale_lock_of_a_killed_container_does_not_keep_it_from_starting(station: Station, agent: Account) -> None:
    session = station.folder / "instance" / "session"
    session.mkdir(parents=True)
    (session / "SingletonLock").symlink_to("another-machine-4711")
    await station.ready(agent)
    assert not (session / "SingletonLock").is_symlink() or "another-machine" not in str((session / "SingletonLock").readlink())


async def test_a_page_that_does_not_show_what_it_sends_is_started_again(harness: WhatsAppHarness, station: Station, agent: Account) -> None:
    provider = await station.ready(agent)
    agent.mute()
    await station.whatsapp.settled()
    await provider.send(Running(harness, provider, station.inbox).draft("hello"))
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert "does not show what it sends" in (degraded.reason or "")
    await comes_back(station)


async def test_messages_that_the_page_does_not_tell_of_are_found_and_it_is_started_again(station: Station, agent: Account, ann: Account) -> None:
    await station.ready(agent)
    agent.mute()
    await station.whatsapp.settled()
    # The first may still be found by the look around that follows the login, and then says nothing about the page.
    texts = ["one", "two", "three"]
    for number, text in enumerate(texts):
        ann.sends(agent, "chat", {"body": text}, t=4_000_000_000 + number)
        await station.inbox.message(text)
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert "did not tell" in (degraded.reason or "")
    await comes_back(station)
    assert [event.message.text for event in station.inbox.received()] == texts


async def test_a_chat_that_cannot_be_read_back_keeps_nothing_of_the_others_and_is_made_good(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    bob = whatsapp.account("15550102", "Bob")
    provider = await station.ready(agent)
    for person in (ann, bob):
        person.writes(agent, f"{person.name} before")
        await station.inbox.message(f"{person.name} before")
    await provider.stop()
    station.inbox.events.clear()
    for number in range(30):
        ann.writes(agent, f"Ann {number}")
    bob.writes(agent, "Bob")
    agent.unreadable.add(ann.pn)
    provider = await station.start(timing=station.patient(read_again=0.1))
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert f"{ann.pn} (internal-server-error)" in (degraded.reason or "")
    await station.inbox.message("Bob")
    # The page holds 20 messages of each chat, and gets no more of this one.
    assert {event.message.text for event in station.inbox.received()} == {"Bob", *(f"Ann {number}" for number in range(10, 30))}
    await provider.stop()
    before = len(station.inbox.states())
    provider = await station.start(timing=station.patient(read_again=0.1))
    await until(lambda: station.inbox.states()[before:][-1:] == [InstanceState.DEGRADED])  # it is not forgotten
    agent.unreadable.clear()
    await station.inbox.message("Ann 0")
    await until(lambda: provider.state.state is InstanceState.READY)
    texts = [event.message.text for event in station.inbox.received()]
    assert sorted(texts) == sorted(["Bob", *(f"Ann {number}" for number in range(30))])


async def test_offline_it_is_degraded_and_back_online_it_has_what_it_missed(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    await station.ready(agent)
    whatsapp.is_down = True
    whatsapp.pages[0].hang_up()
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert "no connection" in (degraded.reason or "")
    ann.writes(agent, "while you were away")
    whatsapp.is_down = False
    await comes_back(station)
    await station.inbox.message("while you were away")


async def test_opened_elsewhere_is_said_and_taken_back(station: Station, agent: Account) -> None:
    await station.ready(agent)
    agent.say_state("CONFLICT")
    degraded = await station.inbox.state(InstanceState.DEGRADED)
    assert "somewhere else" in (degraded.reason or "")
    await comes_back(station)


@pytest.mark.parametrize(("socket", "words"), [("TOS_BLOCK", "blocked this number"), ("DEPRECATED_VERSION", "Update")])
async def test_what_only_a_person_can_mend_is_an_error_and_not_tried_again(station: Station, agent: Account, socket: str, words: str) -> None:
    provider = await station.ready(agent)
    agent.say_state(socket)
    error = await station.inbox.state(InstanceState.ERROR)
    assert words in (error.reason or "")
    await until(lambda: not browser_of(station))
    assert provider.state is error


async def test_a_browser_that_never_starts_is_an_error_in_the_end(station: Station) -> None:
    timing = dataclasses.replace(QUICK, restarts=2)
    provider = station.make(timing=timing)
    provider._machine = dataclasses.replace(station.machine, chromium="/bin/false")
    await provider.start(station.inbox.deliver)
    error = await station.inbox.state(InstanceState.ERROR)
    assert "3 times in a row" in (error.reason or "")
    assert station.inbox.states().count(InstanceState.DEGRADED) == timing.restarts, "each time is counted"


async def test_a_machine_without_a_browser_says_what_to_install(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_MODULES", "/nowhere")
    provider = station.make()
    provider._machine = None
    await provider.start(station.inbox.deliver)
    error = await station.inbox.state(InstanceState.ERROR)
    assert "npm ci" in (error.reason or "")
