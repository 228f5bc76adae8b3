"""What WhatsApp brings and cannot be read here: it arrives as what can be said of it, and keeps back nothing else."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from providers.events import NoticeReceived
from providers.models import MessageKind
from providers.whatsappweb.machine import BRIDGE, find_machine
from tests.providers.whatsappweb import machine
from tests.providers.whatsappweb.conftest import Station
from tests.standins.whatsapp_web import Account, WhatsAppStandIn
from tests.waiting import until

pytestmark = pytest.mark.anyio


UNREAD = "[A part of this message could not be read here: location.] It is on the phone."


async def test_a_message_of_another_form_arrives_once_as_what_can_be_said_of_it(station: Station, agent: Account, ann: Account) -> None:
    def arrived() -> list[str]:
        return [event.message.text for event in station.inbox.received()]

    provider = await station.ready(agent)
    ann.sends(agent, "location", {"loc": "nowhere"})
    ann.writes(agent, "while it listens")
    await station.inbox.message("while it listens")
    assert arrived() == [UNREAD, "while it listens"]
    message = station.inbox.received()[0].message
    assert (message.kind, message.sender_id, message.raw["loc"]) == (MessageKind.UNKNOWN, ann.pn, "nowhere")
    listed = await provider.history(ann.pn, before=None, limit=10)
    assert [message.text for message in listed] == ["while it listens", UNREAD]
    await provider.stop()
    ann.sends(agent, "location", {"loc": "nowhere"})
    ann.writes(agent, "while it is away")
    for _ in range(2):
        provider = await station.ready(agent)
        await station.inbox.message("while it is away")
        await until(lambda: arrived().count(UNREAD) == 2)
        await provider.stop()
    assert arrived() == [UNREAD, "while it listens", UNREAD, "while it is away"]


async def test_a_message_whose_key_has_not_come_is_noted_and_arrives_with_it(
    station: Station, whatsapp: WhatsAppStandIn, agent: Account, ann: Account
) -> None:
    provider = await station.ready(agent)
    late = ann.sends(agent, "ciphertext", {})
    note = await station.inbox.message("A message cannot be decrypted on this device yet. It is on the phone, and comes here once its key does.")
    assert (note.message.kind, note.chat.id) == (MessageKind.SYSTEM, ann.pn)
    ann.decrypts(late, "late")
    event = await station.inbox.message("late")
    assert (event.message.id, event.message.kind) == (late.id_for(agent), MessageKind.TEXT)
    await provider.stop()
    station.inbox.events.clear()
    missed = ann.sends(agent, "ciphertext", {})
    await station.ready(agent)
    await until(lambda: len(station.inbox.received()) == 1)
    ann.decrypts(missed, "later")
    await station.inbox.message("later")
    assert [event.message.kind for event in station.inbox.received()] == [MessageKind.SYSTEM, MessageKind.TEXT]


async def test_another_bridge_can_be_run_and_a_line_of_it_that_cannot_be_read_loses_no_message(
    station: Station, agent: Account, ann: Account, tmp_path: Path
) -> None:
    folder = tmp_path / "bridge"
    shutil.copytree(BRIDGE, folder, ignore=shutil.ignore_patterns("node_modules", "test"))
    channel = folder / "channel.mjs"
    told = "        this.write({ event,"
    broken = "        if (event === 'message_create') return void this.output.write('{\"event\": \\n');\n"
    assert told in channel.read_text()
    channel.write_text(channel.read_text().replace(told, broken + told))
    environ = {"WHATSAPP_NODE": machine.node(), "WHATSAPP_CHROMIUM": "/chromium", "WHATSAPP_MODULES": str(machine.modules())}
    found = find_machine({**environ, "WHATSAPP_BRIDGE": str(folder)})
    assert found.bridge == folder
    provider = station.make()
    provider._machine = dataclasses.replace(station.machine, bridge=found.bridge)
    await provider.start(station.inbox.deliver)
    await station.log_in(provider, agent)
    ann.writes(agent, "is it there?")
    await station.inbox.message("is it there?")
    assert not [event for event in station.inbox.events if isinstance(event, NoticeReceived)]
