"""Who may come near: the guards stand before every route, and a server that others reach asks for a token."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from mcp_messenger.api.http import HttpApi
from mcp_messenger.app import build
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput

pytestmark = pytest.mark.anyio

TOKEN = SecretStr("a-fake-admin-token-for-tests")
HERE = "http://127.0.0.1:3000"


CALLS = [
    (method.upper(), path)
    for path, methods in HttpApi(build(Config(data_dir=Path()))).api.openapi()["paths"].items()
    for method in methods
    if path != "/health"
]
OPEN = [("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/health")]
WEBHOOKS = [(method, "/webhooks/{provider}/{instance_id}") for method in ("GET", "POST")]
MCP = [(method, path) for path in ("/mcp", "/api/v1/instances/{instance_id}/mcp") for method in ("GET", "POST", "DELETE")]
PATHS = [*CALLS, *OPEN, *WEBHOOKS, *MCP]


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """To a server that runs nothing: a guard that lets a request through would make it fail otherwise."""
    app = HttpApi(build(Config(data_dir=tmp_path_factory.mktemp("data"), public_url="https://bot.example/in", admin_token=TOKEN)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 421, "wrong_host"),
        ({"Host": "127.0.0.1.evil.example:3000"}, 421, "wrong_host"),
        ({"Origin": "https://evil.example"}, 403, "wrong_origin"),
        ({"Origin": "null"}, 403, "wrong_origin"),
        ({"Origin": "http://127.0.0.1:8080"}, 403, "wrong_origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403, "wrong_origin"),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403, "wrong_origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403, "wrong_origin"),
    ],
)
async def test_strangers_are_refused_on_every_route(client: httpx.AsyncClient, headers: dict[str, str], status: int, code: str) -> None:
    for method, path in PATHS:
        answer = await client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (method, path)


async def test_a_link_elsewhere_leads_to_the_documentation_and_not_to_secrets(client: httpx.AsyncClient) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await client.get("/docs", headers=followed)).status_code == 200
    assert (await client.get("/", headers=followed)).is_redirect
    assert (await client.post("/docs", headers=followed)).status_code == 403
    assert (await client.get("/api/v1/instances", headers=followed)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"},
        {"Origin": HERE, "Sec-Fetch-Site": "same-origin"},
        {"Host": "bot.example", "Origin": "https://bot.example"},
        {"Origin": "https://bot.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_our_own_pages_and_programs_pass(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/docs", headers=headers)).status_code == 200


async def test_without_a_token_every_call_but_the_open_ones_is_challenged(client: httpx.AsyncClient) -> None:
    for method, path in (*CALLS, *MCP):
        answer = await client.request(method, path, content=b"no JSON" if method in {"POST", "PUT", "PATCH"} else None)
        assert (answer.status_code, answer.json()["code"], answer.headers["www-authenticate"]) == (401, "unauthenticated", "Bearer"), (method, path)


@pytest.mark.parametrize("authorization", ["Basic YTpi", "Bearer", "Bearer  ", "mm_x", ""])
async def test_other_ways_to_log_in_are_challenged(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await client.get("/api/v1/instances", headers={"Authorization": authorization})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"host": "0.0.0.0"}, "0.0.0.0"),
        ({"host": "192.168.1.5"}, "192.168.1.5"),
        ({"host": "::"}, "::"),
        ({"public_url": "https://bot.example"}, "bot.example"),
        ({"allowed_hosts": ("nas.local",)}, "nas.local"),
    ],
)
def test_a_server_that_others_reach_needs_a_token(tmp_path: Path, config: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInput, match=named) as refused:
        Config(data_dir=tmp_path, **config).check()  # pyright: ignore[reportArgumentType] - settings of several types
    assert "MCP_MESSENGER_ADMIN_TOKEN" in (refused.value.hint or "")
    Config(data_dir=tmp_path, admin_token=TOKEN, **config).check()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("config", [{}, {"host": "localhost"}, {"host": "::1"}, {"public_url": "http://127.0.0.1:3000"}])
def test_one_that_only_this_computer_reaches_needs_none(tmp_path: Path, config: dict[str, str]) -> None:
    Config(data_dir=tmp_path, **config).check()  # pyright: ignore[reportArgumentType]
