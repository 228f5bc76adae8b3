"""Log lines of instances: they outlive the server that wrote them, and every server shows them."""

import logging
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db.database import Database
from db.errors import StoreUnavailable
from mcp_messenger.observability.logbook import UNWRITTEN, Logbook
from mcp_messenger.operations import diagnostics
from mcp_messenger.operations.application import App
from mcp_messenger.operations.removal import DeleteInstance, delete_instance
from mcp_messenger.security.caller import ADMIN
from tests.running import ready_sandbox, running_app
from tests.stored import new_instance, one, opened, rows

pytestmark = pytest.mark.anyio


async def lines(app: App, instance_id: str) -> list[str]:
    return (await diagnostics.get_logs(app, ADMIN, diagnostics.GetLogs(instance_id=instance_id))).lines


async def test_another_server_shows_what_one_that_is_gone_has_logged(database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mcp_messenger")
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        before = await lines(app, instance_id)
        assert any("state: ready" in line for line in before)
    async with running_app(database_url, tmp_path) as app:
        assert (await lines(app, instance_id))[: len(before)] == before
        await delete_instance(app, ADMIN, DeleteInstance(instance_id=instance_id))
    assert one(database_url, "SELECT count(*) FROM instance_logs") == 0


def say(logbook: Logbook, instance_id: UUID, text: str) -> None:
    made = logging.getLogger("tests").makeRecord("tests", logging.INFO, __file__, 1, text, (), None, extra={"instance_id": str(instance_id)})
    logbook.handle(made)


async def test_lines_wait_for_a_store_that_is_away(database_url: str) -> None:
    logbook = Logbook()
    async with opened(database_url) as database:
        instance_id = await new_instance(database)
        away = Database()
        away.failed(StoreUnavailable())
        say(logbook, uuid4(), "of an instance that is gone")
        for number in range(UNWRITTEN + 10):
            say(logbook, instance_id, f"token=fake-{number:03}x number {number:03}")
        with pytest.raises(StoreUnavailable):
            await logbook.write(away)
        say(logbook, instance_id, "the last one")
        await logbook.write(database)
        assert logbook.unwritten(instance_id) == []
    stored = [line for (line,) in rows(database_url, "SELECT line FROM instance_logs ORDER BY id")]
    assert len(stored) == UNWRITTEN
    assert ("number 011" in stored[0], "the last one" in stored[-1], "fake" in stored[0]) == (True, True, False)
