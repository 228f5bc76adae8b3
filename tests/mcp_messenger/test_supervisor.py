"""Who runs which instance: one process each, and it is stopped, handed over and fenced off in time."""

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from db import leases
from db.errors import StoreUnavailable
from db.instances import get
from mcp_messenger.app import POOL_MAX
from mcp_messenger.config.timing import Timing
from mcp_messenger.delivery.owned_instance import OwnedInstance
from mcp_messenger.errors import NoSuchInstance
from mcp_messenger.operations import instances, lifecycle, removal, sending
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, UpdateInstance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.removal import DeleteInstance
from mcp_messenger.security.caller import ADMIN
from providers import REGISTRY
from tests.breaking import BreakingSandbox
from tests.postgres import execute
from tests.proxy import proxied
from tests.running import ready_sandbox, running_app, until_status
from tests.standins.telegram_bot_api import TelegramStandIn
from tests.stored import one, rows
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

HISTORY = "SELECT status FROM status_history ORDER BY id"
SIX = range(6)


def held_by(app: App) -> set[str]:
    return {str(instance_id) for instance_id in app.supervisor.owned}


def owned(app: App, instance_id: str) -> OwnedInstance:
    found = app.supervisor.get(UUID(instance_id))
    assert found is not None
    return found


def of(instance_id: str) -> OfInstance:
    return OfInstance(instance_id=instance_id)


