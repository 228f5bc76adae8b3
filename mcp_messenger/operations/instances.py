"""Creates, changes, starts, stops and deletes instances."""

import logging
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from uuid import UUID, uuid4

import anyio
import anyio.to_thread
from pydantic import AfterValidator, Field, field_validator, model_validator

from db import addresses, batches, deliveries, instances, retention, secrets
from db.instances import InstanceRow
from db.retention import Rule
from mcp_messenger.config.quiet_hours import parse_quiet
from mcp_messenger.config.retention import DEFAULTS, OF_SERVER, Retained, parse_limit
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.delivery.webhooks import TARGET
from mcp_messenger.errors import InvalidInput, NoSuchInstance, NotAllowed, NotAvailable, quoted
from mcp_messenger.instances import classes, webhook_secrets
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Cursor, Input, Limit, Nothing, OfInstance, Output
from mcp_messenger.operations.port import connected_port
from mcp_messenger.operations.transcript import instance_line
from mcp_messenger.operations.views import InstanceView, instance_view
from mcp_messenger.security import credentials
from mcp_messenger.security.caller import Caller, instance_of, parse_instance_id
from mcp_messenger.security.vault import Vault, new_api_key
from mcp_messenger.validation import validated_settings
from providers import REGISTRY
from providers.base import Provider, Settings
from providers.errors import MessengerError
from providers.models import InstanceState, Limits

log = logging.getLogger(__name__)

ADDRESS_WITHIN = 2.0
"""Seconds that a new instance waits for its address; with an engine or a store that is slow it comes later."""
SETTLE_SECONDS = 20.0
LACKING_WITHIN = 2.0
"""Seconds for the question what an instance lacks, which another process may have to answer."""
KEY_PREFIX_SHOWN = 7


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


class CreateInstance(Input):
    hidden = frozenset({"type_instance", "runtime", "agent_id", "agno_enable", "stream", "quiet_hours", "api_webhook_schema", "user_id"})
    takes_empty = frozenset({"quiet_hours"})

    provider: str = Field(description="e.g. whatsappweb, telegram, slack; sandbox rehearses without an account", max_length=64)
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


def _is_rule(rules: dict[str, str]) -> dict[str, str]:
    """Raises ValueError for a kind that no instance has a rule for, or a limit that cannot be read."""
    for kind, limit in rules.items():
        if kind not in DEFAULTS or kind in OF_SERVER:
            raise ValueError(f"there is no rule for {kind!r}: there are {', '.join(kind for kind in DEFAULTS if kind not in OF_SERVER)}")
        if limit:
            parse_limit(limit)
    return rules


Retention = Annotated[
    dict[str, str],
    AfterValidator(_is_rule),
    Field(description='how long what is kept stays, e.g. {"messages": "30d", "events": "7d/5000"}; "keep": for ever; "": as the server\'s'),
]


class InstanceAnswer(Output):
    """`address` is the instance's own: its API is under /api/v1 there, without its id."""

    hidden = frozenset({"address", "retention"})

    instance_id: str
    address: str | None = None
    status: str
    instance: InstanceView
    capabilities: list[str] = []
    lacking: dict[str, str] = Field(default={}, description="capabilities that it cannot use now, with what each needs")
    limits: Limits | None = None
    retention: dict[str, str] = Field(default={}, description="rules of its own, where they are not the server's")


class UpdatedInstance(InstanceAnswer):
    """`webhook_secret` is there when it was made by this call, and never again."""

    hidden = InstanceAnswer.hidden | {"webhook_secret"}

    webhook_secret: str | None = Field(default=None, repr=False)


class CreatedInstance(UpdatedInstance):
    hidden = UpdatedInstance.hidden | {"api_key"}

    api_key: str | None = Field(default=None, repr=False)


