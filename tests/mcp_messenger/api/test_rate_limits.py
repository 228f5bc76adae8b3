"""Callers who come too often, over real sockets: what is counted, for whom, and what they are told."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.api.rate_limits import address_key
from mcp_messenger.config.rate_limit import RateLimit
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN
from tests.mcp_clients import call, over_http, refused
from tests.running import running_app, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

ADMIN_TOKEN = "a-fake-admin-token"
LIST = "/api/v1/instances"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> Any:
    """Three calls an hour, for each caller."""
    async with running_app(database_url, tmp_path, admin_token=SecretStr(ADMIN_TOKEN), rate_limit=RateLimit(3, 3600)) as app:
        yield app


async def token_of(app: App, user: str) -> str:
    return (await create_user_token(app, ADMIN, CreateToken(user_id=user))).token


async def statuses(url: str, times: int, headers: dict[str, str] | None = None, path: str = LIST) -> list[int]:
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        return [(await client.get(path)).status_code for _ in range(times)]


async def test_a_call_too_many_says_when_to_come_back(app: App) -> None:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False) as client:
        for left in (2, 1, 0):
            answer = await client.get(LIST)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"caller";q=3;w=3600'
            assert answer.headers["ratelimit"].startswith(f'"caller";r={left};t=')
        answer = await client.get(LIST)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["ratelimit"].startswith('"caller";r=0;t=')
        assert 1190 < int(answer.headers["retry-after"]) <= 1200
        problem = answer.json()
        assert (problem["code"], problem["retry_after"]) == ("rate_limited", int(answer.headers["retry-after"]))
        assert "3 in 3600 s" in problem["detail"]


async def test_a_call_too_many_changes_nothing(app: App) -> None:
    async with serving(app) as url:
        assert await statuses(url, 3, bearer(ADMIN_TOKEN)) == [200] * 3
        async with httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False) as client:
            assert (await client.post(LIST, json={"provider": "sandbox"})).status_code == 429
        assert await app.database.value("SELECT count(*) FROM message_instances") == 0


async def test_an_error_counts_and_says_what_is_left(app: App) -> None:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False) as client:
        answer = await client.get(f"{LIST}/nothing")
        assert answer.status_code == 404
        assert answer.headers["ratelimit"].startswith('"caller";r=2;t=')


async def test_each_token_has_an_allowance_of_its_own(app: App) -> None:
    ann, second, bob = await token_of(app, "ann"), await token_of(app, "ann"), await token_of(app, "bob")
    async with serving(app) as url:
        assert await statuses(url, 4, bearer(ann)) == [200, 200, 200, 429]
        for token in (second, bob, ADMIN_TOKEN):
            assert await statuses(url, 1, bearer(token)) == [200]


async def test_made_up_tokens_are_counted_together_and_lock_nobody_else_out(app: App) -> None:
    ann = await token_of(app, "ann")
    async with serving(app) as url:
        assert [status for guess in range(5) for status in await statuses(url, 1, bearer(f"mm_guess{guess}"))] == [401, 401, 401, 429, 429]
        assert await statuses(url, 1) == [429]
        assert await statuses(url, 1, bearer(ann)) == [200]


async def test_whoever_watches_the_server_is_never_limited(app: App) -> None:
    async with serving(app) as url:
        assert await statuses(url, 3, bearer(ADMIN_TOKEN)) == [200] * 3
        assert await statuses(url, 30, bearer(ADMIN_TOKEN), "/health") == [200] * 30
        assert await statuses(url, 5, None, "/docs") == [200] * 5


async def test_two_servers_on_one_database_share_the_allowance(app: App, database_url: str, tmp_path: Path) -> None:
    async with (
        running_app(database_url, tmp_path / "other", admin_token=SecretStr(ADMIN_TOKEN), rate_limit=RateLimit(3, 3600)) as other,
        serving(app) as one,
        serving(other) as two,
    ):
        found = [status for url in (one, two, one, two, one, two) for status in await statuses(url, 1, bearer(ADMIN_TOKEN))]
        assert found == [200, 200, 200, 429, 429, 429]


async def test_of_fifty_calls_at_once_exactly_the_quota_is_answered(database_url: str, tmp_path: Path) -> None:
    found: list[int] = []
    async with running_app(database_url, tmp_path, rate_limit=RateLimit(10, 3600)) as app, serving(app) as url, anyio.create_task_group() as tasks:

        async def one() -> None:
            found.extend(await statuses(url, 1))

        for _ in range(50):
            tasks.start_soon(one)
        await until(lambda: len(found) == 50)
    assert sorted(found) == [200] * 10 + [429] * 40


async def test_on_this_computer_without_a_token_the_address_is_counted(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, rate_limit=RateLimit(2, 3600)) as app, serving(app) as url:
        assert await statuses(url, 3) == [200, 200, 429]
        assert await app.database.value("SELECT key FROM rate_limits") == b"address:127.0.0.1"


async def test_nothing_of_a_token_is_kept_in_the_clear(app: App) -> None:
    ann = await token_of(app, "ann")
    async with serving(app) as url:
        await statuses(url, 1, bearer(ann))
        await statuses(url, 1, bearer(ADMIN_TOKEN))
    keys = [key for (key,) in await app.database.rows("SELECT key FROM rate_limits")]
    assert len(keys) == 2
    assert b"admin" in keys
    assert not any(token.encode() in key for token in (ann, ADMIN_TOKEN) for key in keys)


async def test_a_model_is_told_in_the_answer_of_its_call(database_url: str, tmp_path: Path, era: str) -> None:
    async with (
        running_app(database_url, tmp_path, rate_limit=RateLimit(10, 3600)) as app,
        serving(app) as url,
        over_http(f"{url}/mcp", era) as client,
    ):
        await call(client, "list_instances")
        await statuses(url, 10)
        said = await refused(client, "create_instance", provider="sandbox")
        assert said.startswith("rate_limited: You called more often")
        assert "Try again in" in said
        assert await app.database.value("SELECT count(*) FROM message_instances") == 0


async def test_what_is_no_tool_call_is_refused_to_the_client(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, rate_limit=RateLimit(1, 3600)) as app, serving(app) as url:
        await statuses(url, 1)
        async with httpx.AsyncClient(base_url=url, headers={"Accept": "application/json, text/event-stream"}, trust_env=False) as client:
            for body in (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}', b"[]", b"no JSON"):
                answer = await client.post("/mcp", content=body, headers={"Content-Type": "application/json"})
                assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
                assert "retry-after" in answer.headers


async def test_without_a_limit_no_fields_are_sent(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, rate_limit=None) as app, serving(app) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}{LIST}")
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", b"address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", b"address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", b"address:fe80::/64"),
        ("", b"address:"),
    ],
)
def test_an_address_of_the_newer_kind_counts_by_its_network(host: str, key: bytes) -> None:
    assert address_key({"client": (host, 1)}) == key
