"""Calls to an instance that another process runs: the same answers, the same errors, done once, and honest when nobody does them."""

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from db import calls
from mcp_messenger.config.timing import Timing
from mcp_messenger.errors import InternalError, NotReady
from mcp_messenger.operations import groups, message_actions, messages, sending
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.relay.port import METHODS, RemotePort, deserialize_error, serialize_error
from mcp_messenger.security.caller import ADMIN
from providers import errors
from providers.base import Provider
from providers.models import Media, MediaKind
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from providers.states import InstanceState
from tests.breaking import BreakingSandbox
from tests.postgres import execute
from tests.running import ready_sandbox, running_app
from tests.stored import one, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def two(database_url: str, data_dir: Path, **settings: Any) -> AsyncGenerator[tuple[App, App, str]]:
    """The application that runs a sandbox instance, another one over the same store, and the instance."""
    async with running_app(database_url, data_dir) as owner:
        instance_id = await ready_sandbox(owner, **settings)
        async with running_app(database_url, data_dir) as other:
            assert other.supervisor.get(UUID(instance_id)) is None
            yield owner, other, instance_id


def sandbox(app: App, instance_id: str) -> SandboxProvider:
    owned = app.supervisor.get(UUID(instance_id))
    assert owned is not None
    assert isinstance(owned.provider, SandboxProvider)
    return owned.provider


