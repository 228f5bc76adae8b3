"""A sandbox instance whose agent answers, and what its people write."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from db import instances
from mcp_messenger.delivery.inbound import Source
from mcp_messenger.operations.agents import ChatAgent, OfAgentChat, SetChatAgent, get_chat_agent, set_chat_agent
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instances import UpdateInstance, update_instance
from mcp_messenger.security.caller import ADMIN
from providers.events import MessageReceived
from providers.models import Chat, ChatKind, Contact, Message
from providers.sandbox.provider import SandboxProvider
from providers.sandbox.world import Post
from tests.postgres import execute
from tests.running import ready_sandbox, running_app
from tests.standins.agent_os import AgentOsStandIn
from tests.stored import rows

ANN = Chat(id="ann", kind=ChatKind.PRIVATE, title="Ann")
TEAM = Chat(id="team", kind=ChatKind.GROUP, title="Team")
ANSWERS = "SELECT body FROM messages WHERE outgoing AND queued ORDER BY id"


@dataclass
class Desk:
    """A sandbox instance whose agent is on; what people write is delivered by hand."""

    app: App
    url: str
    instance_id: str
    agents: AgentOsStandIn
    """Where it is asked, for the tests that ask one."""
    written: list[str] = field(default_factory=list[str])

    async def write(self, text: str, *, chat: Chat = ANN, is_bot: bool = False, **of_message: Any) -> None:
        sender = Contact(id="ann", name="Ann", is_bot=is_bot)
        self.written.append(text)
        told = {"id": f"w{len(self.written)}", "chat_id": chat.id, "at": datetime.now(UTC), "text": text, "sender_id": "ann", **of_message}
        event = MessageReceived(message=Message.model_validate(told), chat=chat, sender=None if told.get("outgoing") else sender)
        await self.app.inbound.deliver(Source(UUID(self.instance_id), None), [event])

    def answers(self) -> list[str]:
        return [row[0] for row in rows(self.url, ANSWERS)]

    def reasons(self) -> list[tuple[str, str | None]]:
        return rows(self.url, "SELECT status, last_error FROM deliveries WHERE target = 'agno' ORDER BY event_id")

    @property
    def provider(self) -> SandboxProvider:
        owned = self.app.supervisor.get(UUID(self.instance_id))
        assert owned is not None
        assert isinstance(owned.provider, SandboxProvider)
        return owned.provider

    def posts(self, chat_id: str = "ann") -> list[Post]:
        """What we wrote, as it stands on the platform now, oldest first."""
        return [post for post in reversed(self.provider.world.posts(chat_id, limit=50)) if post.message.outgoing]

    def stands(self) -> list[str]:
        return [post.message.text for post in self.posts()]

    def hasten(self) -> None:
        """What time would do."""
        execute(self.url, "UPDATE deliveries SET run_at = now() WHERE status = 'pending'")

    async def quiet_hours(self, written: str) -> None:
        await update_instance(self.app, ADMIN, UpdateInstance(instance_id=self.instance_id, quiet_hours=written))

    async def mode(self, mode: str, minutes: int | None = None) -> ChatAgent:
        args = {"instance_id": self.instance_id, "chat_id": "ann", "mode": mode, "minutes": minutes}
        return await set_chat_agent(self.app, ADMIN, SetChatAgent.model_validate(args))

    async def current(self) -> ChatAgent:
        return await get_chat_agent(self.app, ADMIN, OfAgentChat(instance_id=self.instance_id, chat_id="ann"))


@asynccontextmanager
async def opened(
    database_url: str,
    folder: Path,
    agent_os: AgentOsStandIn | None = None,
    *,
    stream: bool = False,
    agent_id: str = "helper",
    routes: list[dict[str, Any]] | None = None,
    **config: Any,
) -> AsyncGenerator[Desk]:
    """`agent_os` None: the agents are those of `config`."""
    if agent_os is not None:
        config["agno_url"] = agent_os.url
    async with running_app(database_url, folder, **config) as app:
        instance_id = await ready_sandbox(app, persona="human")
        await instances.update(app.database, UUID(instance_id), agno_enable=True, agent_id=agent_id, stream=stream, agent_routes=routes)
        yield Desk(app, database_url, instance_id, agent_os or AgentOsStandIn())
