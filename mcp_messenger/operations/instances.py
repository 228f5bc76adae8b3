"""Creates, lists and changes instances."""

from typing import Any, Literal, cast
from uuid import uuid4

from pydantic import Field, field_validator, model_validator

from db import batches, deliveries, instances, retention
from db.webhooks import TARGET
from mcp_messenger.config.quotas import Quota
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.errors import InvalidInput, NotAllowed
from mcp_messenger.instances import classes, webhook_secrets
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.account_pages import MINUTES, page_to_add
from mcp_messenger.operations.application import App
from mcp_messenger.operations.cursor import instance_id_of
from mcp_messenger.operations.instance_answers import CreatedInstance, InstanceAnswer, UpdatedInstance, instance_answer
from mcp_messenger.operations.instance_settings import (
    FLAT_CREDENTIALS,
    AccountName,
    AgentId,
    AgentRoutes,
    QuietHours,
    Retention,
    parse_rule,
    require_admin_for,
    require_agents,
    require_reachable,
    require_webhook_owner,
    runtime_for,
    stored_routes,
)
from mcp_messenger.operations.lifecycle import require_memory
from mcp_messenger.operations.operation import Cursor, Input, Limit, OfInstance, Output
from mcp_messenger.operations.transcript import instance_line
from mcp_messenger.operations.views import InstanceView, address_of, instance_view
from mcp_messenger.policy.judging import current
from mcp_messenger.security import credentials
from mcp_messenger.security.api_keys import sealed_key
from mcp_messenger.security.caller import Caller, instance_of
from mcp_messenger.security.quotas import exceeded
from mcp_messenger.security.vault import new_api_key
from mcp_messenger.validation import validated_settings
from providers.base import Provider, Settings

ADDRESS_WITHIN = 2.0
"""Seconds that a new instance waits for its address; with an engine or a store that is slow it comes later."""


class CreateInstance(Input):
    hidden = frozenset(
        {"name", "type_instance", "runtime", "agent_id", "agno_enable", "stream", "quiet_hours", "agent_routes", "api_webhook_schema", "user_id"}
    )
    takes_empty = frozenset({"quiet_hours"})

    provider: str = Field(description="e.g. whatsappweb, telegram, slack; sandbox rehearses without an account", max_length=64)
    name: AccountName = ""
    user_id: str = Field(default="local", min_length=1, max_length=128, description="whose it is")
    credentials: dict[str, Any] = Field(
        default_factory=dict, description='settings of the messenger, e.g. {"token": "..."} for telegram; an error names them', repr=False
    )
    type_instance: list[Literal["api", "mcp"]] = Field(default=["api"], min_length=1, max_length=2)
    runtime: Literal["process", "docker", "swarm"] | None = None
    agent_id: AgentId | None = None
    agno_enable: bool = False
    stream: bool = Field(default=False, description="the agent's answer is shown while it grows, where messages can be edited")
    quiet_hours: QuietHours | None = None
    agent_routes: AgentRoutes | None = None
    api_webhook_schema: WebhookConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, data: Any) -> object:
        """`token` and its like may stand at the top, as they do in the guide."""
        if not isinstance(data, dict):
            return cast("object", data)
        given: dict[str, Any] = dict(cast("dict[str, Any]", data))
        flat = {name: given.pop(name) for name in FLAT_CREDENTIALS & given.keys()}
        present = {name: value for name, value in flat.items() if value is not None}
        nested: object = given.get("credentials") or {}
        if not present or not isinstance(nested, dict):
            return given
        return {**given, "credentials": {**cast("dict[str, Any]", nested), **present}}

    @field_validator("type_instance")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