async def create_instance(app: App, caller: Caller, args: CreateInstance) -> CreatedInstance:
    """Create an instance and start it. Raises NotAllowed, NotAvailable for a runtime this server lacks, InvalidInput for settings that do not fit."""
    caller.require_owner()
    caller.require_all_instances()
    user_id = caller.user_id or args.user_id
    if caller.user_id is not None and args.user_id not in {"local", caller.user_id}:
        raise NotAllowed("user_id: another user's instance cannot be made with this token.", hint="Leave user_id out.")
    cls = await classes.load(args.provider)
    runtime = _runtime_for(app, cls, args.runtime)
    _require_agent(app, caller, args.agent_id)
    _require_admin_for(cls.settings_type, caller, args.credentials)
    settings = validated_settings(cls.settings_type, args.provider, args.credentials)
    # Whether the first key may be made is known once the store was looked at.
    await app.database.started()
    instance_id, vault = uuid4(), app.vault()
    for_webhook = webhook_secrets.Change() if args.api_webhook_schema is None else webhook_secrets.change_to(args.api_webhook_schema, {})
    secret = {**credentials.secret_part(settings), **for_webhook.values}
    api_key = new_api_key()
    row = await instances.create(
        app.database,
        instances.NewInstance(
            id=instance_id,
            user_id=user_id,
            provider=args.provider,
            type_instance=list(args.type_instance),
            runtime=runtime,
            settings=credentials.public_part(settings),
            agent_id=args.agent_id,
            agno_enable=args.agno_enable,
            stream=args.stream,
            quiet_hours=args.quiet_hours or None,
            api_webhook_schema=None if args.api_webhook_schema is None else args.api_webhook_schema.public(),
            sealed=credentials.sealed(vault, instance_id, secret),
            key=sealed_key(vault, instance_id, api_key),
        ),
    )
    app.supervisor.wake()
    await app.addresses.look(ADDRESS_WITHIN)
    return CreatedInstance(**dict(await _answer(app, row)), api_key=api_key, webhook_secret=for_webhook.made)


def _runtime_for(app: App, cls: type[Provider], wanted: str | None) -> str:
    """Raises NotAvailable for one that this server has not. Docker may be away for the moment: the instance waits for it then.

    A server that is set to use containers uses them from its first moment on, before it has seen the engine.
    """
    if wanted == "swarm" or (wanted == "docker" and app.docker is None):
        raise NotAvailable(f"The runtime {wanted} is not available on this server.", hint="Leave runtime out.")
    if wanted is not None:
        return wanted
    has_docker = app.docker is not None and (app.config.containers.enabled is True or app.docker.away is None)
    return cls.default_runtime if has_docker else "process"


def _require_admin_for(settings_type: type[Settings], caller: Caller, given: Mapping[str, Any]) -> None:
    reserved = settings_type.admin_fields & given.keys()
    if reserved and not caller.is_admin:
        raise NotAllowed(f"Only the administrator may set {', '.join(sorted(reserved))}.", hint="Leave it out, or ask the administrator.")


def _require_agent(app: App, caller: Caller, agent_id: str | None) -> None:
    """Raise NotAllowed for an agent that the user may not choose: it is run with the operator's key."""
    if agent_id and caller.user_id is not None and not app.config.may_choose(caller.user_id, agent_id):
        raise NotAllowed(
            f"agent_id: this token may not choose the agent {quoted(agent_id)}.",
            hint="Leave agent_id out, or ask the administrator to add it to MCP_MESSENGER_AGNO_AGENTS.",
        )


def sealed_key(vault: Vault, instance_id: UUID, api_key: str) -> secrets.NewKey:
    """Return a new API key as it is stored: encrypted, with a digest to find it by."""
    key_id = uuid4()
    return secrets.NewKey(
        id=key_id,
        prefix=api_key[:KEY_PREFIX_SHOWN],
        digest=vault.digest(api_key),
        sealed=vault.seal(api_key, row=str(instance_id), field=f"api_key/{key_id}"),
    )


async def _answer(app: App, row: InstanceRow) -> InstanceAnswer:
    app.memory.load(row)
    own = (await addresses.of_instances(app.database, [row.id])).get(row.id)
    cls = await classes.load(row.provider) if row.provider in REGISTRY else None
    return InstanceAnswer(
        instance_id=str(row.id),
        status=row.status,
        instance=instance_view(row, app.container(row.id), own),
        address=None if own is None or own.tcp_port is None else app.config.address(own.tcp_port),
        capabilities=sorted(cls.capabilities) if cls else [],
        lacking=await _lacking(app, row) if cls else {},
        limits=cls.limits if cls else None,
        retention={kind: str(Retained(rule.seconds, rule.newest)) for kind, rule in (await retention.rules_of(app.database, row.id)).items()},
    )


async def _lacking(app: App, row: InstanceRow) -> dict[str, str]:
    """Return what the instance cannot do now; nothing while it does not run, or does not say so soon."""
    with anyio.move_on_after(LACKING_WITHIN):
        try:
            return {str(one): needed for one, needed in (await connected_port(app, row).lacking()).items()}
        except MessengerError as error:
            log.debug("an instance does not say what it lacks: %s", error.detail, extra={"instance_id": str(row.id)})
    return {}


class ListInstances(Input):
    hidden = frozenset({"user_id"})

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
        after = position[0], _id_of(position[1])
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
    known = await addresses.of_instances(app.database, [row.id for row in page])
    return InstanceList(
        instances=[instance_view(row, app.container(row.id), known.get(row.id)) for row in page],
        next_cursor=cursors.encode(rows[args.limit - 1].created_at, rows[args.limit - 1].id) if more else None,
    )


