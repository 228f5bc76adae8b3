"""The application with one instance: each messenger's mode, and what a second start finds."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers import provider_class
from tests.mcp_clients import call, over_http
from tests.mcp_messenger.relay.messengers import SETTINGS
from tests.postgres import execute, put_store
from tests.program import Program, environment, program
from tests.stored import rows
from tests.waiting import until_blocking

SANDBOX = {"auto_scan": True, "page": False}


@pytest.fixture(autouse=True)
def _begun(migrated_store: Path, tmp_path: Path) -> None:
    put_store(migrated_store, tmp_path / "data")


def one(provider: str, data_dir: Path, settings: dict[str, Any], **more: str) -> Any:
    env = environment(data_dir, MCP_MESSENGER_CREDENTIALS=json.dumps(settings), **more)
    return program(["--mode", f"{provider}-api", "--api-port", "0"], env)


def client_of(running: Program) -> httpx.Client:
    return httpx.Client(base_url=running.url, trust_env=False, timeout=30)


def until_state(client: httpx.Client, state: str) -> None:
    until_blocking(lambda: client.get("/health").json().get("state") == state)


@pytest.mark.parametrize("provider", SETTINGS)
def test_every_messenger_comes_up_and_reports_its_state(provider: str, tmp_path: Path) -> None:
    settings = SETTINGS[provider]
    with one(provider, tmp_path / "data", settings) as running, client_of(running) as client:

        def reported() -> Any:
            found = client.get("/api/v1/status").json()
            return found if found["reason"] or found["state"] == "ready" else None

        status = until_blocking(reported)
        assert status["state"] in ({"ready"} if provider == "sandbox" else {"starting", "degraded", "error"})
        secrets = [settings[name] for name in provider_class(provider).settings_type.secret_fields() if name in settings]
        chats = client.get("/api/v1/chats").json()["chats"]
        assert {chat["id"] for chat in chats} == ({"ann", "bob", "team"} if provider == "sandbox" else set())
        assert client.get("/openapi.json").json()["paths"]["/api/v1/send"]
        assert [secret for secret in secrets if secret in running.said + running.log.read_text()] == []


def test_the_next_start_finds_the_instance_and_what_it_had(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    for start in range(3):
        # From the second on with another public setting.
        settings = SANDBOX | {"access_code": "sandbox-fake-access-code"} | ({"account_name": "Changed"} if start else {})
        with one("sandbox", tmp_path / "data", settings) as running, client_of(running) as client:
            until_state(client, "ready")
            key = client.get("/api/v1/current-api-key").json()["api_key"]
            seen.append((re.findall(r"instance ([0-9a-f-]{36})", running.said)[0], key))
            assert (client.get("/api/v1/account").json()["account"]["name"] == "Changed") == (start > 0)
            client.post("/api/v1/send", json={"to": "ann", "message": f"at start {start}"})
            texts = [message["text"] for message in client.get("/api/v1/messages/ann").json()["messages"] if message["own"]]
            assert texts == [f"at start {number}" for number in reversed(range(start + 1))]
            # The next start runs it all the same.
            assert client.post("/api/v1/stop").json()["status"] == "stopped"
            assert running.stop() == 0
    assert len(set(seen)) == 1, "the same instance with the same key"


def test_the_database_of_other_modes_is_not_touched(database_url: str, tmp_path: Path) -> None:
    execute(database_url, "DELETE FROM message_instances")
    with one("sandbox", tmp_path / "data", SANDBOX, DATABASE_URL=database_url) as running, client_of(running) as client:
        until_state(client, "ready")
        assert rows(database_url, "SELECT count(*) FROM message_instances") == [(0,)]


def test_who_may_call_is_as_on_every_server(tmp_path: Path) -> None:
    with one("sandbox", tmp_path / "data", SANDBOX, MCP_MESSENGER_ADMIN_TOKEN="fake-admin-token") as running, client_of(running) as client:
        assert client.get("/api/v1/chats").status_code == 401
        client.headers["Authorization"] = "Bearer fake-admin-token"
        key = client.get("/api/v1/current-api-key").json()["api_key"]
        assert key not in running.said + running.log.read_text()
        client.headers["Authorization"] = f"Bearer {key}"
        until_state(client, "ready")
        assert client.get("/api/v1/account").json()["provider"] == "sandbox"
        assert client.get("/api/v1/current-api-key").json()["code"] == "forbidden"
        assert client.get("/api/v1/instances").status_code == 404


@pytest.mark.anyio
async def test_it_serves_mcp_of_its_instance(tmp_path: Path) -> None:
    with one("sandbox", tmp_path / "data", SANDBOX) as running:
        with client_of(running) as client:
            until_state(client, "ready")
        async with over_http(f"{running.url}/mcp") as mcp:
            await call(mcp, "send_message", to="ann", message="over MCP")
            assert "over MCP" in json.dumps(await call(mcp, "get_messages", chat_id="ann"))


def test_it_listens_to_other_machines_only_with_a_token(tmp_path: Path) -> None:
    from mcp_messenger.cli import run

    assert run(["--mode", "sandbox-api", "--host", "0.0.0.0", "--data-dir", str(tmp_path)]) == 1
