"""Instances: one row an account, in the table of its messenger. `message_instances` is the parent of all of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db import audit, secrets
from db.advisory_locks import hold_log
from db.audit import Entry
from db.database import Database
from db.json import jsonb


@dataclass(frozen=True, slots=True)
class InstanceRow:
    id: UUID
    user_id: str
    provider: str
    name: str
    """As its owner calls it; empty: by no name."""
    type_instance: list[str]
    runtime: str
    desired: str
    status: str
    status_reason: str | None
    needs: str
    account: dict[str, Any] | None
    settings: dict[str, Any]
    agent_id: str | None
    agno_enable: bool
    stream: bool
    quiet_hours: str | None
    agent_routes: list[dict[str, Any]] | None
    api_webhook_schema: dict[str, Any] | None
    last_activity_at: datetime | None
    created_at: datetime
    updated_at: datetime


INSERT: LiteralString = """
    INSERT INTO public.message_instances
        (id, user_id, provider, name, type_instance, runtime, desired, settings, agent_id, agno_enable, stream, quiet_hours,
        agent_routes, api_webhook_schema)
    VALUES (%(id)s, %(user_id)s, %(provider)s, %(name)s, %(type_instance)s, %(runtime)s, 'running', %(settings)s, %(agent_id)s, %(agno_enable)s,
        %(stream)s, %(quiet_hours)s, %(agent_routes)s, %(api_webhook_schema)s)"""


@dataclass(frozen=True, slots=True)
class NewInstance:
    """All that an instance begins with. `sealed` holds its secrets by field."""

    id: UUID
    user_id: str
    provider: str
    type_instance: list[str]
    runtime: str
    settings: dict[str, Any]
    agent_id: str | None
    agno_enable: bool
    stream: bool
    quiet_hours: str | None
    agent_routes: list[dict[str, Any]] | None
    api_webhook_schema: dict[str, Any] | None
    sealed: dict[str, bytes]
    key: secrets.NewKey
    name: str = ""


# Two that come at once are counted one after the other.
OF_USER_LOCKED: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('mcp-messenger instances ' || %(user_id)s::text, 0))"
COUNT_OF_USER: LiteralString = "SELECT count(*) FROM public.message_instances WHERE user_id = %(user_id)s"
CONTAINED: LiteralString = """
    SELECT count(*) FROM public.message_instances
    WHERE user_id = %(user_id)s AND runtime = 'docker' AND desired = 'running' AND id IS DISTINCT FROM %(but)s::uuid"""


async def count_of_user(database: Database, user_id: str) -> int:
    """Return how many instances a user has."""
    return await database.value(COUNT_OF_USER, {"user_id": user_id})


async def contained_of_user(database: Database, user_id: str, *, but: UUID | None = None) -> int:
    """Return how many of a user's instances run in containers, or are to, without one of them."""
    return await database.value(CONTAINED, {"user_id": user_id, "but": but})


async def create(database: Database, new: NewInstance, *, most: int | None = None) -> InstanceRow | None:
    """Store an instance that is to run, with its secrets and its API key: all of it, or nothing. None: the user has `most` already."""
    async with database.transaction() as connection:
        if most is not None:
            await connection.execute(OF_USER_LOCKED, {"user_id": new.user_id})
            counted = await (await connection.execute(COUNT_OF_USER, {"user_id": new.user_id})).fetchone()
            if counted is None or counted[0] >= most:
                return None
        await connection.execute(
            INSERT,
            {
                "id": new.id,
                "user_id": new.user_id,
                "provider": new.provider,
                "name": new.name,
                "type_instance": new.type_instance,
                "runtime": new.runtime,
                "settings": jsonb(new.settings),
                "agent_id": new.agent_id,
                "agno_enable": new.agno_enable,
                "stream": new.stream,
                "quiet_hours": new.quiet_hours,
                "agent_routes": None if new.agent_routes is None else jsonb(new.agent_routes),
                "api_webhook_schema": None if new.api_webhook_schema is None else jsonb(new.api_webhook_schema),
            },
        )
        await connection.execute(secrets.PUT, {"id": new.id, "fields": list(new.sealed), "sealed": list(new.sealed.values())})
        await connection.execute(secrets.NEW_KEY, new.key.params(new.id))
    row = await get(database, new.id)
    assert row is not None
    return row


