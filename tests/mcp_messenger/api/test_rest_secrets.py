"""Secrets go in, and come out only for their owner, on the record; never by accident."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.embedded import EmbeddedPostgres
from mcp_messenger.operations.application import App
from tests.postgres import fresh_database
from tests.program import environment, program, telegram_process
from tests.running import running_app, serving

pytestmark = pytest.mark.anyio

CODE = "sandbox-RECOGNISABLE-FAKE-CODE-0001"
TOKEN = "987654321:RECOGNISABLE-FAKE-TOKEN-OF-TESTS-000"


@pytest.fixture(scope="module")
async def app(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    with fresh_database(embedded.url) as url:
        async with running_app(url, tmp_path_factory.mktemp("data")) as app:
            yield app


@pytest.fixture(scope="module")
async def url(app: App) -> AsyncIterator[str]:
    async with serving(app) as url:
        yield url


class Owner:
    """Asks as the administrator of this computer about one instance."""

    def __init__(self, client: httpx.AsyncClient, made: dict[str, Any], app: App) -> None:
        self.id: str = made["instance_id"]
        self.key: str = made["api_key"]
        self._client = client
        self._app = app

    async def ask(self, path: str, method: str = "GET", *, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self._client.request(method, f"/api/v1/instances/{self.id}{path}", headers=headers, **arguments)

    async def reveals(self) -> list[tuple[str, str]]:
        """What was revealed, and to whom."""
        rows = await self._app.database.rows("SELECT what, caller FROM reveals WHERE instance_id = %(id)s ORDER BY at", {"id": UUID(self.id)})
        return [(row[0], row[1]) for row in rows]


@pytest.fixture
async def owner(app: App, url: str) -> AsyncIterator[Owner]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        settings = {"page": False, "access_code": CODE}
        made = await client.post("/api/v1/instances", json={"provider": "sandbox", "credentials": settings})
        yield Owner(client, made.raise_for_status().json(), app)


async def test_credentials_are_masked(owner: Owner) -> None:
    answer = await owner.ask("/credentials")
    (secret,) = answer.json()["credentials"]
    assert (secret["field"], secret["masked"], secret["value"]) == ("access_code", "sand…0001", None)
    assert secret["rotated_at"]
    assert CODE not in answer.text
    assert await owner.reveals() == []


async def test_they_are_revealed_on_the_record(owner: Owner) -> None:
    answer = await owner.ask("/credentials?reveal=true")
    assert [secret["value"] for secret in answer.json()["credentials"]] == [CODE]
    assert answer.headers["cache-control"] == "no-store"
    assert await owner.reveals() == [("credentials", "admin")]


async def test_a_new_value_replaces_the_old_one(owner: Owner) -> None:
    before = (await owner.ask("/credentials")).json()["credentials"][0]["rotated_at"]
    answer = await owner.ask("/credentials", "PUT", json={"credentials": {"access_code": "sandbox-ANOTHER-FAKE-CODE-0002"}})
    (secret,) = answer.json()["credentials"]
    assert secret["masked"] == "sand…0002"
    assert secret["rotated_at"] > before
    wrong = await owner.ask("/credentials", "PUT", json={"credentials": {"acces_code": "sandbox-MISSPELT-FAKE-CODE-0003"}})
    assert wrong.status_code == 422
    assert "acces_code" in wrong.text
    assert "0003" not in wrong.text


async def test_the_key_is_revealed_on_the_record(owner: Owner) -> None:
    answer = await owner.ask("/current-api-key")
    assert answer.json()["api_key"] == owner.key
    assert answer.headers["cache-control"] == "no-store"
    (entry,) = (await owner.ask("/api-key-history")).json()["history"]
    assert (entry["id"], entry["prefix"], entry["revoked_at"]) == (answer.json()["id"], owner.key[:7], None)
    assert entry["revealed_at"]
    assert await owner.reveals() == [("api_key", "admin")]


async def test_rotation_ends_the_old_key_at_once(owner: Owner) -> None:
    assert (await owner.ask("", key=owner.key)).status_code == 200
    made = (await owner.ask("/api-key/rotate", "POST")).json()
    assert made["api_key"] != owner.key
    assert (await owner.ask("", key=owner.key)).status_code == 401
    assert (await owner.ask("", key=made["api_key"])).status_code == 200
    history = await owner.ask("/api-key-history")
    newest, oldest = history.json()["history"]
    assert (newest["revoked_at"], newest["id"]) == (None, made["id"])
    assert oldest["revoked_at"]
    assert owner.key not in history.text
    assert made["api_key"] not in history.text
    assert (await owner.ask("/current-api-key")).json()["api_key"] == made["api_key"]


async def test_a_webhooks_secret_is_taken_and_never_shown(owner: Owner) -> None:
    secret = "RECOGNISABLE-FAKE-WEBHOOK-SECRET"
    put = await owner.ask("/webhook", "PUT", json={"enabled": True, "url": "https://hooks.example/hook", "secret": secret})
    assert put.status_code == 200
    for path in ("/webhook", "", "/credentials", "/memory"):
        assert secret not in (await owner.ask(path)).text
    assert "webhook_secret_out" in [one["field"] for one in (await owner.ask("/credentials")).json()["credentials"]]
    short = await owner.ask("/webhook", "PUT", json={"enabled": True, "url": "https://hooks.example/hook", "secret": "short-fake"})
    assert short.status_code == 422
    assert "short-fake" not in short.text


async def test_nothing_is_kept_in_the_clear(app: App, owner: Owner) -> None:
    dump = ""
    for (table,) in await app.database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        dump += str(await app.database.rows(f"SELECT t::text FROM {table} t"))  # pyright: ignore[reportArgumentType] - of our own names
    for secret in (CODE, owner.key):
        assert secret not in dump
        assert secret.encode().hex() not in dump


def test_a_whole_session_lets_no_secret_out(database_url: str, tmp_path: Path) -> None:
    """The program at its most talkative, with a bot token and keys that are easy to find."""
    admin = "RECOGNISABLE-FAKE-ADMIN-TOKEN"
    more = {"MCP_MESSENGER_LOG_LEVEL": "DEBUG", "MCP_MESSENGER_ADMIN_TOKEN": admin}
    with telegram_process() as telegram, program(["serve", "--port", "0"], environment(tmp_path / "data", database_url, **more)) as running:
        telegram.add_bot(TOKEN)
        said = [running.said]

        def call(method: str, path: str, token: str = admin, **arguments: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.request(method, f"{running.url}/api/v1{path}", headers=headers, trust_env=False, timeout=30, **arguments)
            said.append(f"{answer.headers}{answer.text}")
            return answer

        made = call("POST", "/instances", json={"provider": "telegram", "token": TOKEN, "credentials": {"base_url": telegram.url}}).json()
        said.pop()  # the one answer that is to hold the key
        instance, key = f"/instances/{made['instance_id']}", made["api_key"]
        call("POST", "/instances", json={"provider": "telegram", "token": TOKEN, "tokn": TOKEN})
        call("POST", "/instances", json={"provider": "telegram", "token": [TOKEN]})
        call("POST", "/instances", json={"provider": "telegram", "token": TOKEN, "credentials": {"base_url": f"ftp://{TOKEN}"}})
        call("PUT", f"{instance}/credentials", json={"credentials": {"token": TOKEN, "mode": TOKEN}})
        for path in ("", "/memory", "/credentials", "/auth-status", "/health", "/errors", "/api-key-history", "/account", "/qr", "/logs"):
            call("GET", f"{instance}{path}")
        call("GET", instance, token=key + "x")
        call("GET", instance, token=TOKEN)
        call("POST", f"{instance}/send", token=key, json={"to": "1", "message": "to a chat that is not there"})
        call("PATCH", instance, json={"credentials": {"base_url": "http://127.0.0.1:9"}})
        call("POST", f"{instance}/restart")
        call("GET", f"{instance}/errors")
        call("DELETE", instance)
        assert running.stop() == 0
        everything = running.log.read_text() + "".join(said)
    assert "state: ready" in everything
    for secret in (TOKEN, TOKEN.partition(":")[2], key, admin):
        assert secret not in everything
