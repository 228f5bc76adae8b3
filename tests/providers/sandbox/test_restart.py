"""Nothing that the platform took is lost, however the program ends."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from providers.events import MessageReceived, StateChanged
from providers.models import Draft
from providers.sandbox.phone import Phone
from providers.states import InstanceState
from tests.providers.sandbox.conftest import Sandbox

pytestmark = pytest.mark.anyio

DIES_IN_DELIVER = """
import asyncio, ssl, sys
from pathlib import Path
from providers.base import ProviderContext
from providers.events import MessageReceived, StateChanged
from providers.models import Draft
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.settings import SandboxSettings

ready = asyncio.Event()

async def deliver(events):
    if any(isinstance(event, StateChanged) and event.state == "ready" for event in events):
        ready.set()
    if any(isinstance(event, MessageReceived) and not event.message.outgoing for event in events):
        print("in deliver", flush=True)
        await asyncio.Event().wait()

async def main():
    context = ProviderContext("sandbox-1", ssl.create_default_context(), Path(sys.argv[1]))
    provider = SandboxProvider(SandboxSettings(auto_scan=True, page=False, persona="echo"), context)
    await provider.start(deliver)
    await ready.wait()
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="are you there?"))
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_message_survives_kill_9_between_the_store_and_deliver(sandbox: Sandbox) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", DIES_IN_DELIVER, str(sandbox.context.data_dir)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in deliver\n"
        process.kill()
    assert process.returncode == (-signal.SIGKILL if sys.platform != "win32" else 1)
    provider, inbox = await sandbox.ready(persona="echo")
    await inbox.message("echo: are you there?")
    assert InstanceState.QR_READY not in inbox.states()
    assert len(await provider.history("ann", before=None, limit=10)) == 2


async def test_what_was_not_taken_before_stop_is_delivered_after_the_next_start(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    inbox.refuse(100)
    message_id = Phone(provider.world).write("ann", "still there?")
    await inbox.wait(MessageReceived, refused=True)
    _, inbox = await sandbox.ready()
    assert (await inbox.message("still there?")).message.id == message_id
    provider, inbox = await sandbox.ready()
    Phone(provider.world).write("ann", "once")
    await inbox.message("once")
    assert len([event for event in inbox.events if isinstance(event, MessageReceived)]) == 1


async def test_a_state_that_was_not_taken_is_told_again_before_all_that_came_later(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    inbox.refuse(1, StateChanged)
    await provider.logout()
    await inbox.wait(StateChanged, refused=True)
    assert (await inbox.state(InstanceState.LOGGED_OUT)).reason == "Logged out by this side."


async def test_messages_wait_while_nobody_is_logged_in(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    world = provider.world
    await provider.logout()
    await inbox.state(InstanceState.LOGGED_OUT)
    Phone(world).write("ann", "where did you go?")
    assert not [event for event in inbox.events if isinstance(event, MessageReceived)]
    _, inbox = await sandbox.ready()
    await inbox.message("where did you go?")
    ready = next(index for index, event in enumerate(inbox.events) if isinstance(event, StateChanged) and event.state is InstanceState.READY)
    assert not [event for event in inbox.events[:ready] if isinstance(event, MessageReceived)]


async def test_a_start_while_running_is_a_restart(sandbox: Sandbox) -> None:
    provider, first = await sandbox.ready()
    await provider.start(first.deliver)
    await first.wait(StateChanged, lambda event: first.states().count(InstanceState.READY) == 2)
    await provider.send(Draft(client_id="c-1", chat_id="ann", text="once"))
    await first.message("once")
    assert [event.message.text for event in first.events if isinstance(event, MessageReceived)] == ["once"]


async def test_a_platform_that_breaks_down_is_an_error_state(sandbox: Sandbox) -> None:
    provider, inbox = await sandbox.ready()
    with sqlite3.connect(sandbox.context.data_dir / "world.sqlite3") as other:
        other.execute("DROP TABLE facts")
    provider.world.touch()
    error = await inbox.state(InstanceState.ERROR)
    assert error.reason is not None
    assert "Restart the instance" in error.reason
