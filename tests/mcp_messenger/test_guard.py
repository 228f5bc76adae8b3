from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from mcp_messenger.api.middleware import App, BodyLimit, HostGuard, Receive, Scope, SecurityHeaders, Send
from tests.running import serving_asgi

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(app: App) -> AsyncGenerator[httpx.AsyncClient]:
    """The application over a real socket, and a client for it."""
    async with serving_asgi(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def status(client: httpx.AsyncClient, host: str | None, origin: str | None = None) -> int:
    headers = {name: value for name, value in {"Host": host, "Origin": origin}.items() if value is not None}
    return (await client.get("/anything", headers=headers)).status_code


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(HostGuard(hello, allowed_hosts=["Bot.Example", "nas.example:8443"])) as client:
        yield client


@pytest.mark.parametrize(
    "host", [None, "localhost", "LOCALHOST:1", "127.0.0.1:3000", "[::1]", "[::1]:3000", "bot.example", "bot.example.:99", "nas.example:8443"]
)
async def test_names_of_this_server(guarded: httpx.AsyncClient, host: str | None) -> None:
    assert await status(guarded, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "localhost.evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "nas.example",
            "nas.example:1",
            "127.0.0.2",
            "0.0.0.0",
        ),
        *("", "localhost:", "localhost:x", "localhost@evil.example", "[::2]", "::1", "localhost/..", "bot.example,evil.example"),
    ],
)
async def test_other_names(guarded: httpx.AsyncClient, host: str) -> None:
    answer = await guarded.get("/anything", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "wrong_host"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3000", "http://localhost:3000"),
        ("127.0.0.1:3000", "http://localhost:3000"),
        ("bot.example", "https://bot.example"),
        ("localhost:3000", "https://bot.example"),
        ("localhost:3000", "https://nas.example:8443"),
    ],
)
async def test_pages_of_this_server(guarded: httpx.AsyncClient, host: str, origin: str) -> None:
    assert await status(guarded, host, origin) == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "", "http://localhost:8080", "http://localhost", "file://localhost:3000", "localhost:3000"),
        *("http://localhost:3000.evil.example", "http://localhost:3000@evil.example", "http://localhost:3000/", "https://nas.example"),
    ],
)
async def test_foreign_pages(guarded: httpx.AsyncClient, origin: str) -> None:
    answer = await guarded.get("/anything", headers={"Host": "localhost:3000", "Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["code"] == "wrong_origin"


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
async def test_none_or_several_host_headers_are_refused(hosts: list[bytes]) -> None:
    assert await first_sent("http", hosts) == {"http.response.start": 421}


async def test_websockets_are_guarded_and_other_scopes_pass() -> None:
    assert await first_sent("websocket", [b"evil.example"]) == {"websocket.close": None}
    assert await first_sent("websocket", [b"localhost"]) == {"websocket.accept": None}
    assert await first_sent("lifespan", []) == {"lifespan.startup.complete": None}


async def first_sent(kind: str, hosts: list[bytes]) -> dict[str, int | None]:
    """What a guarded application answers to a scope no HTTP client would send."""
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept" if scope["type"] == "websocket" else "lifespan.startup.complete"})

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await HostGuard(app)({"type": kind, "headers": [(b"host", host) for host in hosts]}, receive, send)
    return {sent[0]["type"]: sent[0].get("status")}


class Form(BaseModel):
    text: str


def reading_app() -> FastAPI:
    """Reads bodies in each of the ways an application may."""
    app = FastAPI()

    @app.post("/json")
    async def read_json(form: Form) -> int:
        return len(form.text)

    @app.post("/whole")
    @app.post("/api/whole")
    async def read_whole(request: Request) -> int:
        return len(await request.body())

    @app.post("/unread")
    async def unread() -> int:
        return 0

    @app.middleware("http")
    async def in_a_task_group(request: Request, call_next: Any) -> Response:
        return await call_next(request)

    return app


async def pieces(count: int) -> AsyncGenerator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


@pytest.fixture(scope="module")
async def limited() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(BodyLimit(reading_app(), limit=10_000, prefixes={"/api": 2000, "/api/whole": 3000})) as client:
        yield client


@pytest.mark.parametrize(("path", "allowed"), [("/whole", 10), ("/api/whole", 3)])
async def test_bodies_up_to_the_limit_pass(limited: httpx.AsyncClient, path: str, allowed: int) -> None:
    assert (await limited.post(path, content=b"x" * 1000 * allowed)).json() == 1000 * allowed
    assert (await limited.post(path, content=pieces(allowed))).json() == 1000 * allowed


@pytest.mark.parametrize(("path", "count"), [("/whole", 11), ("/json", 11), ("/api/whole", 4), ("/api/nothing", 3), ("/whole", 5000)])
async def test_larger_bodies_are_refused(limited: httpx.AsyncClient, path: str, count: int) -> None:
    answer = await limited.post(path, content=b"x" * 1000 * count)
    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"


@pytest.mark.parametrize(("path", "count"), [("/whole", 11), ("/json", 11), ("/api/whole", 4)])
async def test_larger_bodies_are_refused_when_their_length_is_not_announced(limited: httpx.AsyncClient, path: str, count: int) -> None:
    answer = await limited.post(path, content=pieces(count))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_application_that_does_not_read_is_not_disturbed(limited: httpx.AsyncClient) -> None:
    assert (await limited.post("/unread", content=pieces(1))).json() == 0


async def test_after_a_refusal_the_next_request_is_served(limited: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await limited.post("/whole", content=pieces(11))).status_code == 413
        assert (await limited.post("/whole", content=b"x")).json() == 1


async def test_an_application_that_reads_in_a_task_group_is_refused_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> None:
            while (await receive())["more_body"]:
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)

    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"x" * 600, "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await BodyLimit(app, limit=1000)({"type": "http", "path": "/", "headers": []}, receive, send)
    assert [message.get("status") for message in sent] == [413, None]


def head(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def trickled(client: httpx.AsyncClient, request: bytes, drop: bytes) -> bytes:
    """The answer to a request whose body comes drop by drop and never ends."""
    url, answer = client.base_url, b""
    async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
        await stream.send(request)
        with anyio.fail_after(20):
            while b'"code"' not in answer:
                if not answer:
                    await stream.send(drop)
                with anyio.move_on_after(0.02):
                    answer += await stream.receive()
    return answer


@pytest.mark.parametrize(
    ("headers", "drop"),
    [(("Content-Length: 9000",), b"x"), (("Transfer-Encoding: chunked",), b"1\r\nx\r\n")],
    ids=["announced", "chunked"],
)
@pytest.mark.parametrize("path", ["/whole", "/json"])
async def test_a_body_that_trickles_in_is_cut_off(path: str, headers: tuple[str, ...], drop: bytes) -> None:
    async with serving(BodyLimit(reading_app(), limit=10_000, grace=0.3)) as client:
        answer = await trickled(client, head(path, "Content-Type: application/json", *headers), drop)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert b'"code": "body_too_slow"' in answer
        assert (await client.post("/whole", content=b"x")).json() == 1


async def test_a_body_that_stops_is_cut_off() -> None:
    async with serving(BodyLimit(reading_app(), limit=10_000, grace=0.3)) as client:
        url = client.base_url
        async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
            await stream.send(head("/whole", "Content-Length: 9000"))
            with anyio.fail_after(20):
                assert (await stream.receive()).startswith(b"HTTP/1.1 408 ")


async def test_a_large_body_has_the_time_that_its_bytes_take() -> None:
    """It comes for longer than the grace, and fast enough."""

    async def slowly() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b"x" * 20_000
            await anyio.sleep(0.05)

    async with serving(BodyLimit(reading_app(), limit=1_000_000, grace=0.5)) as client:
        assert (await client.post("/whole", content=slowly())).json() == 400_000


async def test_an_answer_that_takes_long_is_not_cut_off() -> None:
    """Only the body has a time limit; who waits for a client to hang up waits on."""
    hung_up, reading = anyio.Event(), reading_app()

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/whole":
            await reading(scope, receive, send)
            return
        assert (await receive())["type"] == "http.request"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        hung_up.set()

    async with serving(BodyLimit(patient, grace=0.3)) as client:
        async with client.stream("GET", "/") as answer:
            pieces = answer.aiter_bytes()
            assert await anext(pieces) == b"first"
            # A body that began later is cut off first.
            assert (await trickled(client, head("/whole", "Content-Length: 9000"), b"x")).startswith(b"HTTP/1.1 408 ")
            assert not hung_up.is_set()
        with anyio.fail_after(20):
            await hung_up.wait()


async def test_errors_of_the_application_are_not_swallowed() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("its own")

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(LookupError):
        await BodyLimit(broken)({"type": "http", "path": "/", "headers": []}, nothing, nothing)


async def test_security_headers() -> None:
    app = FastAPI()

    @app.get("/page")
    def page() -> Response:
        return Response(headers={"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "same-origin"})

    @app.get("/api/v1/chats")
    def chats() -> int:
        return 1

    @app.get("/api/v1/picture")
    def picture() -> Response:
        return Response(headers={"Cache-Control": "private, max-age=60"})

    async with serving(SecurityHeaders(app)) as client:
        answer = (await client.get("/api/v1/chats")).headers
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["content-security-policy"] == "frame-ancestors 'none'"
        assert answer["x-frame-options"] == "DENY"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["cache-control"] == "no-store"
        own = (await client.get("/page")).headers
        assert own.get_list("content-security-policy") == ["default-src 'self'", "frame-ancestors 'none'"]
        assert own["referrer-policy"] == "same-origin"
        assert own["cache-control"] == "no-store"
        assert (await client.get("/api/v1/picture")).headers["cache-control"] == "private, max-age=60"
        assert (await client.get("/api/nothing")).headers["cache-control"] == "no-store"
