"""What /health says of troubles that stop nothing yet, and the doctor after it."""

import shutil
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from db import instances
from mcp_messenger.api.rest.streams import current_health
from mcp_messenger.app import running
from mcp_messenger.commands.doctor import examined
from mcp_messenger.config import Config
from mcp_messenger.net.server import open_files
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.operations.warnings import SENDS_REFUSED
from mcp_messenger.security.caller import ADMIN
from providers.errors import Rejected
from tests.mcp_messenger.test_embedded_full_disk import kill_server
from tests.postgres import execute, put_store
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until_answer

pytestmark = pytest.mark.anyio


async def test_slow_troubles_are_named_with_what_to_do(tmp_path: Path, database_url: str) -> None:
    data = tmp_path / "data"
    async with running_app(database_url, data) as app:
        id = UUID(await ready_sandbox(app))
        async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert "warnings" not in (await client.get("/health")).json()["checks"]
            execute(
                database_url,
                f"INSERT INTO outbox (message_id, instance_id, chat_id, draft, not_before, claimed_epoch) "
                f"VALUES (99, '{id}', 'ann', '{{}}', now() - interval '10 minutes', 1000000)",
                f"INSERT INTO deliveries (event_id, instance_id, chat_id, target, run_at, attempts, last_error) "
                f"SELECT max(id), '{id}', 'ann', 'agno', now() + interval '1 hour', 2, 'It does not answer.' FROM events",
            )
            shutil.rmtree(data)
            answer = await client.get("/health")
            found = answer.json()["checks"]["warnings"]
            assert (answer.status_code, found.keys()) == (200, {"disk", "queue", "agents"})
            assert "restart_instance" in found["queue"]
            assert "is gone" in found["disk"]
            findings = {one.check: one for one in await examined(app.config, url)}
            assert "do not answer" in findings["agents"].detail


async def test_sends_that_are_all_refused_are_named(tmp_path: Path, database_url: str) -> None:
    async with running_app(database_url, tmp_path) as app:
        id = await ready_sandbox(app)
        for _ in range(SENDS_REFUSED):
            with pytest.raises(Rejected):
                await send_message(app, ADMIN, SendMessage(instance_id=id, to="blocked", message="hello"))
        assert "failed" in (await current_health(app)).checks["warnings"]["sends"]
        await send_message(app, ADMIN, SendMessage(instance_id=id, to="ann", message="hello"))
        assert "warnings" not in (await current_health(app)).checks


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are counted apart there")
async def test_a_process_that_can_open_hardly_another_file_says_so(tmp_path: Path, database_url: str) -> None:
    import resource

    async with running_app(database_url, tmp_path) as app:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files()[0] + 3, limits[1]))
        try:
            health = await current_health(app)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "ulimit -n" in health.checks["warnings"]["files"]


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be renamed there")
async def test_a_data_folder_that_is_renamed_under_the_server_is_no_empty_store(migrated_store: Path, tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "renamed"
    put_store(migrated_store, data)
    async with running(Config(data_dir=data)) as app:
        id = UUID(await ready_sandbox(app))
        data.rename(elsewhere)
        assert "is gone" in (await current_health(app)).checks["warnings"]["disk"]
        kill_server(elsewhere)
        said = await until_answer(lambda: current_health(app), lambda health: "was moved" in health.checks["database"])
        assert said.status == "unhealthy"
        assert not data.exists()
        elsewhere.rename(data)
        await until_answer(lambda: current_health(app), lambda health: health.status == "healthy")
        assert await instances.get(app.database, id) is not None
        data.rename(elsewhere)
        data.mkdir()
        assert "moved or replaced" in (await current_health(app)).checks["warnings"]["disk"]
        data.rmdir()
        elsewhere.rename(data)
