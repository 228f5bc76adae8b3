import asyncio
import socket
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.net.server import bind
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_quiet_store_is_started_for_the_first_who_asks(database_url: str, tmp_path: Path) -> None:
    async with running(Config(data_dir=tmp_path, database_url=SecretStr(database_url)), store_after=3600) as app:
        await anyio.wait_all_tasks_blocked()
        assert not app.database.wanted.is_set()
        with anyio.fail_after(PATIENCE):
            assert await app.database.value("SELECT 1") == 1


async def test_a_quiet_store_is_started_when_its_time_is_over(database_url: str, tmp_path: Path) -> None:
    async with running(Config(data_dir=tmp_path, database_url=SecretStr(database_url)), store_after=0.01) as app:
        with anyio.fail_after(PATIENCE):
            await app.database.wanted.wait()


async def test_an_answer_in_two_writes_does_not_wait_for_the_client(tmp_path: Path) -> None:
    listener, config = bind(Config(data_dir=tmp_path, port=0))
    delays = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.set_result(not writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(answer, sock=listener):
        with anyio.fail_after(PATIENCE):
            async with await anyio.connect_tcp(config.host, config.port):
                assert await delays is False
