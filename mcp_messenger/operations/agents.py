"""Sets whether the instance's agent or a person answers in a chat."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from db import agents
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance, Output, PlatformId
from mcp_messenger.security.caller import Caller, instance_of


class OfAgentChat(OfInstance):
    chat_id: PlatformId


class SetChatAgent(OfAgentChat):
    mode: Literal["agent", "human", "paused"]
    minutes: int | None = Field(default=None, ge=1, le=100_000, description="then the agent answers again; none: until it is set again")


class ChatAgent(Output):
    """`mode` agent: the instance's agent answers; human: a person has taken over; paused: nobody answers by itself for now."""

    mode: str
    until: datetime | None = None
    reason: str | None = None


async def get_chat_agent(app: App, caller: Caller, args: OfAgentChat) -> ChatAgent:
    """Return who answers in the chat now. Raises NoSuchInstance."""
    row = await instance_of(app.database, caller, args.instance_id)
    mode = await agents.mode(app.database, row.id, args.chat_id)
    return ChatAgent(mode=mode.mode, until=mode.until, reason=mode.reason)


async def set_chat_agent(app: App, caller: Caller, args: SetChatAgent) -> ChatAgent:
    """Set who answers in the chat: from now on, or for so many minutes. Raises NoSuchInstance."""
    row = await instance_of(app.database, caller, args.instance_id)
    seconds = None if args.minutes is None else args.minutes * 60.0
    await agents.set_mode(app.database, row.id, args.chat_id, args.mode, seconds=seconds, reason=None)
    return await get_chat_agent(app, caller, OfAgentChat(instance_id=args.instance_id, chat_id=args.chat_id))
