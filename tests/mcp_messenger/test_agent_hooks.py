"""Agents behind an OpenAI-compatible address, A2A or a webhook answer as those of an AgentOS do: once, streamed, within the same guards."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from db import instances
from mcp_messenger.agents.text import MARK
from mcp_messenger.config.agents import parse_agents
from mcp_messenger.config.environment import from_environment
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations.diagnostics import get_instance_health
from mcp_messenger.operations.instances import CreateInstance, ListInstances, create_instance, list_instances
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.warnings import warnings
from mcp_messenger.security.caller import ADMIN
from providers.models import Media, MediaKind
from tests.agent_desk import TEAM, opened
from tests.running import running_app
from tests.standins.answering_agents import KEY, AnsweringAgents, answering_agents
from tests.stored import rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

KINDS = {"chat": "openai", "a2a": "a2a", "hook": "webhook"}
PNG = b"\x89PNG\r\n\x1a\n"
STORY = "Once upon a time there was a fox. It lived in a wood. One day it went far away, and it was never seen again."


@pytest.fixture
async def agents() -> AsyncGenerator[AnsweringAgents]:
    async with answering_agents() as agents:
        yield agents


def settings(agents: AnsweringAgents) -> str:
    """All three, under the names of their paths."""
    of_chat = {"model": "small", "system": "You sell shoes."}
    found = {name: {"kind": kind, "url": f"{agents.url}/{name}", "key": KEY} | (of_chat if name == "chat" else {}) for name, kind in KINDS.items()}
    return json.dumps(found)


def config(agents: AnsweringAgents) -> dict[str, Any]:
    return {"agents": parse_agents(settings(agents))}


@pytest.mark.parametrize("name", KINDS)
async def test_each_kind_answers_once_and_in_its_conversation(name: str, agents: AnsweringAgents, database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, agent_id=name, **config(agents)) as desk:
        await desk.write("hello")
        await until(lambda: desk.answers() == [f"{name}: hello"])
        await until(lambda: desk.reasons() == [("done", None)])
        await until(lambda: rows(desk.url, "SELECT 1 FROM messages WHERE queued AND status IN ('sent', 'delivered', 'read')") != [])
        agents.streams = False
        await desk.write("again", media=(Media(kind=MediaKind.DOCUMENT, ref="nowhere", name="plan.pdf"),))
        await until(lambda: len(desk.answers()) == 2)
        assert desk.answers()[1].startswith(f'{name}: again\n[a file that could not be fetched: "plan.pdf"')
        session = f"{desk.instance_id}:ann"
        last = agents.asked[name][-1]
        match name:
            case "chat":
                assert last["model"] == "small"
                said = [(one["role"], one["content"]) for one in last["messages"]]
                assert said[:-1] == [("system", "You sell shoes."), ("user", "hello"), ("assistant", "chat: hello")]
            case "a2a":
                first, second = (one["params"]["message"] for one in agents.asked[name])
                assert first["contextId"] == second["contextId"] == session
                assert first["messageId"] != second["messageId"]
            case _:
                assert (last["session"], last["chat"]) == (session, {"id": "ann", "kind": "private"})
                assert [(one["from"]["name"], one["text"]) for one in last["messages"]] == [("Ann", "again")]
                assert len(set(agents.keys)) == len(agents.keys) == 2


@pytest.mark.parametrize("name", KINDS)
async def test_an_answer_is_shown_while_it_grows_and_is_not_sent_when_the_owner_takes_over(
    name: str, agents: AnsweringAgents, database_url: str, tmp_path: Path
) -> None:
    agents.halts = anyio.Event()
    async with opened(database_url, tmp_path, agent_id=name, stream=True, **config(agents)) as desk:
        await desk.write(STORY)
        await until(lambda: [one.endswith(MARK) for one in desk.stands()] == [True])
        assert desk.stands()[0].startswith(f"{name}: Once upon a time")
        agents.halts.set()
        await until(lambda: desk.stands() == [f"{name}: {STORY}"])
        await until(lambda: desk.reasons() == [("done", None)])
        agents.halts = anyio.Event()
        await desk.write("and then?")
        await until(lambda: len(agents.asked[name]) == 2)
        await desk.write("I take over", outgoing=True, sender_id=None)
        agents.halts.set()
        await until(lambda: [status for status, _ in desk.reasons()] == ["done"] * 3)
        assert [one for one in desk.stands() if "and then" in one] == []


async def test_half_an_answer_and_a_refusal_are_errors_of_the_instance_that_can_be_seen(
    agents: AnsweringAgents, database_url: str, tmp_path: Path
) -> None:
    agents.breaks_off = True
    async with opened(database_url, tmp_path, agent_id="chat", **config(agents)) as desk:
        await desk.write("hello")
        await until(lambda: rows(desk.url, "SELECT 1 FROM instance_errors"))
        agents.breaks_off, agents.broken = False, 503
        desk.hasten()
        await until(lambda: len(rows(desk.url, "SELECT 1 FROM instance_errors")) == 2)
        health = await get_instance_health(desk.app, ADMIN, OfInstance(instance_id=desk.instance_id))
        assert "chat answered 503: overloaded" in (health.agent_trouble or "")
        assert "do not answer" in (await warnings(desk.app))["agents"]
        assert KEY not in str(rows(desk.url, "SELECT message FROM instance_errors"))
        agents.broken = None
        desk.hasten()
        await until(lambda: desk.answers() == ["chat: hello"])
        assert (await get_instance_health(desk.app, ADMIN, OfInstance(instance_id=desk.instance_id))).agent_trouble is None


async def test_a_picture_that_a_model_refuses_is_named_in_words(agents: AnsweringAgents, database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, agent_id="chat", **config(agents)) as desk:
        ref = desk.provider.world.add_file(PNG, "image/png", "fox.png")
        await desk.write("look", media=(Media(kind=MediaKind.IMAGE, ref=ref, name="fox.png", mime="image/png"),), kind="media")
        await until(lambda: desk.answers() != [])
        with_picture, without = agents.asked["chat"]
        assert with_picture["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
        assert 'a file that could not be passed on: "fox.png"' in without["messages"][-1]["content"]


async def test_routes_say_which_agent_answers_where(agents: AnsweringAgents, database_url: str, tmp_path: Path) -> None:
    routes = [{"agent_id": None, "chats": ["team"], "kinds": []}, {"agent_id": "a2a", "chats": [], "kinds": ["private"]}]
    async with opened(database_url, tmp_path, agent_id="hook", routes=routes, **config(agents)) as desk:
        await desk.write("@robo hello", chat=TEAM, mentions_me=True)
        await until(lambda: desk.reasons() == [("done", "No agent is to answer in this chat.")])
        await desk.write("hello")
        await until(lambda: desk.answers() == ["a2a: hello"])
        await instances.update(desk.app.database, UUID(desk.instance_id), agent_routes=[])
        await desk.write("and now?")
        await until(lambda: desk.answers()[1:] == ["hook: and now?"])
    assert agents.asked.keys() == {"a2a", "hook"}


async def test_a_webhook_may_answer_in_plain_text_or_have_nothing_to_say(agents: AnsweringAgents, database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, agent_id="hook", **config(agents)) as desk:
        await desk.write("say nothing")
        await until(lambda: desk.reasons() == [("done", "There was nothing to say.")])
        await desk.write("plain")
        await until(lambda: desk.answers() == ["hook: plain"])


async def test_an_agent_that_this_server_does_not_know_is_said_at_once_and_until_it_is_mended(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        wanted = {"provider": "sandbox", "credentials": {"page": False, "auto_scan": True}, "agno_enable": True}
        made = await create_instance(app, ADMIN, CreateInstance.model_validate({**wanted, "agent_id": "nobody"}))
        assert "This server has no agent" in (made.instance.agent_trouble or "")
        assert "MCP_MESSENGER_AGENTS" in (made.instance.agent_trouble or "")
        listed = await list_instances(app, ADMIN, ListInstances())
        assert listed.instances[0].agent_trouble == made.instance.agent_trouble
        assert "its agent cannot answer" in listed.transcript()
        assert (await warnings(app))["agents"] == made.instance.agent_trouble
        unnamed = await create_instance(app, ADMIN, CreateInstance.model_validate(wanted))
        assert "no agent_id says who answers" in (unnamed.instance.agent_trouble or "")


def test_agents_are_read_from_text_or_a_file_and_a_fault_names_no_key(agents_file: Path, tmp_path: Path) -> None:
    environ = {"MCP_MESSENGER_DATA_DIR": str(tmp_path), "MCP_MESSENGER_AGENTS": str(agents_file)}
    assert from_environment(environ).agents["shop"].model == "small"
    for wrong in ('{"shop": {"kind": "soap", "url": "http://x", "key": "sk-secret"}}', '{"a/b": {}}', "{", str(tmp_path / "missing.json")):
        with pytest.raises(InvalidInput, match="MCP_MESSENGER_AGENTS") as refused:
            from_environment(environ | {"MCP_MESSENGER_AGENTS": wrong})
        assert "sk-secret" not in str(refused.value)


@pytest.fixture
def agents_file(tmp_path: Path) -> Path:
    path = tmp_path / "agents.json"
    path.write_text(json.dumps({"shop": {"kind": "openai", "url": "http://127.0.0.1:9/v1/chat/completions", "model": "small"}}), encoding="utf-8")
    return path