def _id_of(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.") from None


async def get_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Return one instance with its capabilities. Raises NoSuchInstance."""
    return await _answer(app, await instance_of(app.database, caller, args.instance_id))


class UpdateInstance(OfInstance):
    hidden = frozenset({"retention"})
    takes_empty = frozenset({"agent_id", "quiet_hours"})

    credentials: dict[str, Any] | None = Field(default=None, repr=False, description="settings to change; applied at the next start")
    type_instance: list[Literal["api", "mcp"]] | None = Field(default=None, min_length=1, max_length=2)
    agent_id: AgentId | None = None
    agno_enable: bool | None = None
    stream: bool | None = None
    quiet_hours: QuietHours | None = None
    api_webhook_schema: WebhookConfig | None = None
    retention: Retention | None = None


async def update_instance(app: App, caller: Caller, args: UpdateInstance) -> UpdatedInstance:
    """Change settings and delivery of an instance; new credentials count from its next start. Raises NotAllowed, InvalidInput."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    if args.agent_id != row.agent_id:
        _require_agent(app, caller, args.agent_id)
    public: dict[str, Any] | None = None
    if args.credentials is not None:
        cls = await classes.load(row.provider)
        _require_admin_for(cls.settings_type, caller, args.credentials)
        kept = await credentials.revealed(app.database, app.vault(), row.id)
        before = {**row.settings, **{name: value for name, value in kept.items() if name in cls.settings_type.model_fields}}
        settings = validated_settings(cls.settings_type, row.provider, {**before, **args.credentials})
        changed = {name: value for name, value in credentials.secret_part(settings).items() if name in args.credentials}
        await credentials.store(app.database, app.vault(), row.id, changed)
        public = credentials.public_part(settings)
    webhook, webhook_secret = args.api_webhook_schema, None
    if webhook is not None:
        webhook = await webhook_secrets.as_meant(app.database, app.vault(), row, webhook)
        webhook_secret = await webhook_secrets.keep(app.database, app.vault(), row, webhook)
    updated = await instances.update(
        app.database,
        row.id,
        type_instance=list(args.type_instance) if args.type_instance else None,
        settings=public,
        agent_id=args.agent_id,
        agno_enable=args.agno_enable,
        stream=args.stream,
        quiet_hours=args.quiet_hours,
        api_webhook_schema=webhook.public() if webhook else None,
    )
    if webhook is not None:
        await deliveries.resume(app.database, row.id, TARGET)
    if args.quiet_hours is not None:
        await batches.hasten(app.database, row.id)
    if args.retention is not None:
        await retention.set_rules(app.database, row.id, {kind: _rule(limit) for kind, limit in args.retention.items()})
    app.supervisor.refresh(updated or row)
    return UpdatedInstance(**dict(await _answer(app, updated or row)), webhook_secret=webhook_secret)


def _rule(limit: str) -> Rule | None:
    if not limit:
        return None
    parsed = parse_limit(limit)
    return Rule(parsed.seconds, parsed.newest)


class DeleteInstance(OfInstance):
    purge: bool = Field(default=False, description="also its messages, chats and contacts")


async def delete_instance(app: App, caller: Caller, args: DeleteInstance) -> Nothing:
    """Stop and delete an instance with its login; its messages stay unless `purge`, which also works later. Raises NotAllowed."""
    caller.require_owner()
    try:
        row = await instance_of(app.database, caller, args.instance_id)
    except NoSuchInstance:
        if args.purge and await _purge_removed(app, caller, args.instance_id):
            return Nothing()
        raise
    await _halt(app, row)
    await instances.delete(app.database, row.id, purge=args.purge)
    app.memory.forget(row.id)
    app.metrics.forget(row.id)
    app.supervisor.wake()
    try:
        await _discard(app, row)
    except MessengerError as error:
        # Whoever looks after the containers collects what belongs to no instance.
        log.warning("what the instance ran in is removed later: %s", error, extra={"instance_id": str(row.id)})
    if args.purge:
        await anyio.to_thread.run_sync(_remove_folder, app.downloads_dir(row.id))
    return Nothing()


async def _purge_removed(app: App, caller: Caller, instance_id: str) -> bool:
    """Remove what an instance left that was removed before; return whether there was anything of the caller's."""
    id = parse_instance_id(instance_id)
    if not caller.is_admin and await instances.owner_of_removed(app.database, id) != caller.user_id:
        return False
    found = await instances.purge_removed(app.database, id)
    await anyio.to_thread.run_sync(_remove_folder, app.downloads_dir(id))
    return found


class ListRemoved(Input):
    limit: Limit = 50
    cursor: Cursor = None


class RemovedInstance(Output):
    """What is not known of an instance that an earlier version removed is left out; only the administrator is shown it."""

    instance_id: str
    provider: str | None = None
    user_id: str | None = None
    removed_at: datetime | None = None
    chats: int


class RemovedInstances(Output):
    removed: list[RemovedInstance]
    next_cursor: str | None = None


async def list_removed_instances(app: App, caller: Caller, args: ListRemoved) -> RemovedInstances:
    """Return removed instances of which messages are kept, the newest removal first. Raises NotAllowed."""
    caller.require_owner()
    position = cursors.decode(args.cursor)
    after = None if position is None else (position[0], _id_of(position[1]))
    rows = await instances.removed(app.database, user_id=caller.user_id, after=after, limit=args.limit + 1)
    last = rows[args.limit - 1] if len(rows) > args.limit else None
    return RemovedInstances(
        removed=[
            RemovedInstance(instance_id=str(row.id), provider=row.provider, user_id=row.user_id, removed_at=row.removed_at, chats=row.chats)
            for row in rows[: args.limit]
        ],
        next_cursor=None if last is None else cursors.encode(last.removed_at, last.id),
    )


async def _discard(app: App, row: InstanceRow) -> None:
    """Throw its login away, wherever it is kept."""
    await anyio.to_thread.run_sync(_remove_folder, app.instance_dir(row.id))
    await app.supervisor.runtime(row).discard(row.id)


def _remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


class ProcessInstance(OfInstance):
    force_recreate: bool = Field(default=False, description="throw the login away: a new QR")


async def process_instance(app: App, caller: Caller, args: ProcessInstance) -> InstanceAnswer:
    """Start an instance; with `force_recreate` throw its login away first."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    if args.force_recreate:
        await _halt(app, row)
        await _discard(app, row)
    return await _launch(app, row)


async def start_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Start an instance; one that runs goes on running."""
    return await _launch(app, await instance_of(app.database, caller, args.instance_id))


async def stop_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Stop an instance and wait until it has stopped; the login stays."""
    return await _answer(app, await _halt(app, await instance_of(app.database, caller, args.instance_id)))


async def restart_instance(app: App, caller: Caller, args: OfInstance) -> InstanceAnswer:
    """Stop an instance, then start it."""
    return await _launch(app, await _halt(app, await instance_of(app.database, caller, args.instance_id)))


async def _launch(app: App, row: InstanceRow) -> InstanceAnswer:
    """Idempotent: what runs goes on running; what has given up starts again."""
    await classes.load(row.provider)
    if row.desired == "running" and row.status in {InstanceState.ERROR, InstanceState.LOGGED_OUT}:
        row = await _halt(app, row)
    if row.desired == "stopped" and await app.supervisor.nobody_runs(row.id):
        await app.supervisor.announce(row, InstanceState.PROCESSING)
    started = await instances.set_desired(app.database, row.id, "running")
    app.supervisor.wake()
    return await _answer(app, started or row)


async def _halt(app: App, row: InstanceRow) -> InstanceRow:
    """Stop it, wherever it runs, and wait until that is done, or until somebody starts it again."""
    if row.desired == "stopped" and row.status == "stopped":
        return row
    await instances.set_desired(app.database, row.id, "stopped")
    app.supervisor.wake()
    deadline = anyio.current_time() + SETTLE_SECONDS
    while True:
        async with app.feed.waiter(row.id) as grown:
            now = await instances.get(app.database, row.id)
            if now is None or now.desired == "running":
                return now or row
            if await app.supervisor.nobody_runs(row.id):
                if now.status == InstanceState.STOPPED:
                    return now
                await app.supervisor.announce(row, InstanceState.STOPPED)
                continue
            if anyio.current_time() > deadline:
                raise NotAvailable(f"The instance did not stop within {SETTLE_SECONDS:g} s.", hint="Try again; get_logs says what it does.")
            # Its process gives it up right after it has written that it stopped; of that no event tells.
            with anyio.move_on_after(0.02 if now.status == InstanceState.STOPPED else 0.5):
                await grown.wait()


class ProviderStats(Output):
    instances: dict[str, int]
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0


class ActiveProviders(Output):
    providers: list[str]
    available: dict[str, list[str]]


async def active_providers(app: App, caller: Caller, args: Input) -> ActiveProviders:
    """Return the messengers with an instance, and all that are available."""
    caller.require_all_instances()
    rows = await instances.counts(app.database, user_id=caller.user_id, id=caller.instance_id)
    return ActiveProviders(
        providers=sorted({provider for provider, _, _ in rows}),
        available={name: sorted((await classes.load(name)).capabilities) for name in sorted(REGISTRY)},
    )
