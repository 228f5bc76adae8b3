import asyncio
import socket
from pathlib import Path

import anyio
import pytest

from mcp_messenger.config import Config
from mcp_messenger.net.server import bind
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


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
