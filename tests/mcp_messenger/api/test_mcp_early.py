"""What a client asks first over stdio is answered before the application is there, with the same words."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server import Server
from mcp.types.methods import SPEC_CLIENT_METHODS

from mcp_messenger.api.mcp.early import EarlyServer
from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.app import build
from mcp_messenger.config import Answers, Config
from mcp_messenger.security.caller import ADMIN, Caller
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio


async def authenticate(context: Any) -> Caller:
    return ADMIN


@pytest.mark.parametrize(("answers", "read_only", "toolsets"), [("lines", False, ("default",)), ("json", False, ("all",)), ("lines", True, ("all",))])
async def test_the_early_answers_are_those_of_the_application(
    tmp_path: Path, answers: Answers, read_only: bool, toolsets: tuple[str, ...], era: str
) -> None:
    config = Config(data_dir=tmp_path, answers=answers, read_only=read_only, toolsets=toolsets)
    early, (whole, _) = EarlyServer(config), whole_server(build(config), authenticate)
    said = [await answers_of(server, era) for server in (early.low, whole.low)]
    assert said[0] == said[1]
    assert len(said[0]["tools"]) > 20


async def answers_of(server: Server[Any], era: str) -> dict[str, Any]:
    async with Client(server, mode=era) as client:
        return {
            "tools": (await client.list_tools()).tools,
            "info": client.server_info,
            "capabilities": client.server_capabilities,
            "instructions": client.instructions,
            "methods": {method for method in SPEC_CLIENT_METHODS if server.get_request_handler(method) is not None},
        }


async def test_other_requests_wait_for_the_application_in_their_order(tmp_path: Path, era: str) -> None:
    early = EarlyServer(Config(data_dir=tmp_path))
    whole, _ = whole_server(build(Config(data_dir=tmp_path)), authenticate)
    answered = list[str]()
    with anyio.fail_after(PATIENCE):
        async with Client(early.low, mode=era) as client, anyio.create_task_group() as tasks:

            async def ask(what: str) -> None:
                answered.append(str((await client.get_prompt("triage_inbox", {"instance_id": what})).messages[0].content))

            for what in ("a1", "b2", "c3"):
                tasks.start_soon(ask, what)
            await early.wanted.wait()
            assert await client.list_tools()
            assert answered == []
            early.complete(whole.low)
    assert [what in text for what, text in zip(("a1", "b2", "c3"), answered, strict=True)] == [True, True, True]