async def test_of_three_processes_one_runs_each_instance_and_the_others_inherit_at_once(database_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_app(database_url, tmp_path))
        others = [await stack.enter_async_context(running_app(database_url, tmp_path)) for _ in range(2)]
        async with running_app(database_url, tmp_path) as leaving:
            made = [await instances.create_instance(leaving, ADMIN, sandbox()) for _ in SIX]
            ids = {one.instance_id for one in made}
            for instance_id in ids:
                await until_status(leaving, instance_id, "ready")
            shares = [held_by(app) for app in (first, *others, leaving)]
            assert sum(map(len, shares)) == 6
            assert set().union(*shares) == ids
        with anyio.fail_after(3):
            await until(lambda: set().union(*(held_by(app) for app in (first, *others))) == ids)
        assert sum(len(held_by(app)) for app in (first, *others)) == 6
        for instance_id in ids:
            sent = await sending.send_message(first, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
            assert sent.status in {"sent", "delivered", "read"}


def sandbox(**credentials: Any) -> CreateInstance:
    return CreateInstance(provider="sandbox", credentials={"auto_scan": True, "page": False, **credentials})


async def test_a_process_that_does_not_run_it_can_stop_start_restart_and_delete_it(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as owner:
        instance_id = await ready_sandbox(owner)
        async with running_app(database_url, tmp_path) as other:
            with anyio.fail_after(5):
                assert (await lifecycle.stop_instance(other, ADMIN, of(instance_id))).status == "stopped"
                await until(lambda: held_by(owner) | held_by(other) == set())
                await lifecycle.start_instance(other, ADMIN, of(instance_id))
                await until_status(owner, instance_id, "ready")
                await lifecycle.restart_instance(other, ADMIN, of(instance_id))
                await until_status(owner, instance_id, "ready")
            assert len(held_by(owner) | held_by(other)) == 1
            with anyio.fail_after(5):
                await removal.delete_instance(other, ADMIN, DeleteInstance(instance_id=instance_id, purge=True))
                await until(lambda: held_by(owner) | held_by(other) == set())
            with pytest.raises(NoSuchInstance):
                await instances.get_instance(owner, ADMIN, of(instance_id))
    for table in ("leases", "outbox", "events", "status_history", "messages", "chats", "contacts"):
        assert one(database_url, f"SELECT count(*) FROM {table}") == 0, table


async def test_the_history_says_each_state_once(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        await lifecycle.stop_instance(app, ADMIN, of(instance_id))
        await lifecycle.stop_instance(app, ADMIN, of(instance_id))
        await lifecycle.start_instance(app, ADMIN, of(instance_id))
        await until_status(app, instance_id, "ready")
        await lifecycle.start_instance(app, ADMIN, of(instance_id))
        await lifecycle.restart_instance(app, ADMIN, of(instance_id))
        await until_status(app, instance_id, "ready")
        await until(lambda: one(database_url, "SELECT count(*) FROM status_history") >= 12)
    again = ["stopped", "processing", "starting", "ready"]
    found = [status for (status,) in rows(database_url, HISTORY)]
    assert found == ["starting", "qr_ready", "authenticated", "ready", *again, *again]


async def test_a_stop_that_is_taken_back_at_once_leaves_the_instance_running(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lifecycle.stop_instance, app, ADMIN, of(instance_id))
                await until(lambda: one(database_url, "SELECT desired FROM message_instances") == "stopped")
                await lifecycle.start_instance(app, ADMIN, of(instance_id))
            await until_status(app, instance_id, "ready")
            await until(lambda: held_by(app) == {instance_id})
            sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
            assert sent.status in {"sent", "delivered", "read"}


async def test_what_ran_runs_again_when_the_server_comes_back(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        running, stopped = await ready_sandbox(app), await ready_sandbox(app)
        await lifecycle.stop_instance(app, ADMIN, of(stopped))
        assert rows(database_url, "SELECT desired, status FROM message_instances ORDER BY desired") == [("running", "ready"), ("stopped", "stopped")]
        states = one(database_url, "SELECT count(*) FROM status_history")
    async with running_app(database_url, tmp_path) as app:
        await until(lambda: one(database_url, "SELECT count(*) FROM status_history") == states + 2)
        assert held_by(app) == {running}
    assert [status for (status,) in rows(database_url, HISTORY)][-2:] == ["starting", "ready"]


async def test_an_owner_that_died_while_stopping_is_made_up_for(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
    execute(database_url, "UPDATE message_instances SET desired = 'stopped'")
    async with running_app(database_url, tmp_path) as app:
        await until_status(app, instance_id, "stopped")


async def look(app: App) -> None:
    """Have the supervisor look once more at what there is to run, and return when it has."""
    looked, usual = anyio.Event(), app.supervisor.looked
    app.supervisor.looked = looked.set
    app.supervisor.wake()
    with anyio.fail_after(PATIENCE):
        await looked.wait()
    app.supervisor.looked = usual
    usual()


async def reason(app: App, instance_id: str) -> str:
    await until_status(app, instance_id, "error")
    row = await get(app.database, UUID(instance_id))
    assert row is not None
    return row.status_reason or ""


async def test_what_cannot_be_built_says_so_and_is_left_alone_until_it_is_changed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_app(database_url, tmp_path) as app:
        well, wrong, no_code = [await ready_sandbox(app) for _ in range(3)]
        for instance_id in (wrong, no_code):
            await lifecycle.stop_instance(app, ADMIN, of(instance_id))
        monkeypatch.setitem(REGISTRY, "slack", "providers.no_such_module:Nothing")
        execute(
            database_url,
            f"UPDATE message_instances SET desired = 'running', settings = '{{\"nonsense\": 1}}' WHERE id = '{wrong}'",
            f"UPDATE message_instances SET desired = 'running', provider = 'slack' WHERE id = '{no_code}'",
        )
        app.supervisor.wake()
        assert "nonsense" in await reason(app, wrong)
        assert "broke down" in await reason(app, no_code)
        epochs = "SELECT instance_id, epoch FROM leases ORDER BY instance_id"
        before = rows(database_url, epochs)
        for _ in range(5):
            await look(app)
        assert rows(database_url, epochs) == before
        assert held_by(app) == {well}
        execute(database_url, f"UPDATE message_instances SET settings = '{{}}' WHERE id = '{wrong}'")
        await instances.update_instance(app, ADMIN, UpdateInstance(instance_id=wrong, credentials={"auto_scan": True, "page": False}))
        await until_status(app, wrong, "ready")
        assert one(database_url, "SELECT count(*) FROM instance_errors") == 2


async def test_chats_that_cannot_be_listed_keep_no_instance_from_running(database_url: str, tmp_path: Path, breaking: type[BreakingSandbox]) -> None:
    async with running_app(database_url, tmp_path) as app:
        with breaking.broken("list_chats"):
            instance_id = await ready_sandbox(app)
            sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
            assert sent.status in {"sent", "delivered", "read"}
            await lifecycle.restart_instance(app, ADMIN, of(instance_id))
            await until_status(app, instance_id, "ready")
            assert rows(database_url, "SELECT 1 FROM chats WHERE id = 'team'") == []


@pytest.mark.parametrize("broken", ["start", "stop"])
async def test_a_provider_that_breaks_takes_nobody_with_it(broken: str, database_url: str, tmp_path: Path, breaking: type[BreakingSandbox]) -> None:
    async with running_app(database_url, tmp_path) as app:
        well, ill = await ready_sandbox(app), await ready_sandbox(app)
        await lifecycle.stop_instance(app, ADMIN, of(ill))
        with breaking.broken(broken):
            await lifecycle.start_instance(app, ADMIN, of(ill))
            assert "broke down" in await reason(app, ill)
            await until(lambda: held_by(app) == {well})
        sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=well, to="ann", message="hello"))
        assert sent.status in {"sent", "delivered", "read"}
        await lifecycle.start_instance(app, ADMIN, of(ill))
        await until_status(app, ill, "ready")


async def test_what_is_being_sent_ends_before_the_instance_stops(database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram, running_app(database_url, tmp_path) as app:
        bot = telegram.add_bot()
        chat_id = str(bot.person("Ann"))
        instance_id = await telegram_instance(app, telegram.url, bot.token)
        hold = bot.hold_next("sendMessage")
        async with anyio.create_task_group() as tasks:
            for text in ("first", "second"):
                tasks.start_soon(sending.send_message, app, ADMIN, sending.SendMessage(instance_id=instance_id, to=chat_id, message=text))
                await until(lambda text=text: rows(database_url, "SELECT 1 FROM messages WHERE body = %s", text))
            await hold.arrived.wait()
            tasks.start_soon(lifecycle.stop_instance, app, ADMIN, of(instance_id))
            await until(lambda: owned(app, instance_id).stopping)
            hold.let_go.set()
            await until_status(app, instance_id, "stopped")
            assert rows(database_url, "SELECT body, status FROM messages ORDER BY id") == [("first", "sent"), ("second", "queued")]
            tasks.cancel_scope.cancel()
        await lifecycle.start_instance(app, ADMIN, of(instance_id))
        await until(lambda: one(database_url, "SELECT status FROM messages WHERE body = 'second'") == "sent")
        assert [call.params["text"] for call in bot.sent] == ["first", "second"]


async def test_a_send_that_does_not_end_is_cut_short_and_unknown(database_url: str, tmp_path: Path) -> None:
    async with TelegramStandIn() as telegram:
        bot = telegram.add_bot()
        chat_id = str(bot.person("Ann"))
        hold = bot.hold_next("sendMessage")
        async with running_app(database_url, tmp_path, timing=Timing(stop=0.5)) as app, anyio.create_task_group() as tasks:
            instance_id = await telegram_instance(app, telegram.url, bot.token)
            tasks.start_soon(sending.send_message, app, ADMIN, sending.SendMessage(instance_id=instance_id, to=chat_id, message="hello"))
            await hold.arrived.wait()
            tasks.cancel_scope.cancel()
        assert one(database_url, "SELECT status FROM messages") == "sending"
        hold.let_go.set()
        async with running_app(database_url, tmp_path) as app:
            await until(lambda: one(database_url, "SELECT status FROM messages") == "unknown")
        assert len(bot.sent) == 1


async def telegram_instance(app: App, base_url: str, token: str) -> str:
    create = CreateInstance(provider="telegram", credentials={"token": token, "base_url": base_url})
    instance_id = (await instances.create_instance(app, ADMIN, create)).instance_id
    await until_status(app, instance_id, "ready")
    return instance_id


async def test_a_store_that_goes_away_and_comes_back(database_url: str, tmp_path: Path) -> None:
    """A send that the platform took meanwhile is settled, nobody polls without a lease, and all of it runs again."""
    async with proxied(database_url) as proxy, TelegramStandIn() as telegram, running_app(proxy.url, tmp_path) as app:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        instance_id = await telegram_instance(app, telegram.url, bot.token)
        former = owned(app, instance_id)
        hold = bot.hold_next("sendMessage")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_unheard, app, instance_id, str(ann))
            await hold.arrived.wait()
            await proxy.go_down()
            hold.let_go.set()
            await telegram.until(lambda: bool(bot.sent))
            bot.user_writes(ann, "written meanwhile")
            await until(lambda: app.feed.poll_every < 1)
            await proxy.come_back()
            with anyio.fail_after(10):
                await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE status = 'sent'"))
                await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE body = 'written meanwhile'"))
        assert owned(app, instance_id) is former
        assert one(database_url, "SELECT epoch FROM leases") == 1
        assert len(bot.sent) == 1


async def send_unheard(app: App, instance_id: str, chat_id: str) -> None:
    """Whatever the caller hears while the store is away."""
    with suppress(StoreUnavailable):
        await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to=chat_id, message="hello"))


@pytest.mark.parametrize("how", ["down", "hanging"])
async def test_without_the_store_an_instance_stops_before_another_process_could_run_it(how: str, database_url: str, tmp_path: Path) -> None:
    async with proxied(database_url) as proxy, TelegramStandIn() as telegram, running_app(proxy.url, tmp_path) as app:
        bot = telegram.add_bot()
        ann = bot.person("Ann")
        instance_id = await telegram_instance(app, telegram.url, bot.token)
        former = owned(app, instance_id)
        if how == "down":
            await proxy.go_down()
        else:
            proxy.hang()
        with anyio.fail_after(leases.TTL):
            await until(lambda: former.provider.state.state == "stopped")
        assert one(database_url, "SELECT expires_at >= now() FROM leases")
        polls = len(bot.calls)
        bot.user_writes(ann, "hello")
        if how == "down":
            await proxy.come_back()
        else:
            proxy.flow()
        with anyio.fail_after(20):
            await until(lambda: rows(database_url, "SELECT 1 FROM messages WHERE body = 'hello'"))
        assert len(bot.calls) > polls
        assert owned(app, instance_id) is not former
        assert one(database_url, "SELECT epoch FROM leases") == 2


async def test_an_idle_application_stops_within_a_second(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await ready_sandbox(app, page=True)
        await until(lambda: app.feed.poll_every > 1)
        began = anyio.current_time()
    assert anyio.current_time() - began < 1


async def test_leases_are_renewed_while_every_connection_of_the_pool_is_busy(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app, AsyncExitStack() as busy:
        instance_id = await ready_sandbox(app)
        for _ in range(POOL_MAX):
            await busy.enter_async_context(app.database.transaction())
        expires = "SELECT expires_at FROM leases WHERE instance_id = %s"
        ((before,),) = rows(database_url, expires, instance_id)
        for _ in range(2):
            await until(lambda before=before: rows(database_url, expires, instance_id)[0][0] > before, leases.TTL)
            ((before,),) = rows(database_url, expires, instance_id)
        assert held_by(app) == {instance_id}