async def create_instance(app: App, caller: Caller, args: CreateInstance) -> CreatedInstance:
    """Create an instance and start it.

    Raises NotAllowed, QuotaExceeded, NotAvailable for a runtime this server lacks, InvalidInput for settings that do not fit.
    """
    caller.require_owner()
    caller.require_all_instances()
    user_id = caller.user_id or args.user_id
    if caller.user_id is not None and args.user_id not in {"local", caller.user_id}:
        raise NotAllowed("user_id: another user's instance cannot be made with this token.", hint="Leave user_id out.")
    cls = await classes.load(args.provider)
    runtime = runtime_for(app, cls, args.runtime)
    require_agents(app, caller, args.agent_id, args.agent_routes)
    require_admin_for(cls.settings_type, caller, args.credentials)
    settings = await _settings(app, cls, user_id=caller.user_id, args=args)
    await require_reachable(app, args.api_webhook_schema)
    # Whether the first key may be made is known once the store was looked at.
    await app.database.started()
    instance_id, vault = uuid4(), app.vault()
    for_webhook = webhook_secrets.Change() if args.api_webhook_schema is None else webhook_secrets.change_to(args.api_webhook_schema, {})
    secret = {**credentials.secret_part(settings), **for_webhook.values}
    api_key = new_api_key()
    most = None if caller.user_id is None else await app.quotas.most(user_id, Quota.INSTANCES)
    if runtime == "docker":
        await require_memory(app, caller, user_id)
    row = await instances.create(
        app.database,
        instances.NewInstance(
            id=instance_id,
            user_id=user_id,
            provider=args.provider,
            name=args.name,
            type_instance=list(args.type_instance),
            runtime=runtime,
            settings=credentials.public_part(settings),
            agent_id=args.agent_id,
            agno_enable=args.agno_enable,
            stream=args.stream,
            quiet_hours=args.quiet_hours or None,
            agent_routes=stored_routes(args.agent_routes),
            api_webhook_schema=None if args.api_webhook_schema is None else args.api_webhook_schema.public(),
            sealed=credentials.sealed(vault, instance_id, secret),
            key=sealed_key(vault, instance_id, api_key),
        ),
        most=most,
    )
    if row is None:
        raise exceeded(user_id, Quota.INSTANCES, await instances.count_of_user(app.database, user_id), most or 0)
    app.supervisor.wake()
    await app.addresses.look(ADDRESS_WITHIN)
    return CreatedInstance(**dict(await instance_answer(app, row)), api_key=api_key, webhook_secret=for_webhook.made)


async def _settings(app: App, cls: type[Provider], *, user_id: str | None, args: CreateInstance) -> Settings:
    """Return the settings. Raises InvalidInput, which leads an agent that lacks a secret to a page where a person enters it."""
    judging = current.get()
    required = {name for name, field in cls.settings_type.model_fields.items() if field.is_required()}
    missing = sorted((required & cls.settings_type.secret_fields()) - args.credentials.keys())
    if missing and judging is not None and judging.by_agent:
        page = await page_to_add(app, user_id or (None if args.user_id == "local" else args.user_id), args.provider)
        raise InvalidInput(
            f"{cls.title} needs {', '.join(missing)}, which should not pass through a chat.",
            hint=f"Let the person open {page.url} within {MINUTES} minutes and enter it there. list_instances shows the account then.",
        )
    return validated_settings(cls.settings_type, args.provider, args.credentials)


class ListInstances(Input):
    hidden = frozenset({"user_id", "provider", "status", "limit"})

    provider: str | None = Field(default=None, max_length=64)
    status: str | None = Field(default=None, max_length=32)
    user_id: str | None = Field(default=None, max_length=128)
    limit: Limit = 50
    cursor: Cursor = None


class InstanceList(Output):
    instances: list[InstanceView]
    next_cursor: str | None = None

    def transcript(self) -> str:
        """Return a line for each instance, with as much of its id as tools take for it."""
        more = [f'more: cursor="{self.next_cursor}"'] if self.next_cursor else []
        return "\n".join([*map(instance_line, self.instances), *more]) or "No instances; create_instance makes one."


