"""Whether the agents that this server is set to ask can be reached."""

import httpx

from mcp_messenger.checks.finding import Finding, ok, problem
from mcp_messenger.config import Config
from mcp_messenger.net.fetch import words_of
from providers.text import clean_line

WITHIN = 10.0


async def check_agents(config: Config) -> list[Finding]:
    """Ask each by HEAD, which carries no question; whatever is answered, it was reached."""
    wanted = {name: one.url for name, one in config.agents.items()}
    if config.agno_url is not None:
        wanted["AgentOS"] = config.agno_url
    async with httpx.AsyncClient(trust_env=False, timeout=WITHIN) as client:
        return [await _reached(client, name, url) for name, url in wanted.items()]


async def _reached(client: httpx.AsyncClient, name: str, url: str) -> Finding:
    check = f"agent {clean_line(name)}"
    try:
        await client.head(url)
    except httpx.HTTPError as error:
        reason = words_of(error)
        return problem(check, f"It cannot be reached: {reason}", "Start it, or correct MCP_MESSENGER_AGENTS or MCP_MESSENGER_AGNO_URL.")
    return ok(check, "It can be reached.")
