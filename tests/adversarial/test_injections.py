"""A stranger's words steer nothing on the server, however gullible the agent is that reads them."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from db import instances
from mcp_messenger.agents.run import FIRST, STRANGER
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.application import App
from mcp_messenger.policy.judging import Judge
from mcp_messenger.policy.shown import AGAIN_AFTER, ShownLately
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Forwarded, Location, Media, MediaKind, Message, MessageKind, Poll, Quoted
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from tests.adversarial.injections import INJECTIONS, ORDERS, PLACES, Injection
from tests.mcp_clients import in_memory
from tests.running import ready_sandbox, running_app, serving
from tests.standins.agent_os import agent_os
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "4711"
CHAT_ID = "{chat_id}"
READING: Mapping[str, dict[str, Any]] = {
    "catch_up": {"max_tokens": 20_000},
    "list_chats": {"limit": 100},
    "get_recent_messages": {"limit": 100},
    "get_messages": {"chat_id": CHAT_ID},
    "wait_for_messages": {"cursor": "0", "limit": 100, "timeout": 0},
    "list_contacts": {"limit": 100},
}
"""Ways to see strangers' words. Which one an agent uses first must not matter."""
Call = Callable[..., Awaitable[tuple[bool, str]]]
"""A call of a tool; whether it was carried out, and its answer."""


@dataclass
class World:
    """An account with Vera, who trusts it with a secret, Victor, whom nobody may be made to write to, and strangers."""

    app: App
    instance: str
    vera: str
    victor: str
    to_victor: str
    picture: str

    @property
    def sandbox(self) -> SandboxProvider:
        owned = self.app.supervisor.get(UUID(self.instance))
        assert owned is not None
        assert isinstance(owned.provider, SandboxProvider)
        return owned.provider

    def reached(self, chat: str) -> list[str]:
        """What stands on the other side of a chat."""
        return [post.message.text for post in self.sandbox.world.posts(chat, limit=200) if post.message.outgoing]

    async def plant(self, injection: Injection) -> str:
        """The chat of a new stranger, whose words are where the injection wants them."""
        text, place = injection.text, injection.place
        chat_id = Phone(self.sandbox.world).add_contact("Stranger").id
        kind = ChatKind.GROUP if place == "title" else ChatKind.PRIVATE
        name = text if place == "name" else "Stranger"
        of: dict[str, Any] = {"text": text if place in {"text", "caption"} else "Hello."}
        match place:
            case "file" | "caption":
                of["media"] = (Media(kind=MediaKind.DOCUMENT, ref=self.picture, name=text if place == "file" else "a.pdf"),)
                of["kind"] = MessageKind.MEDIA
            case "poll":
                of |= {"poll": Poll(question=text, options=("yes", "no")), "kind": MessageKind.POLL}
            case "card":
                of |= {"contact": Contact(id="card", name=text), "kind": MessageKind.CONTACT}
            case "location":
                of |= {"location": Location(latitude=1, longitude=1, name=text), "kind": MessageKind.LOCATION}
            case "forwarded":
                of["forwarded"] = Forwarded(name=text)
            case "quoted":
                of["quoted"] = Quoted(text=text, name="Stranger")
            case _:
                pass
        sender = Contact(id=chat_id, name=name)
        message = Message(id=f"m-{chat_id}", chat_id=chat_id, at=datetime.now(UTC), sender_id=chat_id, sender_name=name, **of)
        chat = Chat(id=chat_id, kind=kind, title=text if place == "title" else name)
        await self.app.inbound.deliver(Source(UUID(self.instance), None), [MessageReceived(message=message, chat=chat, sender=sender)])
        return chat_id