async def test_what_needs_the_connection_works_from_a_process_without_it(database_url: str, tmp_path: Path) -> None:
    async with two(database_url, tmp_path, persona="human") as (owner, other, instance_id):
        world = sandbox(owner, instance_id).world
        ours = await sending.send_message(other, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
        of_message: dict[str, Any] = {"instance_id": instance_id, "message_id": ours.message_id}
        assert ours.platform_id is not None
        await message_actions.react(other, ADMIN, message_actions.React(**of_message, emoji="👍"))
        assert world.reactions(ours.platform_id) == {"me": "👍"}
        await message_actions.edit_message(other, ADMIN, message_actions.EditMessage(**of_message, message="hello again"))
        assert world.post(ours.platform_id).message.text == "hello again"
        await message_actions.set_typing(other, ADMIN, message_actions.SetTyping(instance_id=instance_id, chat_id="ann"))
        assert world.is_typing("ann")
        await message_actions.delete_message(other, ADMIN, message_actions.ChangeMessage(**of_message))
        with pytest.raises(errors.NotFound):
            world.post(ours.platform_id)
        assert (await messages.get_message(other, ADMIN, messages.GetMessage(**of_message))).message.deleted
        assert one(database_url, "SELECT count(*) FROM calls") == 0


async def test_files_reading_and_history(database_url: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    async with two(database_url, tmp_path, persona="human") as (owner, other, instance_id):
        world = sandbox(owner, instance_id).world
        media = Media(kind=MediaKind.DOCUMENT, ref=world.add_file(content, "application/x-anything", "all bytes.bin"), size=len(content))
        Phone(world).write("ann", "a file", media=[media])
        ((message_id,),) = await until(lambda: rows(database_url, "SELECT id FROM messages"))
        download = messages.DownloadMedia(instance_id=instance_id, message_id=str(message_id))
        assert Path((await messages.download_media(other, ADMIN, download)).path).read_bytes() == content
        await message_actions.mark_read(other, ADMIN, message_actions.MarkRead(instance_id=instance_id, chat_id="ann"))
        assert world.read_up_to("ann") == 1
        execute(database_url, "DELETE FROM messages")
        found = await messages.get_messages(other, ADMIN, messages.GetMessages(instance_id=instance_id, chat_id="ann"))
        assert [message.text for message in found.messages] == ["a file"]


async def test_groups(database_url: str, tmp_path: Path) -> None:
    async with two(database_url, tmp_path, persona="human") as (_, other, instance_id):
        create = groups.CreateGroup(instance_id=instance_id, name="Trip", participants=["ann", "nobody"])
        made = await groups.create_group(other, ADMIN, create)
        assert [(one.id, one.ok) for one in made.results] == [("ann", True), ("nobody", False)]
        change = groups.ChangeParticipants(instance_id=instance_id, group_id=made.group.id, participants=["bob"])
        assert (await groups.add_participants(other, ADMIN, change)).group.participants == ["ann", "bob"]
        remove = groups.RemoveParticipant(instance_id=instance_id, group_id=made.group.id, participant="ann")
        assert (await groups.remove_participant(other, ADMIN, remove)).group.participants == ["bob"]
        listed = await groups.list_groups(other, ADMIN, OfInstance(instance_id=instance_id))
        assert made.group.id in {group.id for group in listed.groups}


async def test_the_caller_reads_what_the_provider_said(database_url: str, tmp_path: Path) -> None:
    async with two(database_url, tmp_path, persona="human") as (_, other, instance_id):
        create = groups.CreateGroup(instance_id=instance_id, name="Trip", participants=["nobody"])
        with pytest.raises(errors.InvalidRequest, match="None of the participants can be added") as refused:
            await groups.create_group(other, ADMIN, create)
        assert refused.value.hint == "Call list_contacts for those there are."
        port = RemotePort(other.calls.asker(UUID(instance_id)))
        with pytest.raises(errors.NotFound, match="No message 'x'"):
            await port.react("ann", "x", "👍")
        assert one(database_url, "SELECT count(*) FROM calls") == 0


async def test_many_calls_at_once_are_each_done_once(database_url: str, tmp_path: Path) -> None:
    async with two(database_url, tmp_path, persona="human") as (owner, other, instance_id):
        before = len(sandbox(owner, instance_id).world.chats())

        async def create(number: int) -> None:
            await RemotePort(other.calls.asker(UUID(instance_id))).create_group(f"Group {number}", ["ann"])

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(create, number)
        assert len(sandbox(owner, instance_id).world.chats()) == before + 20


async def test_a_call_waits_for_the_next_owner(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as asker:
        instance_id = await ready_sandbox(asker)
        owned = asker.supervisor.get(UUID(instance_id))
        assert owned is not None
        execute(database_url, "UPDATE leases SET epoch = epoch + 1, owner = gen_random_uuid(), expires_at = now() + interval '1 second'")
        asker.supervisor.wake()
        await owned.stopped.wait()
        assert await RemotePort(asker.calls.asker(UUID(instance_id))).list_groups()


async def test_a_call_that_nobody_takes_on_was_not_done(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, timing=Timing(claim=0.2)) as asker:
        with pytest.raises(errors.Unreachable, match="runs nowhere now") as failed:
            await RemotePort(asker.calls.asker(uuid4())).list_groups()
        assert failed.value.maybe_sent is False
        assert one(database_url, "SELECT count(*) FROM calls") == 0


async def test_an_owner_that_dies_with_a_call_leaves_it_unknown_and_the_next_does_not_do_it_again(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as asker:
        instance_id = uuid4()
        # Never wanted to run, so that the asking process does not take it itself.
        execute(database_url, f"INSERT INTO message_instances (id, provider, desired) VALUES ('{instance_id}', 'sandbox', 'stopped')")
        execute(database_url, f"INSERT INTO leases VALUES ('{instance_id}', gen_random_uuid(), 7, now() + interval '1 hour')")
        failed: list[errors.Unreachable] = []

        async def ask() -> None:
            with pytest.raises(errors.Unreachable, match="did not answer") as caught:
                await RemotePort(asker.calls.asker(instance_id)).list_groups()
            failed.append(caught.value)

        with anyio.fail_after(calls.CLAIM_WITHIN):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until(lambda: rows(database_url, "SELECT 1 FROM calls"))
                assert len(await calls.claim(asker.database, {instance_id: 7})) == 1
                execute(database_url, "UPDATE leases SET epoch = 8")
                assert await calls.claim(asker.database, {instance_id: 8}) == []
        assert failed[0].maybe_sent
        assert one(database_url, "SELECT count(*) FROM calls") == 0


async def test_who_gives_up_takes_its_call_back(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as asker:
        with anyio.move_on_after(0.3):
            await RemotePort(asker.calls.asker(uuid4())).list_groups()
        assert one(database_url, "SELECT count(*) FROM calls") == 0


async def test_an_instance_that_is_not_ready_there_says_so(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as owner:
        instance_id = await ready_sandbox(owner)
        sandbox(owner, instance_id)._linked().login.unlink("Unlinked.")
        async with running_app(database_url, tmp_path) as other:
            with pytest.raises(NotReady) as refused:
                await RemotePort(other.calls.asker(UUID(instance_id))).list_groups()
            assert refused.value.state is InstanceState.LOGGED_OUT
            assert refused.value.detail.endswith("is logged_out: Unlinked.")


async def test_a_call_that_breaks_there_breaks_nothing_else(database_url: str, tmp_path: Path, breaking: type[BreakingSandbox]) -> None:
    async with two(database_url, tmp_path) as (_, other, instance_id):
        port = RemotePort(other.calls.asker(UUID(instance_id)))
        with breaking.broken("list_groups"), pytest.raises(InternalError):
            await port.list_groups()
        assert await port.list_groups()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_methods_are_the_provider_s(method: str) -> None:
    assert inspect.signature(vars(RemotePort)[method]) == inspect.signature(vars(Provider)[method])


def test_each_method_can_be_asked_for() -> None:
    assert {name for name, one in vars(RemotePort).items() if inspect.iscoroutinefunction(one)} == METHODS


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("No chat.", hint="Look."),
        errors.Forbidden(),
        errors.InvalidRequest("Too long."),
        errors.WindowClosed("Over."),
        errors.Rejected("No."),
        errors.LoggedOut("Gone."),
        errors.Unsupported("telegram", "groups"),
        errors.RateLimited(7, "Slow down."),
        errors.Unreachable("No answer.", maybe_sent=True, hint="Look first."),
        errors.Unreachable("No answer.", maybe_sent=False),
        NotReady("i", InstanceState.STOPPED),
    ],
    ids=lambda error: f"{error.code}-{vars(error).get('maybe_sent', '')}",
)
def test_errors_arrive_as_they_were(error: errors.MessengerError) -> None:
    arrived = deserialize_error(serialize_error(error))
    assert type(arrived) is type(error)
    assert vars(arrived) == vars(error)
