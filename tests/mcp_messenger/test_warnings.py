"""What /health says of troubles that stop nothing yet, and the doctor after it."""

import shutil
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from mcp_messenger.commands.doctor import examined
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, serving

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
                f"INSERT INTO delivery_endpoints (instance_id, target, failures, paused_until) VALUES ('{id}', 'agno', 5, now() + interval '1 hour')",
            )
            shutil.rmtree(data)
            answer = await client.get("/health")
            found = answer.json()["checks"]["warnings"]
            assert (answer.status_code, found.keys()) == (200, {"disk", "queue", "agents"})
            assert "restart_instance" in found["queue"]
            assert "is gone" in found["disk"]
            findings = {one.check: one for one in await examined(app.config, url)}
            assert "do not answer" in findings["agents"].detail
