"""The settings that a caller gives an instance: their forms, and who may set which."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from db.instances import InstanceRow
from db.retention import Rule
from mcp_messenger.config.quiet_hours import parse_quiet
from mcp_messenger.config.retention import DEFAULTS, OF_SERVER, parse_limit, require_fitting
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.errors import NotAllowed, NotAvailable, quoted
from mcp_messenger.instances import webhook_secrets
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.operations.application import App
from mcp_messenger.policy.judging import current
from mcp_messenger.security.caller import Caller
from providers.base import Provider, Settings
from providers.models import ChatKind
from providers.text import clean_line

FLAT_CREDENTIALS = frozenset(
    {
        "token",
        *("phone_number_id", "access_token", "webhook_verify_token", "app_secret"),
        *("page_id", "page_access_token", "ig_user_id"),
        *("bot_token", "app_token", "signing_secret", "client_id", "guild_id"),
    }
)
"""The providers' own fields that may stand beside the others, as they do in the guide."""


def _readable(text: str) -> str:
    if text:
        parse_quiet(text)
    return text


AccountName = Annotated[str, AfterValidator(clean_line), Field(max_length=60, description="what its owner calls it")]
QuietHours = Annotated[
    str,
    AfterValidator(_readable),
    Field(max_length=64, description='when its agent is silent, e.g. "22:00-07:00 Europe/Berlin"; "off": never; "": as the server\'s'),
]


def _agent_name(text: str) -> str:
    """Return an agent's id that is one part of a path. Raises ValueError for any other."""
    if text and (not text.strip(". ") or not text.isprintable() or {"/", "\\", "?", "#", "%"} & set(text)):
        raise ValueError("an agent's id is one name, without /, \\, ?, # and %")
    return text


AgentId = Annotated[str, AfterValidator(_agent_name), Field(max_length=128)]


class AgentRoute(BaseModel):
    """Which agent answers in these chats, or chats of these kinds; `agent_id` null: none does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: AgentId | None = None
    chats: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(default=[], max_length=1000)
    kinds: list[ChatKind] = Field(default=[], max_length=len(ChatKind))


AgentRoutes = Annotated[
    list[AgentRoute],
    Field(max_length=100, description="which agent answers where: the first that fits, else agent_id; chats: ids; kinds: private, group, channel"),
]


def stored_routes(routes: Sequence[AgentRoute] | None) -> list[dict[str, Any]] | None:
    """Return routes as they are stored; None: none were given."""
    return None if routes is None else [route.model_dump(mode="json") for route in routes]


def _is_rule(rules: dict[str, str]) -> dict[str, str]:
    """Raises ValueError for a kind that no instance has a rule for, or a limit that cannot be read."""
    for kind, limit in rules.items():
        if kind not in DEFAULTS or kind in OF_SERVER:
            raise ValueError(f"there is no rule for {kind!r}: there are {', '.join(kind for kind in DEFAULTS if kind not in OF_SERVER)}")
        if limit:
            require_fitting(kind, parse_limit(limit))
    return rules


Retention = Annotated[
    dict[str, str],
    AfterValidator(_is_rule),
    Field(description='how long what is kept stays, e.g. {"messages": "30d", "events": "7d/5000"}; "keep": for ever; "": as the server\'s'),
]


def runtime_for(app: App, cls: type[Provider], wanted: str | None) -> str:
    """Return the runtime for a messenger. Raises NotAvailable for one that this server has not.

    Docker may be away for the moment: the instance waits for it then. A server that is set to use containers uses them from its first
    moment on, before it has seen the engine.
    """
    if (wanted == "swarm" and app.swarm is None) or (wanted == "docker" and app.docker is None):
        raise NotAvailable(f"The runtime {wanted} is not available on this server.", hint="Leave runtime out.")
    if wanted is not None:
        return wanted
    if cls.default_runtime != "docker":
        return cls.default_runtime
    if app.docker is not None and (app.config.containers.enabled is True or app.docker.away is None):
        return "docker"
    return "swarm" if app.swarm is not None else "process"


def require_admin_for(settings_type: type[Settings], caller: Caller, given: Mapping[str, Any]) -> None:
    """Raise NotAllowed where a setting is given that only the administrator may set."""
    reserved = settings_type.admin_fields & given.keys()
    if reserved and not caller.is_admin:
        raise NotAllowed(f"Only the administrator may set {', '.join(sorted(reserved))}.", hint="Leave it out, or ask the administrator.")


def require_agents(app: App, caller: Caller, agent_id: str | None, routes: Sequence[AgentRoute] | None) -> None:
    """Raise NotAllowed for an agent that the user may not choose: it is run with the operator's key."""
    for name in (agent_id, *(route.agent_id for route in routes or ())):
        _require_agent(app, caller, name)


def _require_agent(app: App, caller: Caller, agent_id: str | None) -> None:
    if agent_id and caller.user_id is not None and not app.config.may_choose(caller.user_id, agent_id):
        raise NotAllowed(
            f"agent_id: this token may not choose the agent {quoted(agent_id)}.",
            hint="Leave agent_id out, or ask the administrator to add it to MCP_MESSENGER_AGNO_AGENTS.",
        )


async def require_reachable(app: App, config: WebhookConfig | None) -> None:
    """Raise FetchRefused for a webhook at a private address: every event would be refused when it is to be posted."""
    if config is None or not config.enabled or not config.url:
        return
    from mcp_messenger.net.fetch import require_allowed

    await require_allowed(str(config.url), NetworkPolicy(allowed_networks=app.config.allowed_networks))


async def require_webhook_owner(app: App, caller: Caller, row: InstanceRow, config: WebhookConfig) -> None:
    """Raise NotAllowed for an agent that would move webhook 1, or set its secret or headers."""
    if _is_by_agent(caller):
        require_owner_for_webhook(caller, needed=await webhook_secrets.needs_owner(app.database, app.vault(), row, config))


def require_owner_for_webhook(caller: Caller, *, needed: bool) -> None:
    """Raise NotAllowed for an agent where a setting of a webhook needs the owner."""
    if needed and _is_by_agent(caller):
        raise NotAllowed(
            "An agent cannot move the webhook to another host, add or remove one, nor set its secret or headers.",
            hint="The instance's user does it over REST, with their token or the administrator's; events, filters and enabled an agent may change.",
        )


def _is_by_agent(caller: Caller) -> bool:
    judging = current.get()
    return (caller.is_agent and not caller.is_local) or (judging is not None and judging.by_agent and judging.approved is None)


def parse_rule(limit: str) -> Rule | None:
    """Return a rule of retention as it is stored; None: the instance has none of its own. Raises ValueError."""
    if not limit:
        return None
    parsed = parse_limit(limit)
    return Rule(parsed.seconds, parsed.newest)
