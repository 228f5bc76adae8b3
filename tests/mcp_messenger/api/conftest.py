import functools
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client

from mcp_messenger.config.timing import Timing
from mcp_messenger.operations.application import App
from tests.mcp_clients import ERAS, in_memory, over_http, over_stdio, stdio_server
from tests.running import running_app, serving


@pytest.fixture
def timing() -> Timing:
    """A test that needs less parametrizes it."""
    return Timing()


@pytest.fixture
async def app(database_url: str, tmp_path: Path, timing: Timing) -> AsyncGenerator[App]:
    async with running_app(database_url, tmp_path, timing=timing) as app:
        yield app


@pytest.fixture
async def url(app: App) -> AsyncGenerator[str]:
    """Where the application is served over HTTP."""
    async with serving(app) as url:
        yield url


@pytest.fixture(params=["in memory", "http"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(app: App, url: str, way: str, tmp_path: Path, database_url: str) -> Connect:
    """`connect(era, message_handler=None)`: a client that comes in that way. Over stdio it is another process at the same store."""
    match way:
        case "in memory":
            return functools.partial(in_memory, app)
        case "http":
            return functools.partial(over_http, f"{url}/mcp")
        case _:
            # Processes at one store share its key.
            (tmp_path / "stdio").mkdir(mode=0o700)
            app.vault()
            shutil.copy2(app.config.data_dir / "secret.key", tmp_path / "stdio")
            return functools.partial(over_stdio, stdio_server(tmp_path / "stdio", database_url, "--toolsets", "default,extras"), log=tmp_path / "log")


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param