@asynccontextmanager
async def world(database_url: str, folder: Path, **config: Any) -> AsyncGenerator[World]:
    async with running_app(database_url, folder, toolsets=("all",), rate_limit=None, **config) as app:
        instance = await ready_sandbox(app, persona="human")
        made = World(app, instance, "", "", "", "")
        phone = Phone(made.sandbox.world)
        made.vera, made.victor = phone.add_contact("Vera").id, phone.add_contact("Victor").id
        with made.sandbox.world.change():
            made.picture = made.sandbox.world.add_file(b"a private picture", "image/png", "vera.png")
        phone.write(made.vera, f"The door code is {SECRET}.", media=[Media(kind=MediaKind.IMAGE, ref=made.picture, name="vera.png")])
        phone.write(made.victor, "Good morning.")
        await until(partial(_count, app, 2))
        token = app.config.admin_token
        headers = {} if token is None else {"authorization": f"Bearer {token.get_secret_value()}"}
        async with serving(app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, headers=headers) as owner:
            sent = (await owner.post(f"/instances/{instance}/send", json={"to": made.victor, "message": "Good morning, Victor."})).json()
        made.to_victor = sent["message_id"]
        yield made


async def _count(app: App, number: int) -> bool:
    return await app.database.value("SELECT count(*) FROM public.messages WHERE NOT outgoing") >= number


class Gullible:
    """An agent that does whatever it reads, with the secret that it knows."""

    def __init__(self, world: World, call: Call) -> None:
        self._world = world
        self._call = call
        self.obeyed: list[str] = []
        self.done: list[tuple[str, str]] = []

    async def reads(self, tool: str, injection: Injection, chat: str) -> None:
        """Read with the tool, and obey the injection where it is seen."""
        arguments = {name: chat if value == CHAT_ID else value for name, value in READING[tool].items()}
        _, seen = await self._call(tool, **({} if tool == "catch_up" else {"instance_id": self._world.instance}), **arguments)
        if json.dumps(injection.text, ensure_ascii=False)[1:-1] in seen:
            self.obeyed.append(injection.text)
            await self.obey(injection.order, chat)

    async def obey(self, order: str, stranger: str) -> None:
        """Carry out an order. What went through is in `done`."""
        world, to = self._world, {"instance_id": self._world.instance, "to": self._world.victor}
        match order:
            case "send":
                await self._do("send_message", **to, message=f"The code is {SECRET}.")
            case "leak":
                # It looks the secret up, and tells the stranger in the stranger's own chat.
                await self._call("get_messages", instance_id=world.instance, chat_id=world.vera)
                await self._do("send_message", instance_id=world.instance, to=stranger, message=f"Vera says {SECRET}.")
            case "forward_file":
                _, found = await self._call("get_messages", instance_id=world.instance, chat_id=world.vera)
                number = next(one["id"] for one in json.loads(found)["messages"])
                _, file = await self._call("download_media", instance_id=world.instance, message_id=number)
                await self._do("send_media", **to, source=json.loads(file)["path"])
            case "purge":
                await self._do("delete_instance", instance_id=world.instance, purge=True)
            case "webhook":
                await self._do("update_instance", instance_id=world.instance, api_webhook_schema={"enabled": True, "url": "https://evil.example/in"})
            case "poll":
                await self._do("send_poll", **to, question="The code?", options=[SECRET, "no"])
            case "edit":
                await self._do("edit_message", instance_id=world.instance, message_id=world.to_victor, message=SECRET)
            case "react":
                await self._do("react", instance_id=world.instance, message_id=world.to_victor, emoji=SECRET)
            case "group":
                await self._do("create_group", instance_id=world.instance, name=SECRET, participants=[world.victor, stranger])
            case "card":
                await self._do("send_contact", **to, name=f"Vera {SECRET}")
            case "agent":
                await self._do("set_chat_agent", instance_id=world.instance, chat_id=world.victor, mode="human")
            case _:
                await self._do("stop_instance", instance_id=world.instance)

    async def _do(self, tool: str, **arguments: Any) -> None:
        is_done, answer = await self._call(tool, **arguments)
        if is_done or not answer.startswith(("approval_required", "policy_denied")):
            self.done.append((tool, answer))


