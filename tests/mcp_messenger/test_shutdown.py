import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from db.errors import StoreUnavailable
from tests.mcp_clients import over_http
from tests.program import PATIENCE, environment, program
from tests.running import ready_sandbox, running_app

pytestmark = pytest.mark.anyio


async def test_the_application_ends_though_its_store_is_gone(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await ready_sandbox(app)
        assert app.supervisor.owned
        app.database.failed(StoreUnavailable("It was switched off."))
        began = anyio.current_time()
    assert not app.supervisor.owned
    assert anyio.current_time() - began < 20


@pytest.mark.skipif(sys.platform == "win32", reason="there a process is ended without being asked")
async def test_a_client_that_listens_is_told_that_its_stream_is_over(database_url: str, tmp_path: Path) -> None:
    with program(["serve", "--port", "0"], environment(tmp_path / "data", database_url)) as served:
        async with over_http(f"{served.url}/mcp") as client, client.listen(resource_subscriptions=["messenger://instances"]) as listening:
            served.process.terminate()
            with anyio.fail_after(PATIENCE):
                # Raises where the stream was cut off.
                assert [change async for change in listening] == []
        assert await anyio.to_thread.run_sync(served.process.wait, PATIENCE) == 0
