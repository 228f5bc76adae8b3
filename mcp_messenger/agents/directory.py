"""All agents that this server can ask, by name, and which of them answers in a chat."""

from collections.abc import Mapping, Sequence
from typing import Any

from db.instances import InstanceRow
from mcp_messenger.agents.agent import Agent
from mcp_messenger.agents.agno import AgentOs
from mcp_messenger.config import Config
from mcp_messenger.config.agents import AgentConfig
from mcp_messenger.errors import quoted
from providers.models import ChatKind


class AgentDirectory:
    """The agents of MCP_MESSENGER_AGENTS; every other name is an agent's on the AgentOS, where there is one."""

    def __init__(self, config: Config) -> None:
        self._agents = {name: _agent(name, one) for name, one in config.agents.items()}
        key = config.agno_key
        self._agent_os = None if config.agno_url is None else AgentOs(config.agno_url, None if key is None else key.get_secret_value())

    @property
    def is_empty(self) -> bool:
        return self._agent_os is None and not self._agents

    def get(self, agent_id: str) -> Agent | None:
        """Return the agent with this name; None: this server knows none."""
        return self._agents.get(agent_id, self._agent_os)

    def trouble(self, row: InstanceRow) -> str | None:
        """Return why this server can ask no agent for the instance; None where it can, or none is to answer."""
        return self.trouble_of(row.agent_id, row.agent_routes) if row.agno_enable else None

    def trouble_of(self, agent_id: str | None, routes: Sequence[Mapping[str, Any]] | None) -> str | None:
        """Return why this server cannot ask one of these agents."""
        named = list(dict.fromkeys(name for name in (agent_id, *(route.get("agent_id") for route in routes or ())) if name))
        if not named:
            return "agno_enable is on, and no agent_id says who answers."
        unknown = [name for name in named if self.get(name) is None]
        if not unknown:
            return None
        known = f"It knows {', '.join(sorted(self._agents))}." if self._agents else "Set MCP_MESSENGER_AGENTS or MCP_MESSENGER_AGNO_URL."
        return f"This server has no agent {', '.join(map(quoted, unknown))}: nobody answers. {known}"


def _agent(name: str, config: AgentConfig) -> Agent:
    from mcp_messenger.agents.a2a import A2aAgent
    from mcp_messenger.agents.openai_chat import OpenAiChat
    from mcp_messenger.agents.webhook import WebhookAgent

    return {"openai": OpenAiChat, "a2a": A2aAgent, "webhook": WebhookAgent}[config.kind](name, config)


def routed(row: InstanceRow, chat_id: str, kind: ChatKind) -> str | None:
    """Return which agent answers in a chat: that of the first route that fits, or else the instance's. None: no agent does."""
    for route in row.agent_routes or ():
        if _fits(route, chat_id, kind):
            return route.get("agent_id") or None
    return row.agent_id or None


def _fits(route: Mapping[str, Any], chat_id: str, kind: ChatKind) -> bool:
    chats: Sequence[str] = route.get("chats") or ()
    kinds: Sequence[str] = route.get("kinds") or ()
    return (not chats or chat_id in chats) and (not kinds or kind in kinds)
