"""Strangers reach no agent until their owner lets them in, by a code that each is given once."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import httpx
import pytest
from mcp import Client

from db import instances, pairing
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.application import App
from mcp_messenger.operations.pairing import Pairing
from mcp_messenger.policy.decide import Target, wakes
from mcp_messenger.policy.model import Policy
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from providers.sandbox.phone import Phone
from providers.sandbox.provider import SandboxProvider
from tests.mcp_clients import call, in_memory
from tests.receiver import Receiver, receiver
from tests.running import ready_sandbox, running_app, serving
from tests.standins.agent_os import agent_os
from tests.waiting import until

pytestmark = pytest.mark.anyio

CODES: LiteralString = "SELECT code FROM public.approvals WHERE kind = 'pairing' AND chat_id = %(chat)s ORDER BY created_at"
OVER: LiteralString = "UPDATE public.approvals SET expires_at = now(), created_at = now() - interval '1 hour' WHERE kind = 'pairing'"


class House:
    """An instance whose policy is `paired`, its owner over REST, and an agent."""

    def __init__(self, app: App, instance: str, owner: httpx.AsyncClient, agent: Client) -> None:
        self.app, self.instance, self.owner, self.agent = app, instance, owner, agent
        self.phone = Phone(self.provider.world)

    @property
    def provider(self) -> SandboxProvider:
        owned = self.app.supervisor.get(UUID(self.instance))
        assert owned is not None
        assert isinstance(owned.provider, SandboxProvider)
        return owned.provider

    def told(self, chat: str) -> list[str]:
        """What reached the other side of a chat, oldest first."""
        return [post.message.text for post in reversed(self.provider.world.posts(chat, limit=50)) if post.message.outgoing]

    async def codes(self, chat: str) -> list[str]:
        return [row[0] for row in await self.app.database.rows(CODES, {"chat": chat})]

    async def stranger(self, name: str = "Mallory", text: str = "Hello!") -> str:
        """The chat of somebody new, who has written and whom the server has looked at."""
        chat = self.phone.add_contact(name).id
        await self.writes(chat, text)
        return chat

    async def writes(self, chat: str, text: str) -> None:
        self.phone.write(chat, text)
        await until(lambda: self._has(text, chat))
        await Pairing(self.app).work()

    async def _has(self, text: str, chat: str) -> bool:
        found = "SELECT EXISTS (SELECT FROM public.messages WHERE chat_id = %(chat)s AND body = %(text)s)"
        return bool(await self.app.database.value(found, {"chat": chat, "text": text}))

    async def settled(self, number: int) -> bool:
        """Whether so many codes are decided about."""
        found = "SELECT count(*) FROM public.approvals WHERE kind = 'pairing' AND status <> 'pending'"
        return await self.app.database.value(found) == number

    async def policy(self, **changes: Any) -> None:
        (await self.owner.put(f"/instances/{self.instance}/policy", json=changes)).raise_for_status()

    async def heard(self) -> list[str]:
        """The chats whose words come to an agent that waits."""
        seen = await call(self.agent, "wait_for_messages", instance_id=self.instance, cursor="0", timeout=0, limit=100)
        return [one["chat_id"] for one in seen["messages"]]


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncGenerator[House]:
    async with running_app(database_url, tmp_path, allowed_networks=(ip_network("127.0.0.0/8"),)) as app, serving(app) as url:
        instance = await ready_sandbox(app, persona="human")
        async with in_memory(app) as agent, httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
            house = House(app, instance, owner, agent)
            await house.policy(inbound={"wake": "paired"})
            yield house


async def test_a_stranger_is_given_a_code_and_reaches_agents_when_the_owner_takes_it(house: House) -> None:
    mallory = await house.stranger()
    await house.writes(mallory, "Hello? yes, it is me")
    (code,) = await house.codes(mallory)
    await until(lambda: house.told(mallory))
    assert len(code) == 6
    assert [code in text for text in house.told(mallory)] == [True]
    # The code is worth nothing in the stranger's own chat.
    await house.writes(mallory, f"yes {code}")
    assert await house.heard() == []
    assert (await call(house.agent, "get_messages", instance_id=house.instance, chat_id=mallory))["messages"]
    (waiting,) = (await house.owner.get("/approvals")).json()["approvals"]
    assert (waiting["kind"], waiting["code"], waiting["chat_title"], waiting["chat_id"]) == ("pairing", code, "Mallory", mallory)
    (await house.owner.post(f"/approvals/{waiting['approval_id']}/approve")).raise_for_status()
    assert (await house.owner.post(f"/approvals/{waiting['approval_id']}/deny")).status_code == 409
    assert set(await house.heard()) == {mallory}
    await until(lambda: len(house.told(mallory)) == 2)
    assert "let in" in house.told(mallory)[1]
    # Let in is not trusted: their words still steer nothing elsewhere.
    policy = (await house.owner.get(f"/instances/{house.instance}/policy")).json()
    assert (policy["paired"], policy["trusted"]) == ([mallory], [])
    await house.policy(unpair=[mallory])
    assert await house.heard() == []


async def test_two_codes_at_most_three_at_a_time_and_none_to_whom_the_account_wrote_first(house: House) -> None:
    first = await house.stranger("One")
    await house.app.database.execute(OVER)
    await house.writes(first, "Again")
    await house.app.database.execute(OVER)
    await house.writes(first, "And again")
    assert len(set(await house.codes(first))) == 2
    some = [await house.stranger(f"S{number}") for number in range(4)]
    assert [len(await house.codes(chat)) for chat in some] == [1, 1, 1, 0]
    # One that is denied makes room, and is given no other.
    denied = next(one for one in (await house.owner.get("/approvals")).json()["approvals"] if one["chat_id"] == some[0])
    await house.owner.post(f"/approvals/{denied['approval_id']}/deny")
    await house.writes(some[0], "Please")
    await house.writes(some[3], "Please")
    assert [len(await house.codes(chat)) for chat in some] == [1, 1, 1, 1]
    await house.app.database.execute(OVER)
    friend = house.phone.add_contact("Friend").id
    await house.owner.post(f"/instances/{house.instance}/send", json={"to": friend, "message": "Hi, it is me."})
    await house.writes(friend, "Who?")
    assert await house.codes(friend) == []
    answer = await call(house.agent, "get_messages", instance_id=house.instance, chat_id=friend)
    ours = next(one["id"] for one in answer["messages"] if one.get("own"))
    replies = await call(house.agent, "wait_for_reply", instance_id=house.instance, message_id=ours, timeout=0)
    assert [one["text"] for one in replies["replies"]] == ["Who?"]


async def test_a_code_that_was_not_told_before_a_crash_is_told_once_after_it(house: House) -> None:
    mallory = await house.stranger()
    await until(lambda: house.told(mallory))
    await Pairing(house.app).work()
    # As if the process had died between the code and its message, which has the approval's id as its key.
    await house.app.database.execute("UPDATE public.approvals SET id = gen_random_uuid() WHERE kind = 'pairing'")
    for _ in range(3):
        await Pairing(house.app).work()
    await until(lambda: len(house.told(mallory)) > 1)
    queued = "SELECT count(*) FROM public.messages WHERE outgoing"
    assert await house.app.database.value(queued) == 2


async def test_the_owner_lets_a_stranger_in_from_the_owners_chat_with_a_reaction(house: House) -> None:
    house.phone.write("ann", "It is me.")
    await until(lambda: house._has("It is me.", "ann"))
    await house.policy(owner={"instance_id": house.instance, "chat_id": "ann"})
    mallory, eve = await house.stranger(), await house.stranger("Eve")
    await until(lambda: len(house.told("ann")) == 2)
    request = next(post.message for post in house.provider.world.posts("ann", limit=50) if '"Eve"' in post.message.text)
    house.phone.react(request.id, "👎")
    (code,) = await house.codes(mallory)
    house.phone.write("ann", f"Yes {code}")
    await until(lambda: house.settled(2))
    known = await pairing.known(house.app.database, [(UUID(house.instance), chat) for chat in (mallory, eve)])
    assert {one.chat_id: one.paired for one in known} == {mallory: True, eve: False}


async def test_a_webhook_is_told_who_wakes_no_agent_or_hears_of_nobody_else(house: House) -> None:
    async with receiver() as hook:
        path = f"/instances/{house.instance}/webhook"
        (await house.owner.put(path, json={"enabled": True, "url": hook.url, "events": ["message"]})).raise_for_status()
        await house.stranger()
        house.phone.write("ann", "It is Ann.")
        await until(lambda: len(_messages(hook)) == 2)
        assert {one["message"]["text"]: one.get("wakes") for one in _messages(hook)} == {"Hello!": False, "It is Ann.": None}
        await house.owner.put(path, json={"enabled": True, "url": hook.url, "events": ["message"], "only_waking": True})
        await house.stranger("Eve", "Anybody?")
        house.phone.write("ann", "Ann again.")
        await until(lambda: len(_messages(hook)) == 3)
        assert _messages(hook)[2]["message"]["text"] == "Ann again."


def _messages(hook: Receiver) -> list[dict[str, Any]]:
    return [one.payload["data"] for one in hook.posted]


async def test_no_agent_runs_for_a_stranger_until_it_is_let_in(database_url: str, tmp_path: Path) -> None:
    async with agent_os() as agents, running_app(database_url, tmp_path, agno_url=agents.url) as app, serving(app) as url:
        instance = await ready_sandbox(app, persona="human")
        await instances.update(app.database, UUID(instance), agno_enable=True, agent_id="helper")
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False) as owner:
            await owner.put(f"/instances/{instance}/policy", json={"inbound": {"wake": "paired"}})
            for number, paired in enumerate((False, True)):
                if paired:
                    await owner.put(f"/instances/{instance}/policy", json={"pair": ["9000"]})
                sender = Contact(id="9000", name="Mallory")
                message = Message(id=f"m{number}", chat_id="9000", at=datetime.now(UTC), text=f"wake up {number}", sender_id="9000")
                chat = Chat(id="9000", kind=ChatKind.PRIVATE, title="Mallory")
                await app.inbound.deliver(Source(UUID(instance), None), [MessageReceived(message=message, chat=chat, sender=sender)])
                await app.database.execute("UPDATE public.deliveries SET run_at = now() WHERE status = 'pending'")
                app.agents.wake()
                await until(partial(_answered, app, number + 1))
        assert ["wake up 0" in run.message for run in agents.runs] == [False]


async def _answered(app: App, number: int) -> bool:
    return await app.database.value("SELECT count(*) FROM public.deliveries WHERE target = 'agno' AND status = 'done'") == number


def test_paired_people_wake_agents_and_groups_only_when_they_are_listed() -> None:
    policy = Policy.model_validate({"inbound": {"wake": "paired", "allow": ["g1"], "group_words": "mentions"}})
    group = Target("g2", is_group=True, paired=True)
    people = {"paired": Target("a", paired=True), "trusted": Target("b", trusted=True), "stranger": Target("c"), "group": group}
    assert {name: wakes(policy, one, mentions=True) for name, one in people.items()} == {
        "paired": True,
        "trusted": True,
        "stranger": False,
        "group": False,
    }
    assert [wakes(policy, Target("g1", is_group=True), mentions=mentions) for mentions in (False, True)] == [False, True]
