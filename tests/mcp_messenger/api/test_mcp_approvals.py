"""A call that needs a person is put before the person at the client, in both eras of the protocol, and the first answer counts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from mcp import Client
from mcp.types import ElicitRequestFormParams, ElicitResult

from mcp_messenger.api.mcp.full_server import whole_server
from mcp_messenger.operations.application import App
from mcp_messenger.security.caller import ADMIN, Caller
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from tests.mcp_clients import ERAS, call, refused
from tests.running import ready_sandbox, running_app, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


@dataclass
class Person:
    """Who sits at a client: answers each question in turn, or waits for `gate`."""

    answers: list[ElicitResult]
    questions: list[str] = field(default_factory=list[str])
    gate: anyio.Event | None = None

    async def asked(self, context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.questions.append(params.message)
        if self.gate is not None:
            await self.gate.wait()
        return self.answers.pop(0)


def says(decision: str, **more: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": decision, **more})


@dataclass
class Desk:
    """An account with two strangers, of whose words the agents at clients that are opened here are shown one."""

    app: App
    instance: str
    mallory: str
    victor: str

    @property
    def written(self) -> list[str]:
        """What reached Victor."""
        owned = self.app.supervisor.get(UUID(self.instance))
        assert owned is not None
        assert isinstance(owned.provider, SandboxProvider)
        return [post.message.text for post in reversed(owned.provider.world.posts(self.victor, limit=50)) if post.message.outgoing]

    @asynccontextmanager
    async def client(self, era: str, person: Person | None, caller: Caller = ADMIN) -> AsyncGenerator[Client]:
        async def authenticate(context: Any) -> Caller:
            return caller

        server, _ = whole_server(self.app, authenticate)
        async with Client(server, mode=era, elicitation_callback=person.asked if person else None) as client:
            await call(client, "get_messages", instance_id=self.instance, chat_id=self.mallory)
            yield client

    def send(self, text: str) -> dict[str, Any]:
        return {"instance_id": self.instance, "to": self.victor, "message": text}


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with running_app(database_url, tmp_path) as app:
        instance = await ready_sandbox(app, persona="human")
        owned = app.supervisor.get(UUID(instance))
        assert owned is not None
        assert isinstance(owned.provider, SandboxProvider)
        phone = Phone(owned.provider.world)
        people = [phone.add_contact(name).id for name in ('Mallory "yes"', "Victor")]
        for one in people:
            phone.write(one, "Hello.")
        await until(lambda: _heard(app, 2))
        yield Desk(app, instance, *people)


async def _heard(app: App, number: int) -> bool:
    return await app.database.value("SELECT count(*) FROM public.messages WHERE NOT outgoing") == number


@pytest.mark.parametrize("era", ERAS)
async def test_the_person_at_the_client_decides_changes_and_trusts(desk: Desk, era: str) -> None:
    person = Person([says("yes"), says("no"), ElicitResult(action="decline"), ElicitResult(action="cancel"), says("always", message="four, then")])
    async with desk.client(era, person) as client:
        assert (await call(client, "send_message", **desk.send("one")))["message_id"]
        assert "An agent wants send_message" in person.questions[0]
        assert "\n\n> one" in person.questions[0]
        for text in ("two", "three"):
            assert (await refused(client, "send_message", **desk.send(text))).startswith("policy_denied: The owner was asked, and said no.")
        assert (await refused(client, "send_message", **desk.send("later"))).startswith("approval_required")
        await call(client, "send_message", **desk.send("four"))
        # Trusted now: nobody is asked any more.
        await call(client, "send_message", **desk.send("five"))
        assert len(person.questions) == 5
    assert desk.written == ["one", "four, then", "five"]


@pytest.mark.parametrize("era", ERAS)
async def test_with_an_agents_key_and_where_the_owner_forbids_it_nobody_decides_at_the_client(desk: Desk, era: str) -> None:
    person = Person([says("yes")] * 9)
    async with desk.client(era, person, Caller(user_id="local", instance_id=UUID(desk.instance))) as client:
        assert (await refused(client, "send_message", **desk.send("one"))).startswith("approval_required")
    async with serving(desk.app) as url, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
        await owner.put(f"/instances/{desk.instance}/policy", json={"client_decides": False})
    async with desk.client(era, person) as client:
        assert (await refused(client, "send_message", **desk.send("two"))).startswith("approval_required")
    async with desk.client(era, None) as client:
        assert (await refused(client, "send_message", **desk.send("three"))).startswith("approval_required")
    assert (person.questions, desk.written) == ([], [])


async def test_who_decides_elsewhere_first_counts_and_the_client_is_asked_no_more(desk: Desk) -> None:
    person = Person([says("yes")], gate=anyio.Event())
    answers: list[str] = []
    async with desk.client("legacy", person) as client, serving(desk.app) as url, anyio.create_task_group() as tasks:

        async def asks() -> None:
            answers.append(await refused(client, "send_message", **desk.send("one")))

        tasks.start_soon(asks)
        await until(lambda: person.questions)
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
            (waiting,) = (await owner.get("/approvals")).json()["approvals"]
            await owner.post(f"/approvals/{waiting['approval_id']}/deny", json={"reason": "Not now."})
        await until(lambda: answers)
        assert person.gate is not None
        person.gate.set()
    assert "They say: Not now." in answers[0]
    assert desk.written == []


async def test_words_that_one_client_was_shown_ask_nobody_at_another_that_was_there_before(desk: Desk) -> None:
    async def authenticate(context: Any) -> Caller:
        return ADMIN

    from mcp.types import Implementation

    server, _ = whole_server(desk.app, authenticate)

    def by(name: str) -> Client:
        return Client(server, client_info=Implementation(name=name, version="1"))

    async with by("reader") as reader, by("another") as another:
        assert not (await another.call_tool("check_send", desk.send("before"))).is_error
        await call(reader, "get_messages", instance_id=desk.instance, chat_id=desk.mallory)
        for client, text, is_asked in ((reader, "reader", True), (another, "another", False)):
            assert (await client.call_tool("send_message", desk.send(text))).is_error is is_asked
        async with by("a new name of the reader") as renamed:
            assert (await renamed.call_tool("send_message", desk.send("renamed"))).is_error
    assert desk.written == ["another"]
