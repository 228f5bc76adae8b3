"""What does not fit is refused as a problem that names it and tells the next step."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import EmbeddedPostgres
from mcp_messenger.api.http import SMALL_BODY
from mcp_messenger.operations.application import App
from tests.breaking import BreakingSandbox
from tests.postgres import fresh_database
from tests.running import ready_sandbox, running_app, serving

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def app(embedded: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    with fresh_database(embedded.url) as url:
        async with running_app(url, tmp_path_factory.mktemp("data")) as app:
            yield app


@pytest.fixture(scope="module")
async def url(app: App) -> AsyncIterator[str]:
    async with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
async def instance_id(app: App) -> str:
    return await ready_sandbox(app)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


def problem(answer: httpx.Response, status: int, code: str = "invalid_input") -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    details = answer.json()
    assert details.keys() >= {"type", "title", "status", "code", "detail"}
    assert (details["status"], details["code"]) == (status, code)
    assert answer.headers["cache-control"] == "no-store"
    return details


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"provider": "sandbox", "nope": 1}, "nope"),
        ({"provider": "signal"}, "no messenger 'signal'"),
        ({"provider": "sandbox", "type_instance": ["web"]}, "type_instance.0"),
        ({"provider": "sandbox", "type_instance": []}, "type_instance"),
        ({"provider": "sandbox", "runtime": "kubernetes"}, "runtime"),
        ({"provider": "sandbox", "user_id": ["x"]}, "user_id"),
        ({"provider": "sandbox", "user_id": "x" * 129}, "user_id"),
        ({"provider": "sandbox", "user_id": "a\0b"}, "user_id"),
        ({"provider": "sandbox", "credentials": {"persona": "ghost"}}, "persona"),
        ({"provider": "sandbox", "credentials": {"unheard_of": 1}}, "unheard_of"),
        ({"provider": "sandbox", "credentials": {"account_name": "\0"}}, "credentials"),
        ({"provider": "telegram"}, "token"),
        ({"provider": "telegram", "bot_token": "1:X"}, "bot_token"),
        ({"provider": "sandbox", "api_webhook_schema": {"enabled": True}}, "needs a url"),
        ({"provider": "sandbox", "api_webhook_schema": {"enabled": True, "url": "ftp://x"}}, "api_webhook_schema.url"),
        ({"provider": "sandbox", "api_webhook_schema": {"filters": {"allowRobots": True}}}, "allowRobots"),
        ({}, "provider"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
async def test_a_body_that_does_not_fit(client: httpx.AsyncClient, body: object, named: str) -> None:
    details = problem(await client.post("/api/v1/instances", json=body), 422)
    assert named in details["detail"]
    assert details["hint"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "named"),
    [
        (b'{"provider": "sand', JSON, 422, "The body is not JSON"),
        (b"{'provider': 1}", JSON, 422, "The body is not JSON"),
        (b'{"provider": "\xff"}', JSON, 400, "parsing the body"),
        (b'{"a":' * 100_000, JSON, 400, "nested more than"),
        (b'{"provider": ' + b"9" * 5000 + b"}", JSON, 400, "parsing the body"),
        (b'{"provider": "sandbox"}', {"Content-Type": "application/x-www-form-urlencoded"}, 422, "not sent as JSON"),
        (b'{"provider": "sandbox"}', {}, 422, "not sent as JSON"),
    ],
)
async def test_a_body_that_is_no_json(client: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, named: str) -> None:
    details = problem(await client.post("/api/v1/instances", content=content, headers=headers), status)
    assert named in details["detail"]
    if "not sent" in named:
        assert "Content-Type: application/json" in details["hint"]


async def test_a_body_over_the_limit(client: httpx.AsyncClient) -> None:
    announced = await client.post("/api/v1/instances", content=b" " * (SMALL_BODY + 1), headers=JSON)
    assert problem(announced, 413, "payload_too_large")["hint"]

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (SMALL_BODY // 4)

    problem(await client.post("/api/v1/instances", content=pieces(), headers=JSON), 413, "payload_too_large")


async def test_paths_and_methods_that_are_not_there(client: httpx.AsyncClient) -> None:
    assert "/docs" in problem(await client.get("/api/v1/nothing"), 404, "route_not_found")["hint"]
    problem(await client.get("/nothing"), 404, "route_not_found")
    refused = await client.put("/api/v1/instances")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "GET, POST"
    assert (await client.request("OPTIONS", "/api/v1/instances/some")).headers["allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/instances?limit=0"),
        ("GET", "/instances?limit=many"),
        ("GET", "/instances?unheard_of=1"),
        ("GET", "/instances/{id}/health?unheard_of=1"),
        ("POST", "/instances/{id}/stop?force=1"),
        ("GET", "/instances/{id}/logs?tail=0"),
        ("GET", "/instances/{id}/logs?tail=9999999"),
        ("GET", "/instances/{id}/chats/%00"),
        ("GET", "/instances/{id}/messages/ann?cursor=7fffffffffffffff.1"),
        ("GET", "/instances/{id}/messages/ann?cursor=-1.99999999999999999999"),
        ("GET", "/instances/{id}/search?query=!!!"),
        ("GET", "/instances/{id}/contacts/search"),
        ("GET", "/instances/{id}/wait?timeout=inf"),
        ("GET", "/instances/{id}/wait?cursor=²"),
        ("GET", "/events?after=-1"),
        ("GET", "/events?after=99999999999999999999"),
        ("GET", "/events/stream?after=99999999999999999999999"),
        ("GET", "/events/stream?after=soon"),
        ("PUT", "/instances/{id}/webhook"),
    ],
)
async def test_arguments_that_do_not_fit(client: httpx.AsyncClient, instance_id: str, method: str, path: str) -> None:
    body = {"enabled": True} if method == "PUT" else None
    answer = await client.request(method, f"/api/v1{path.replace('{id}', instance_id)}", json=body)
    assert problem(answer, 422)["hint"]


@pytest.mark.parametrize("id", ["x" * 65, "no-uuid", "00000000-0000-0000-0000-000000000000", "%00", "..%2F..", "' OR 1=1 --"])
async def test_ids_that_are_nobodys(client: httpx.AsyncClient, id: str) -> None:
    for path in ("", "/logs", "/qr.png", "/qr", "/memory"):
        answer = await client.get(f"/api/v1/instances/{id}{path}")
        assert answer.status_code in {404, 422}
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("depth", [100, 2000])
async def test_what_is_nested_without_end(client: httpx.AsyncClient, instance_id: str, depth: int) -> None:
    content = b'{"to": "ann", "message": "x", "extra": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
    answer = await client.post(f"/api/v1/instances/{instance_id}/send", content=content, headers=JSON)
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == "invalid_input"


async def test_what_nobody_foresaw_is_a_problem_too(app: App, client: httpx.AsyncClient, breaking: type[BreakingSandbox]) -> None:
    """The caller learns nothing of what broke."""
    instance_id = await ready_sandbox(app)
    with breaking.broken("list_groups"):
        details = problem(await client.get(f"/api/v1/instances/{instance_id}/groups"), 500, "internal_error")
    assert "password" not in str(details)
    assert details["hint"]


async def test_a_read_only_server_changes_nothing(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path, read_only=True) as app, serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        problem(await client.post("/api/v1/instances", json={"provider": "sandbox"}), 403, "read_only")
        problem(await client.post("/api/v1/multi-provider/instances", json={"provider": "sandbox"}), 403, "read_only")
        assert (await client.get("/api/v1/instances")).json()["instances"] == []


async def test_what_is_not_known_is_named(client: httpx.AsyncClient, instance_id: str) -> None:
    problem(await client.get(f"/api/v1/instances/{instance_id}/messages/nobody-we-know"), 404, "chat_not_found")
    problem(await client.get(f"/api/v1/instances/{instance_id}/message/999"), 404, "message_not_found")


@pytest.mark.parametrize(
    "body", ["[" * 200_000 + "]" * 200_000, '{"to": "ann", "message": "x", "extra": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}"]
)
async def test_a_body_that_is_nested_very_deeply_is_refused(client: httpx.AsyncClient, instance_id: str, body: str) -> None:
    for path in (f"/api/v1/instances/{instance_id}/send", "/api/v1/instances", "/mcp", f"/webhooks/sandbox/{instance_id}"):
        answer = await client.post(path, content=body, headers={**JSON, "Accept": "application/json, text/event-stream"})
        assert 400 <= answer.status_code < 500, (path, answer.text)
    assert (await client.get(f"/api/v1/instances/{instance_id}/chats")).json()["chats"]
