"""The same against a real AgentOS, which needs an environment of its own: AGNO_PYTHON names its interpreter."""

import os
import re
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from mcp_messenger.agents.text import MARK
from tests.agent_desk import opened
from tests.standins.agent_os import AgentOsStandIn
from tests.waiting import until

PYTHON = os.environ.get("AGNO_PYTHON")
STORY = "Once upon a time there was a fox. It lived in a wood. One day it went far away, and it was never seen again."
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


def allow(url: str, words: int) -> None:
    """Let the agent say so many words more."""
    httpx.post(f"{url}/words/{words}", trust_env=False).raise_for_status()


def at(url: str) -> AgentOsStandIn:
    """No more than the address: the real one is there."""
    return AgentOsStandIn(url=url)


async def test_a_real_agent_answers_twice_in_its_session(agno_url: str, database_url: str, tmp_path: Path) -> None:
    await until(lambda: is_up(agno_url), 60)
    async with opened(database_url, tmp_path, at(agno_url)) as desk:
        for text in ("hello", "again"):
            await desk.write(text)
            await until(lambda text=text: desk.answers()[-1:] == [f"agent: {text}"])
    assert desk.answers() == ["agent: hello", "agent: again"]


async def test_a_real_agents_answer_is_shown_while_it_grows(agno_url: str, database_url: str, tmp_path: Path) -> None:
    await until(lambda: is_up(agno_url), 60)
    async with opened(database_url, tmp_path, at(agno_url), stream=True) as desk:
        await desk.write(STORY)
        words = re.findall(r"\S+\s*", f"agent: {STORY}")
        said = ""
        for end in (12, 18):
            allow(agno_url, end - len(re.findall(r"\S+", said)))
            said = "".join(words[:end]).rstrip()
            await until(lambda said=said: desk.stands() == [said + MARK])
        allow(agno_url, len(words))
        await until(lambda: desk.stands() == [f"agent: {STORY}"])
        assert len(desk.posts()) == 1
        await until(lambda: desk.reasons() == [("done", None)])
