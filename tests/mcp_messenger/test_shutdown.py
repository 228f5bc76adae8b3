from pathlib import Path

import anyio
import pytest

from tests.running import ready_sandbox, running_app

pytestmark = pytest.mark.anyio


async def test_the_application_ends_though_its_store_is_gone(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        await ready_sandbox(app)
        assert app.supervisor.held
        app.database.failed("It was switched off.")
        began = anyio.current_time()
    assert not app.supervisor.held
    assert anyio.current_time() - began < 20