GET: LiteralString = """
    SELECT id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
        agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at
    FROM public.message_instances WHERE id = %(id)s"""


BY_BEGINNING: LiteralString = """
    SELECT id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
        agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at
    FROM public.message_instances WHERE id BETWEEN %(first)s AND %(last)s
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(id)s::uuid IS NULL OR id = %(id)s)
    LIMIT 2"""


async def by_beginning(database: Database, digits: str, *, user_id: str | None, id: UUID | None) -> InstanceRow | None:
    """Return the instance whose id begins with these eight digits, of this user's where there is one; None: there is none, or more than one."""
    first, last = (UUID(digits + rest * 24) for rest in ("0", "f"))
    found = await database.read(InstanceRow, BY_BEGINNING, {"first": first, "last": last, "user_id": user_id, "id": id})
    return found[0] if len(found) == 1 else None


async def get(database: Database, instance_id: UUID) -> InstanceRow | None:
    """Return an instance; None: there is none with this id."""
    return await database.read_one(InstanceRow, GET, {"id": instance_id})


@dataclass(frozen=True, slots=True)
class ListedInstance(InstanceRow):
    """An instance with the port of its own address; None before one was chosen. `address_trouble` says why no server can listen."""

    tcp_port: int | None
    address_trouble: str | None


LIST: LiteralString = """
    SELECT id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
        agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at,
        tcp_port, trouble AS address_trouble
    FROM public.message_instances LEFT JOIN public.instance_addresses ON instance_id = id
    WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(id)s::uuid IS NULL OR id = %(id)s)
      AND (%(provider)s::text IS NULL OR provider = %(provider)s)
      AND (%(status)s::text IS NULL OR status = %(status)s)
      AND (%(after)s::timestamptz IS NULL OR (created_at, id) < (%(after)s, %(after_id)s))
    ORDER BY created_at DESC, id DESC
    LIMIT %(limit)s"""