async def list_instances(app: App, caller: Caller, args: ListInstances) -> InstanceList:
    """Return a page of the caller's instances, the newest first."""
    position = cursors.decode(args.cursor)
    after = None
    if position is not None:
        if position[0] is None:
            raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.")
        after = position[0], instance_id_of(position[1])
    rows = await instances.listing(
        app.database,
        user_id=caller.user_id or args.user_id,
        id=caller.instance_id,
        provider=args.provider,
        status=args.status,
        after=after,
        limit=args.limit + 1,
    )
    page = [row for row in rows[: args.limit] if caller.sees(row)]
    more = len(rows) > args.limit
    return InstanceList(
        instances=[instance_view(row, app.container(row.id), address_of(row), app.agents.directory.trouble(row)) for row in page],
        next_cursor=cursors.encode(rows[args.limit - 1].created_at, rows[args.limit - 1].id) if more else None,
    )


async def get_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Return one instance with its capabilities. Raises NoSuchInstance."""
    return await instance_answer(app, await instance_of(app.database, caller, args.instance_id))


class UpdateInstance(OfInstance):
    hidden = frozenset({"retention", "agent_routes"})
    takes_empty = frozenset({"name", "agent_id", "quiet_hours"})

    name: AccountName | None = None

    credentials: dict[str, Any] | None = Field(default=None, repr=False, description="settings to change; applied at the next start")
    type_instance: list[Literal["api", "mcp"]] | None = Field(default=None, min_length=1, max_length=2)
    agent_id: AgentId | None = None
    agno_enable: bool | None = None
    stream: bool | None = None
    quiet_hours: QuietHours | None = None
    agent_routes: AgentRoutes | None = None
    api_webhook_schema: WebhookConfig | None = None
    retention: Retention | None = None


async def update_instance(app: App, caller: Caller, args: UpdateInstance) -> UpdatedInstance:
    """Change settings and delivery of an instance; new credentials count from its next start. Raises NotAllowed, InvalidInput."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    require_agents(app, caller, None if args.agent_id == row.agent_id else args.agent_id, args.agent_routes)
    webhook, webhook_secret = args.api_webhook_schema, None
    if webhook is not None:
        webhook = await webhook_secrets.as_meant(app.database, app.vault(), row, webhook)
        await require_webhook_owner(app, caller, row, webhook)
        await require_reachable(app, webhook)
    public: dict[str, Any] | None = None
    if args.credentials is not None:
        cls = await classes.load(row.provider)
        require_admin_for(cls.settings_type, caller, args.credentials)
        kept = await credentials.revealed(app.database, app.vault(), row.id)
        before = {**row.settings, **{name: value for name, value in kept.items() if name in cls.settings_type.model_fields}}
        settings = validated_settings(cls.settings_type, row.provider, {**before, **args.credentials})
        changed = {name: value for name, value in credentials.secret_part(settings).items() if name in args.credentials}
        await credentials.store(app.database, app.vault(), row.id, changed)
        public = credentials.public_part(settings)
    if webhook is not None:
        webhook_secret = await webhook_secrets.keep(app.database, app.vault(), row, webhook)
    updated = await instances.update(
        app.database,
        row.id,
        name=args.name,
        type_instance=list(args.type_instance) if args.type_instance else None,
        settings=public,
        agent_id=args.agent_id,
        agno_enable=args.agno_enable,
        stream=args.stream,
        quiet_hours=args.quiet_hours,
        agent_routes=stored_routes(args.agent_routes),
        api_webhook_schema=webhook.public() if webhook else None,
    )
    if webhook is not None:
        await deliveries.resume(app.database, row.id, TARGET)
    if args.quiet_hours is not None:
        await batches.hasten(app.database, row.id)
    if args.retention is not None:
        await retention.set_rules(app.database, row.id, {kind: parse_rule(limit) for kind, limit in args.retention.items()})
    app.supervisor.refresh(updated or row)
    return UpdatedInstance(**dict(await instance_answer(app, updated or row)), webhook_secret=webhook_secret)
