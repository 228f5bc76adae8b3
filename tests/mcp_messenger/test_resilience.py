"""What strangers on the same database do, or a statement that is cancelled, does not end the server."""

from pathlib import Path

import anyio
import psycopg
import pytest

from db.errors import StoreUnavailable
from mcp_messenger.observability.workers import Workers
from mcp_messenger.operations.application import App
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from providers.errors import NotFound
from tests.running import ready_sandbox, running_app
from tests.waiting import until

pytestmark = pytest.mark.anyio

WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE %s"


async def still_works(app: App) -> None:
    instance_id = await ready_sandbox(app, persona="human")
    sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="still there?"))
    assert sent.status in {"sent", "delivered", "read"}


@pytest.mark.parametrize("channel", ["mcp_messenger_events", "mcp_messenger_outbox", "mcp_messenger_instances"])
async def test_a_wake_up_that_makes_no_sense(channel: str, database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await still_works(app)
        with psycopg.connect(database_url, autocommit=True) as stranger:
            stranger.execute(f"NOTIFY {channel}, 'hello'".encode())
        await still_works(app)


@pytest.mark.parametrize(("table", "statement"), [("leases", "%leases%"), ("events", "%FROM public.events%")])
async def test_a_statement_that_is_cancelled(table: str, statement: str, database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await still_works(app)
        with psycopg.connect(database_url) as stranger, psycopg.connect(database_url, autocommit=True) as administrator:
            stranger.execute(f"LOCK TABLE {table}".encode())
            app.supervisor.wake()
            app.feed.grew()
            waiting = await until(lambda: administrator.execute(WAITING, [statement]).fetchall())
            for (pid,) in waiting:
                administrator.execute("SELECT pg_cancel_backend(%s)", [pid])
            stranger.rollback()
        await still_works(app)


async def test_tasks_that_meet_the_same_refusal_are_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    workers = Workers()

    async def meets_it(error: Exception) -> None:
        raise error

    async def work(*errors: Exception) -> None:
        async with anyio.create_task_group() as tasks:
            for error in errors:
                tasks.start_soon(meets_it, error)

    async def refused(*errors: Exception) -> str:
        caplog.clear()
        with workers.worker("files").contained():
            await work(*errors)
        [told] = caplog.records
        return f"{told.levelname} {told.getMessage()}"

    with caplog.at_level("INFO"):
        away = [StoreUnavailable("It starts.") for _ in range(3)]
        assert await refused(*away) == "WARNING store: It starts."
        assert await refused(NotFound("no such file"), KeyError("file")) == "ERROR files broke down"