async def listing(
    database: Database,
    *,
    user_id: str | None = None,
    id: UUID | None = None,
    provider: str | None = None,
    status: str | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[ListedInstance]:
    """Return instances with their addresses, newest first. `after` is the (created_at, id) of the last row of the page before."""
    return await database.read(
        ListedInstance,
        LIST,
        {
            "user_id": user_id,
            "id": id,
            "provider": provider,
            "status": status,
            "after": after and after[0],
            "after_id": after and after[1],
            "limit": limit,
        },
    )


UPDATE: LiteralString = """
    UPDATE public.message_instances SET
        name = coalesce(%(name)s, name), type_instance = coalesce(%(type_instance)s, type_instance), settings = coalesce(%(settings)s, settings),
        agent_id = coalesce(%(agent_id)s, agent_id), agno_enable = coalesce(%(agno_enable)s, agno_enable),
        stream = coalesce(%(stream)s, stream), quiet_hours = nullif(coalesce(%(quiet_hours)s, quiet_hours), ''),
        agent_routes = coalesce(%(agent_routes)s, agent_routes),
        api_webhook_schema = coalesce(%(api_webhook_schema)s, api_webhook_schema),
        updated_at = now()
    WHERE id = %(id)s
    RETURNING id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
        agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at"""


async def update(
    database: Database,
    instance_id: UUID,
    *,
    name: str | None = None,
    type_instance: list[str] | None = None,
    settings: dict[str, Any] | None = None,
    agent_id: str | None = None,
    agno_enable: bool | None = None,
    stream: bool | None = None,
    quiet_hours: str | None = None,
    agent_routes: list[dict[str, Any]] | None = None,
    api_webhook_schema: dict[str, Any] | None = None,
) -> InstanceRow | None:
    """Change what is not None; return the row after it, or None: no such instance. `quiet_hours` "": as the server's."""
    return await database.one(
        InstanceRow,
        UPDATE,
        {
            "id": instance_id,
            "name": name,
            "type_instance": type_instance,
            "settings": None if settings is None else jsonb(settings),
            "agent_id": agent_id,
            "agno_enable": agno_enable,
            "stream": stream,
            "quiet_hours": quiet_hours,
            "agent_routes": None if agent_routes is None else jsonb(agent_routes),
            "api_webhook_schema": None if api_webhook_schema is None else jsonb(api_webhook_schema),
        },
    )


SET_DESIRED: LiteralString = """
    WITH changed AS (
        UPDATE public.message_instances SET desired = %(desired)s, updated_at = now() WHERE id = %(id)s
        RETURNING id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
            agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at
    )
    SELECT id, user_id, provider, name, type_instance, runtime, desired, status, status_reason, needs, account, settings, agent_id,
        agno_enable, stream, quiet_hours, agent_routes, api_webhook_schema, last_activity_at, created_at, updated_at
    FROM changed, (SELECT pg_notify('mcp_messenger_instances', %(id)s::text)) AS notified"""


async def set_desired(database: Database, instance_id: UUID, desired: str) -> InstanceRow | None:
    """Store whether the instance should run, and wake the process that owns it or will. None: no such instance."""
    return await database.one(InstanceRow, SET_DESIRED, {"id": instance_id, "desired": desired})


DELETE: LiteralString = """
    WITH gone AS (DELETE FROM public.message_instances WHERE id = %(id)s RETURNING id, user_id, provider),
        remembered AS (
            INSERT INTO public.removed_instances (id, user_id, provider) SELECT id, user_id, provider FROM gone ON CONFLICT (id) DO NOTHING),
        leases AS (DELETE FROM public.leases USING gone WHERE instance_id = gone.id),
        outbox AS (DELETE FROM public.outbox USING gone WHERE instance_id = gone.id),
        calls AS (DELETE FROM public.calls USING gone WHERE instance_id = gone.id),
        deliveries AS (DELETE FROM public.deliveries USING gone WHERE instance_id = gone.id),
        endpoints AS (DELETE FROM public.delivery_endpoints USING gone WHERE instance_id = gone.id),
        webhooks AS (DELETE FROM public.webhooks USING gone WHERE instance_id = gone.id),
        taken AS (DELETE FROM public.agent_chats USING gone WHERE instance_id = gone.id),
        events AS (DELETE FROM public.events USING gone WHERE instance_id = gone.id),
        statuses AS (DELETE FROM public.status_history USING gone WHERE instance_id = gone.id),
        codes AS (DELETE FROM public.qr_codes USING gone WHERE instance_id = gone.id),
        keys AS (DELETE FROM public.api_keys USING gone WHERE instance_id = gone.id),
        secrets AS (DELETE FROM public.instance_secrets USING gone WHERE instance_id = gone.id),
        reveals AS (DELETE FROM public.reveals USING gone WHERE instance_id = gone.id),
        errors AS (DELETE FROM public.instance_errors USING gone WHERE instance_id = gone.id),
        logs AS (DELETE FROM public.instance_logs USING gone WHERE instance_id = gone.id),
        identities AS (DELETE FROM public.identities USING gone WHERE instance_id = gone.id),
        retention AS (DELETE FROM public.instance_retention USING gone WHERE instance_id = gone.id),
        horizons AS (DELETE FROM public.event_horizons USING gone WHERE instance_id = gone.id),
        pages AS (DELETE FROM public.page_links USING gone WHERE instance_id = gone.id),
        addresses AS (DELETE FROM public.instance_addresses USING gone WHERE instance_id = gone.id),
        policies AS (DELETE FROM public.instance_policies USING gone WHERE instance_id = gone.id),
        trusted AS (DELETE FROM public.trusted_chats USING gone WHERE instance_id = gone.id),
        paired AS (DELETE FROM public.paired_chats USING gone WHERE instance_id = gone.id),
        shown AS (DELETE FROM public.shown_chats USING gone WHERE instance_id = gone.id RETURNING asker, incoming, shown_at),
        still_shown AS (INSERT INTO public.shown_chats AS known (asker, instance_id, chat_id, incoming, shown_at)
            SELECT asker, '00000000-0000-0000-0000-000000000000', '*', bool_or(incoming), max(shown_at) FROM shown GROUP BY asker
            ON CONFLICT (asker, instance_id, chat_id) DO UPDATE SET
                incoming = known.incoming OR excluded.incoming, shown_at = greatest(known.shown_at, excluded.shown_at)),
        unanswered AS (DELETE FROM public.approvals USING gone WHERE instance_id = gone.id AND status = 'pending'),
        scheduled AS (DELETE FROM public.scheduled_calls USING gone WHERE instance_id = gone.id),
        notified AS (SELECT pg_notify('mcp_messenger_instances', id::text) FROM gone)
    SELECT count(gone.id) FROM gone, notified"""
PURGE: LiteralString = """
    WITH messages AS (DELETE FROM public.messages WHERE instance_id = %(id)s RETURNING 1),
        chats AS (DELETE FROM public.chats WHERE instance_id = %(id)s RETURNING 1),
        contacts AS (DELETE FROM public.contacts WHERE instance_id = %(id)s RETURNING 1),
        removed AS (DELETE FROM public.removed_instances WHERE id = %(id)s RETURNING 1),
        aliases AS (DELETE FROM public.chat_aliases WHERE instance_id = %(id)s),
        closures AS (DELETE FROM public.chat_closures WHERE instance_id = %(id)s),
        settled AS (DELETE FROM public.approvals WHERE instance_id = %(id)s AND status <> 'approved'),
        successions AS (DELETE FROM public.chat_successions WHERE instance_id = %(id)s),
        names AS (DELETE FROM public.contact_names WHERE instance_id = %(id)s),
        marks AS (DELETE FROM public.chat_marks WHERE instance_id = %(id)s),
        files AS (DELETE FROM public.media_files WHERE instance_id = %(id)s),
        early AS (DELETE FROM public.early_reports WHERE instance_id = %(id)s),
        eras AS (DELETE FROM public.search_eras WHERE instance_id = %(id)s)
    SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM chats) + (SELECT count(*) FROM contacts) + (SELECT count(*) FROM removed)"""


async def delete(database: Database, instance_id: UUID, *, purge: bool, entry: Entry | None = None) -> bool:
    """Remove the instance with its secrets and keys; its messages, chats and contacts too when `purge`. False: no such instance.

    With `entry` the audit log keeps its rows of the instance without whom and what they were about, and the entry says so there.
    """
    async with database.transaction() as connection:
        await hold_log(connection)
        cursor = await connection.execute(DELETE, {"id": instance_id})
        found = await cursor.fetchone()
        if purge:
            await connection.execute(PURGE, {"id": instance_id})
        if entry is not None:
            await audit.empty(connection, entry, of_all=True)
    return found is not None and found[0] > 0


FORGET_USER: LiteralString = """
    WITH tokens AS (DELETE FROM public.user_tokens WHERE user_id = %(user_id)s),
        access_keys AS (DELETE FROM public.access_keys WHERE user_id = %(user_id)s),
        pages AS (DELETE FROM public.page_links WHERE user_id = %(user_id)s),
        approvals AS (DELETE FROM public.approvals WHERE user_id = %(user_id)s),
        people AS (DELETE FROM public.people WHERE user_id = %(user_id)s RETURNING id)
    DELETE FROM public.identities WHERE person_id IN (SELECT id FROM people)"""


async def forget_user(database: Database, user_id: str) -> None:
    """Remove a user's tokens, people and approvals; the user's instances are deleted before."""
    await database.execute(FORGET_USER, {"user_id": user_id})


async def purge_removed(database: Database, instance_id: UUID, entry: Entry) -> bool:
    """Remove what an instance left that was removed before; return whether there was anything. An instance that is there is not touched.

    `entry` is as for `delete`.
    """
    async with database.transaction() as connection:
        await hold_log(connection)
        if await (await connection.execute(IS_THERE, {"id": instance_id})).fetchone() is not None:
            return False
        found = await (await connection.execute(PURGE, {"id": instance_id})).fetchone()
        await audit.empty(connection, entry, of_all=True)
    return found is not None and found[0] > 0


IS_THERE: LiteralString = "SELECT 1 FROM public.message_instances WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Removed:
    """An instance that was removed while its messages stayed. `user_id`, `provider` and `removed_at` None: by an earlier version."""

    id: UUID
    user_id: str | None
    provider: str | None
    removed_at: datetime | None
    chats: int


REMOVED: LiteralString = """
    WITH left_over AS (
        SELECT chats.instance_id AS id, count(*) AS chats FROM public.chats
        WHERE NOT EXISTS (SELECT FROM public.message_instances WHERE id = chats.instance_id) GROUP BY chats.instance_id
    )
    SELECT id, r.user_id, r.provider, r.removed_at, coalesce(l.chats, 0) AS chats
    FROM left_over l FULL JOIN public.removed_instances r USING (id)
    WHERE (%(user_id)s::text IS NULL OR r.user_id = %(user_id)s)
      AND (%(after)s::uuid IS NULL OR coalesce(r.removed_at, '-infinity') < coalesce(%(at)s::timestamptz, '-infinity')
           OR (coalesce(r.removed_at, '-infinity') = coalesce(%(at)s::timestamptz, '-infinity') AND id > %(after)s::uuid))
    ORDER BY r.removed_at DESC NULLS LAST, id LIMIT %(limit)s"""


async def removed(database: Database, *, user_id: str | None, after: tuple[datetime | None, UUID] | None, limit: int) -> list[Removed]:
    """Return removed instances of which messages are kept, the newest removal first. `user_id` None: of all users."""
    at, id = after or (None, None)
    return await database.all(Removed, REMOVED, {"user_id": user_id, "at": at, "after": id, "limit": limit})


# An instance that was removed, as one that is stopped and can be read.
KEPT: LiteralString = """
    SELECT id, user_id, provider, '' AS name, '{}'::text[] AS type_instance, 'process' AS runtime, 'stopped' AS desired, 'stopped' AS status,
        'The account was removed; its messages are kept.' AS status_reason, 'nothing' AS needs, NULL::jsonb AS account, '{}'::jsonb AS settings,
        NULL::text AS agent_id, false AS agno_enable, false AS stream, NULL::text AS quiet_hours, NULL::jsonb AS agent_routes,
        NULL::jsonb AS api_webhook_schema, NULL::timestamptz AS last_activity_at, removed_at AS created_at, removed_at AS updated_at
    FROM public.removed_instances r WHERE id BETWEEN %(first)s AND %(last)s
      AND NOT EXISTS (SELECT FROM public.message_instances i WHERE i.id = r.id)
    LIMIT 2"""


async def kept(database: Database, beginning: str) -> InstanceRow | None:
    """Return what is left of an instance that was removed while its messages stayed, by its id or the eight digits with which that begins."""
    digits = beginning.replace("-", "")
    first, last = (UUID(digits + rest * (32 - len(digits))) for rest in ("0", "f"))
    found = await database.read(InstanceRow, KEPT, {"first": first, "last": last})
    return found[0] if len(found) == 1 else None


REMOVED_OWNER: LiteralString = "SELECT user_id FROM public.removed_instances WHERE id = %(id)s"


async def owner_of_removed(database: Database, instance_id: UUID) -> str | None:
    """Return the user that a removed instance was of; None where that is not known."""
    return await database.value(REMOVED_OWNER, {"id": instance_id})


COUNTS: LiteralString = """
    SELECT provider, status, count(*) FROM public.message_instances
    WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(id)s::uuid IS NULL OR id = %(id)s)
    GROUP BY provider, status"""


async def counts(database: Database, *, user_id: str | None, id: UUID | None = None) -> list[tuple[str, str, int]]:
    """Return (provider, status, number) of instances."""
    return [(row[0], row[1], row[2]) for row in await database.rows(COUNTS, {"user_id": user_id, "id": id})]


@dataclass(frozen=True, slots=True)
class InstanceId:
    id: UUID


VISIBLE: LiteralString = "SELECT id FROM public.message_instances WHERE user_id = %(user_id)s"


async def ids_of_user(database: Database, user_id: str) -> list[UUID]:
    """Return the ids of a user's instances."""
    return [row.id for row in await database.read(InstanceId, VISIBLE, {"user_id": user_id})]
