"""The application at work for a test: over a fresh database, and over HTTP on a free port of 127.0.0.1."""

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from db import instances
from mcp_messenger.api.http import HttpApi
from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.net.server import run_server
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import CreateInstance, create_instance
from mcp_messenger.security.caller import ADMIN, Caller, parse_instance_id
from providers import REGISTRY
from providers.base import Provider
from providers.part_server import PartServer
from providers.sandbox.provider import Running, SandboxProvider
from tests.waiting import PATIENCE, until


@asynccontextmanager
async def running_app(database_url: str, data_dir: Path, **config: Any) -> AsyncGenerator[App]:
    """The whole application with its store ready. `config` is of Config's fields; tools answer with fields, which tests read best,
    and those of the toolset extras are there, too.
    """
    config.setdefault("answers", "json")
    # Files that are fetched behind a test's back would be calls that the stand-ins count.
    config.setdefault("keep_files", 0)
    config.setdefault("toolsets", ("default", "extras"))
    async with running(Config(data_dir=data_dir, database_url=SecretStr(database_url), **config)) as app:
        with anyio.fail_after(PATIENCE):
            await app.database.started()
        yield app


@asynccontextmanager
async def serving(app: App, listener: socket.socket | None = None) -> AsyncGenerator[str]:
    """The HTTP face of the application in this very loop; gives its address, without a slash at the end."""
    async with serving_asgi(HttpApi(app), listener) as url:
        yield url


@asynccontextmanager
async def serving_asgi(asgi: ASGIApp, listener: socket.socket | None = None, **options: Any) -> AsyncGenerator[str]:
    """Serve it in this very loop; gives its address. `options` are uvicorn's."""
    with listener or socket.create_server(("127.0.0.1", 0)) as listener:
        server = PartServer(uvicorn.Config(asgi, log_config=None, access_log=False, ws="auto", timeout_graceful_shutdown=1, **options))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


@asynccontextmanager
async def serving_addresses(app: App) -> AsyncGenerator[str]:
    """As `mcp-messenger serve` does: on its own port, whose address is given, and at the addresses of instances."""
    asgi, servers = HttpApi(app), list[uvicorn.Server]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_server, asgi, listener, begins=servers.append, ends=asgi.end_streams, beside=app.addresses.run))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                servers[0].should_exit = True


async def listened_for(app: App, instance_id: str) -> str:
    """The instance's own address, as soon as the application listens there."""
    await until(lambda: UUID(instance_id) in app.addresses.listening)
    return f"http://127.0.0.1:{app.addresses.listening[UUID(instance_id)]}"


async def ready_sandbox(app: App, caller: Caller = ADMIN, *, type_instance: tuple[str, ...] = ("api",), **credentials: Any) -> str:
    """The id of a new sandbox instance that is logged in and ready. `credentials` are of SandboxSettings' fields."""
    settings = {"auto_scan": True, "page": False, **credentials}
    made = await create_instance(
        app, caller, CreateInstance.model_validate({"provider": "sandbox", "credentials": settings, "type_instance": type_instance})
    )
    await until_status(app, made.instance_id, "ready")
    return made.instance_id


def sandbox_of(app: App, instance_id: str) -> Running:
    """The platform behind a sandbox instance that runs in this process: its phone is the other people's side."""
    owned = app.supervisor.get(parse_instance_id(instance_id))
    assert owned is not None
    assert isinstance(owned.provider, SandboxProvider)
    assert owned.provider._open is not None
    return owned.provider._open


@contextmanager
def registered(cls: type[Provider]) -> Generator[None]:
    """Meanwhile the instances of the messenger are made of this class, which stands at the top of its module."""
    usual = REGISTRY[cls.name]
    REGISTRY[cls.name] = f"{cls.__module__}:{cls.__qualname__}"
    try:
        yield
    finally:
        REGISTRY[cls.name] = usual


async def until_status(app: App, instance_id: str, status: str) -> None:
    """Returns as soon as the instance has that status."""
    id = parse_instance_id(instance_id)
    with anyio.fail_after(PATIENCE):
        while True:
            async with app.feed.waiter(id) as grown:
                row = await instances.get(app.database, id)
                if row is not None and row.status == status:
                    return
                await grown.wait()