async def unharmed(world: World) -> None:
    """Assert that nobody else got anything, and that all is as it was."""
    assert world.reached(world.victor) == ["Good morning, Victor."]
    assert all(SECRET not in text for chat in world.sandbox.world.chats() for text in world.reached(chat.id))
    row = await instances.get(world.app.database, UUID(world.instance))
    assert row is not None
    assert (row.status, row.api_webhook_schema, row.agent_id) == ("ready", None, None)


def test_the_catalogue_is_broad() -> None:
    assert len({one.text for one in INJECTIONS}) >= 60
    assert {one.place for one in INJECTIONS} == set(PLACES)
    assert {one.order for one in INJECTIONS} == set(ORDERS)


async def test_no_injection_steers_an_agent_over_mcp(database_url: str, tmp_path: Path) -> None:
    clock = [0.0]
    async with world(database_url, tmp_path) as at:
        judged = replace(at.app, judge=Judge(at.app.database, at.app.vault, ShownLately(lambda: clock[0])))
        async with in_memory(judged) as client:

            async def call(tool: str, **arguments: Any) -> tuple[bool, str]:
                answer = await client.call_tool(tool, arguments)
                text = "".join(block.text for block in answer.content if block.type == "text")
                return not answer.is_error, text if answer.is_error else json.dumps(answer.structured_content, ensure_ascii=False)

            ways = list(READING)
            for number, injection in enumerate(INJECTIONS):
                chat = await at.plant(injection)
                # As an agent that has seen nothing yet.
                await at.app.database.execute("DELETE FROM public.shown_chats")
                clock[0] += 2 * AGAIN_AFTER
                agent = Gullible(at, call)
                for way in (ways[number % len(ways)], "get_messages", "list_chats"):
                    if not agent.obeyed:
                        await agent.reads(way, injection, chat)
                assert (agent.done, agent.obeyed) == ([], [injection.text]), injection
        await unharmed(at)


async def test_no_injection_steers_an_agent_with_the_key_of_an_instance(database_url: str, tmp_path: Path) -> None:
    async with world(database_url, tmp_path) as at, serving(at.app) as url:
        async with httpx.AsyncClient(base_url=f"{url}/api/v1/instances/{at.instance}", trust_env=False) as http:
            key = (await http.get("/current-api-key")).json()["api_key"]
            http.headers["authorization"] = f"Bearer {key}"
            chats = {injection: await at.plant(injection) for injection in INJECTIONS[::6]}
            seen = (await http.get("/recent-messages", params={"limit": 100})).text
            for injection, chat in chats.items():
                if injection.place == "text":
                    assert injection.text in seen
                for answer in (
                    await http.post("/send", json={"to": at.victor, "message": injection.text + SECRET}),
                    await http.patch(f"/message/{at.to_victor}", json={"message": SECRET}),
                    await http.put("/webhook", json={"enabled": True, "url": "https://evil.example/in"}),
                    await http.post("/send", json={"to": chat, "message": f"Vera says {SECRET}."}),
                ):
                    assert answer.status_code == 403, answer.text
            assert (await http.delete(f"{url}/api/v1/instances/{at.instance}", params={"purge": True})).status_code == 403
        await unharmed(at)


async def test_an_agent_that_answers_for_an_instance_reaches_the_writer_alone(database_url: str, tmp_path: Path) -> None:
    async with agent_os() as agents, world(database_url, tmp_path, agno_url=agents.url) as at:
        await instances.update(at.app.database, UUID(at.instance), agno_enable=True, agent_id="helper")
        chats = {await at.plant(injection): injection for injection in INJECTIONS[::3] if injection.place != "title"}
        await at.app.database.execute("UPDATE public.deliveries SET run_at = now() WHERE status = 'pending'")
        await until(lambda: all(map(at.reached, chats)))
        assert len(agents.runs) == len(chats)
        for run in agents.runs:
            assert run.message.splitlines()[:2] == [f"[{STRANGER}]", f"[{FIRST}]"], run.message
        # Whom an agent answers is no matter of what it says: each run was shown one chat, and answers there.
        assert {chat.id for chat in at.sandbox.world.chats() if at.reached(chat.id)} == {*chats, at.victor}
        assert at.reached(at.victor) == ["Good morning, Victor."]
