"""The same against a real AgentOS, which needs an environment of its own: AGNO_PYTHON names its interpreter."""

import os
import socket
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from db import instances as instance_rows
from mcp_messenger.delivery.inbound import Source
from providers.models import Chat, ChatKind, Contact, Message, MessageReceived
from tests.running import ready_sandbox, running_app
from tests.stored import rows, until

PYTHON = os.environ.get("AGNO_PYTHON")
SERVER = Path(__file__).parent.parent / "standins" / "agno_server.py"

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(PYTHON is None, reason="AGNO_PYTHON names no interpreter that has agno")]


@pytest.fixture
def agno_url() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert PYTHON is not None
    with subprocess.Popen([PYTHON, str(SERVER), str(port)]) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


async def test_a_real_agent_answers_twice_in_its_session(agno_url: str, database_url: str, tmp_path: Path) -> None:
    await until(lambda: is_up(agno_url), 60)
    async with running_app(database_url, tmp_path, agno_url=agno_url) as app:
        instance_id = UUID(await ready_sandbox(app, persona="human"))
        await instance_rows.update(app.database, instance_id, agno_enable=True, agent_id="helper")
        answers: list[tuple[str]] = []
        for number, text in enumerate(("hello", "again")):
            told = Message(id=f"w{number}", chat_id="ann", at=datetime.now(UTC), text=text, sender_id="ann")
            chat = Chat(id="ann", kind=ChatKind.PRIVATE)
            event = MessageReceived(message=told, chat=chat, sender=Contact(id="ann", name="Ann"))
            await app.inbound.deliver(Source(instance_id, None), [event])
            answers.append((f"agent: {text}",))
            await until(lambda: rows(database_url, "SELECT body FROM messages WHERE queued ORDER BY id") == answers)
