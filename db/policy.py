"""Policies of instances, chats that are trusted, and the chats whose words an agent was shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb

UNNAMED = "*"
"""Stands for chats that a list of words does not name."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts in the store about a call of an agent.

    `chat_id` is the chat that the address means; None: nothing is known of it. `document` is the instance's policy; None: the default.
    `stranger_shown`: the agent was shown words of somebody who is not trusted; `other_shown`: words of another chat than this one;
    `target_shown`: words of this one. `is_contact`: the account or its owner keeps them in the address book.
    Contacts are looked up only where the document or the key's own policy may let nobody else be written to.
    """

    chat_id: str | None
    thread_id: str | None
    kind: str
    title: str
    closed: str | None
    document: dict[str, Any] | None
    trusted: bool
    is_contact: bool
    has_written: bool
    stranger_shown: bool
    other_shown: bool
    target_shown: bool


# `found` is as in chat_addresses. A contact that a person has confirmed is as trusted as a chat that was approved for good.
SITUATION: LiteralString = """
    WITH found AS (
        SELECT coalesce(moved.id, named.id, alias.chat_id, closure.chat_id) AS chat_id, alias.thread_id,
            coalesce(moved.kind, named.kind, 'unknown') AS kind, coalesce(moved.title, named.title) AS title, closure.reason AS closed
        FROM (SELECT %(instance_id)s::uuid AS instance_id, %(id)s::text AS id) AS asked
        LEFT JOIN public.chat_aliases AS alias ON alias.instance_id = asked.instance_id AND alias.alias = asked.id
        LEFT JOIN public.chats AS named ON named.instance_id = asked.instance_id AND named.id = coalesce(alias.chat_id, asked.id)
        LEFT JOIN public.chats AS moved ON moved.instance_id = asked.instance_id AND moved.id = named.migrated_to
        LEFT JOIN public.chat_closures AS closure ON closure.instance_id = asked.instance_id
            AND closure.chat_id = coalesce(moved.id, named.id, alias.chat_id, asked.id)
            AND (coalesce(moved.last_incoming_at, named.last_incoming_at) > closure.at) IS NOT TRUE
        WHERE coalesce(moved.id, named.id, alias.chat_id, closure.chat_id) IS NOT NULL
    ), asked AS (
        SELECT coalesce((SELECT chat_id FROM found), %(id)s::text) AS id, policy.document,
            make_interval(mins => coalesce((policy.document->>'taint_minutes')::int, %(minutes)s)) AS since,
            %(narrowed)s OR policy.document->'outbound'->>'send_to' IS NOT DISTINCT FROM 'contacts' AS by_contacts
        FROM (SELECT %(instance_id)s::uuid AS id) AS instance
        LEFT JOIN public.instance_policies AS policy ON policy.instance_id = instance.id
    ), shown AS (
        SELECT s.instance_id = %(instance_id)s::uuid AND s.chat_id = coalesce(%(conversation)s, asked.id) AS is_target, s.incoming AND NOT EXISTS (
            SELECT FROM public.trusted_chats AS t WHERE t.instance_id = s.instance_id AND t.chat_id = s.chat_id
        ) AND NOT EXISTS (
            SELECT FROM public.identities AS x WHERE x.instance_id = s.instance_id AND x.contact_id = s.chat_id AND x.confirmed_at IS NOT NULL
        ) AS is_strange
        FROM asked JOIN public.shown_chats AS s ON s.asker = %(asker)s AND s.shown_at > now() - asked.since
    ), summed AS (
        SELECT coalesce(bool_or(is_strange), false) AS stranger_shown, coalesce(bool_or(NOT is_target), false) AS other_shown,
            coalesce(bool_or(is_target), false) AS target_shown FROM shown
    )
    SELECT found.chat_id, found.thread_id, coalesce(found.kind, 'unknown') AS kind, found.closed, asked.document,
        coalesce(nullif(found.title, ''), (
            SELECT c.name FROM public.contacts AS c WHERE c.instance_id = %(instance_id)s AND c.id = asked.id), '') AS title,
        EXISTS (SELECT FROM public.trusted_chats AS t WHERE t.instance_id = %(instance_id)s AND t.chat_id = asked.id) OR EXISTS (
            SELECT FROM public.identities AS x WHERE x.instance_id = %(instance_id)s AND x.contact_id = asked.id AND x.confirmed_at IS NOT NULL
        ) AS trusted,
        CASE WHEN asked.by_contacts THEN EXISTS (
            SELECT FROM public.contacts AS c WHERE c.instance_id = %(instance_id)s AND c.id = asked.id AND c.saved
        ) OR EXISTS (
            SELECT FROM public.chat_aliases AS a JOIN public.contacts AS c ON c.instance_id = a.instance_id AND c.id = a.alias AND c.saved
            WHERE a.instance_id = %(instance_id)s AND a.chat_id = asked.id AND a.thread_id IS NULL
        ) OR EXISTS (
            SELECT FROM public.contact_names AS n WHERE n.instance_id = %(instance_id)s AND n.chat_id = asked.id AND n.owners_chat = asked.id
        ) ELSE false END AS is_contact,
        EXISTS (
            SELECT FROM public.chats AS c WHERE c.instance_id = %(instance_id)s AND c.id = asked.id AND c.last_incoming_at IS NOT NULL
        ) AS has_written,
        summed.stranger_shown, summed.other_shown, summed.target_shown
    FROM asked CROSS JOIN summed LEFT JOIN found ON true"""


async def situation(
    database: Database,
    instance_id: UUID,
    id: str,
    *,
    asker: str,
    minutes: int,
    narrowed: bool = False,
    conversation: str | None = None,
    counted: bool = False,
) -> Situation:
    """Return all that decides about a call of `asker` for a chat, and the chat that `id` means. `minutes`: how long words count by default.

    `narrowed`: the caller's key has a policy of its own, which may limit what the instance's does not. `conversation`: under which id words of
    the same readers are kept, where that is not the chat's.
    """
    params = {"instance_id": instance_id, "id": id, "asker": asker, "minutes": minutes, "narrowed": narrowed, "conversation": conversation}
    found = await database.one(Situation, SITUATION, params)
    assert found is not None
    return found


SHOW: LiteralString = """
    INSERT INTO public.shown_chats AS known (asker, instance_id, chat_id, incoming)
    SELECT %(asker)s, shown.instance_id, shown.chat_id, shown.incoming
    FROM unnest(%(instance_ids)s::uuid[], %(chat_ids)s::text[], %(incoming)s::boolean[]) AS shown (instance_id, chat_id, incoming)
    LEFT JOIN public.message_instances AS i ON i.id = shown.instance_id
    WHERE (i.provider || '/' || shown.chat_id = ANY(%(rehearsal)s)) IS NOT TRUE
    ORDER BY shown.instance_id, shown.chat_id
    ON CONFLICT (asker, instance_id, chat_id) DO UPDATE SET
        shown_at = now(), incoming = excluded.incoming OR (known.incoming AND known.shown_at > now() - interval '30 days')"""


async def show(
    database: Database, asker: str, chats: Sequence[tuple[UUID, str, bool]], *, rehearsal: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> None:
    """Store that an agent is shown words of these chats: instance, chat, and whether somebody else wrote them. Each chat at most once.

    `rehearsal`: chats by provider whose other side is a part of this program; those are left out.
    """
    params = {
        "asker": asker,
        "instance_ids": [instance_id for instance_id, _, _ in chats],
        "chat_ids": [chat_id for _, chat_id, _ in chats],
        "incoming": [incoming for _, _, incoming in chats],
        "rehearsal": [f"{provider}/{chat_id}" for provider, chat_ids in rehearsal.items() for chat_id in chat_ids],
    }
    await database.execute(SHOW, params)


# The row of no instance says that the name is known.
ADOPT: LiteralString = """
    WITH known AS (
        INSERT INTO public.shown_chats (asker, instance_id, chat_id, incoming, shown_at)
        VALUES (%(asker)s, '00000000-0000-0000-0000-000000000000', '', false, '-infinity') ON CONFLICT DO NOTHING RETURNING asker
    )
    INSERT INTO public.shown_chats (asker, instance_id, chat_id, incoming, shown_at)
    SELECT known.asker, s.instance_id, s.chat_id, bool_or(s.incoming), max(s.shown_at)
    FROM known JOIN public.shown_chats AS s ON (s.asker = %(key)s OR starts_with(s.asker, %(key)s || ' client:')) AND s.asker <> known.asker
    WHERE s.shown_at > '-infinity' GROUP BY known.asker, s.instance_id, s.chat_id
    ORDER BY s.instance_id, s.chat_id ON CONFLICT (asker, instance_id, chat_id) DO NOTHING"""


async def adopt(database: Database, asker: str, key: str) -> None:
    """Store that a client whose name is new was shown what the other clients of its key were."""
    await database.execute(ADOPT, {"asker": asker, "key": key})


FORGET: LiteralString = "DELETE FROM public.shown_chats WHERE shown_at < now() - interval '31 days' AND shown_at > '-infinity'"


async def forget(database: Database) -> None:
    """Delete what was shown longer ago than any policy counts."""
    await database.execute(FORGET)


DOCUMENT: LiteralString = "SELECT document FROM public.instance_policies WHERE instance_id = %(instance_id)s"


async def document(database: Database, instance_id: UUID) -> dict[str, Any] | None:
    """Return the policy of an instance; None: the default."""
    return await database.value(DOCUMENT, {"instance_id": instance_id})


SET: LiteralString = """
    INSERT INTO public.instance_policies (instance_id, document, updated_by) VALUES (%(instance_id)s, %(document)s, %(by)s)
    ON CONFLICT (instance_id) DO UPDATE SET document = excluded.document, updated_by = excluded.updated_by, updated_at = now()"""


async def set_document(database: Database, instance_id: UUID, document: dict[str, Any], *, by: str) -> None:
    """Store the policy of an instance."""
    await database.execute(SET, {"instance_id": instance_id, "document": jsonb(document), "by": by})


TRUST: LiteralString = """
    INSERT INTO public.trusted_chats (instance_id, chat_id, trusted_by) VALUES (%(instance_id)s, %(chat_id)s, %(by)s)
    ON CONFLICT (instance_id, chat_id) DO NOTHING"""
DISTRUST: LiteralString = "DELETE FROM public.trusted_chats WHERE instance_id = %(instance_id)s AND chat_id = ANY(%(chat_ids)s)"
TRUSTED: LiteralString = "SELECT chat_id FROM public.trusted_chats WHERE instance_id = %(instance_id)s ORDER BY trusted_at, chat_id LIMIT 1000"


async def trust(database: Database, instance_id: UUID, chat_id: str, *, by: str) -> None:
    """Store that a person approved this chat for good."""
    await database.execute(TRUST, {"instance_id": instance_id, "chat_id": chat_id, "by": by})


async def distrust(database: Database, instance_id: UUID, chat_ids: Sequence[str]) -> None:
    """Take back that chats are approved for good."""
    await database.execute(DISTRUST, {"instance_id": instance_id, "chat_ids": list(chat_ids)})


async def trusted(database: Database, instance_id: UUID) -> list[str]:
    """Return the chats that a person approved for good, the first 1000."""
    return [row[0] for row in await database.rows(TRUSTED, {"instance_id": instance_id})]


SENT: LiteralString = """
    SELECT sent.in_hour, opened.new_chats, NOT EXISTS (
        SELECT FROM public.messages AS m WHERE m.instance_id = %(instance_id)s AND m.chat_id = %(chat_id)s) AS is_new
    FROM (
        SELECT count(*) AS in_hour FROM public.messages AS m
        WHERE m.instance_id = %(instance_id)s AND m.outgoing AND m.sent_at > now() - interval '1 hour'
    ) AS sent CROSS JOIN (
        SELECT count(*) AS new_chats FROM (
            SELECT DISTINCT m.chat_id FROM public.messages AS m
            WHERE m.instance_id = %(instance_id)s AND m.outgoing AND m.sent_at > now() - interval '1 day' AND m.chat_id <> %(chat_id)s
            OFFSET 0
        ) AS recent WHERE NOT EXISTS (
            SELECT FROM public.messages AS before WHERE before.instance_id = %(instance_id)s AND before.chat_id = recent.chat_id
                AND before.sent_at <= now() - interval '1 day')
    ) AS opened"""


@dataclass(frozen=True, slots=True)
class Sent:
    """The messages of the last hour, the chats opened in the last day but this one, and whether nothing was ever written in this one."""

    in_hour: int
    new_chats: int
    is_new: bool


async def sent(database: Database, instance_id: UUID, chat_id: str) -> Sent:
    """Return what was sent lately. Its plan depends on how many messages there are, so it is no part of what every send needs."""
    found = await database.one(Sent, SENT, {"instance_id": instance_id, "chat_id": chat_id})
    assert found is not None
    return found
