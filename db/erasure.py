"""Removes what is stored of a chat or a person, and remembers that it was removed without remembering whom.

What a messenger sends again from its history is refused by db/inbound.py, and its lists of chats and contacts by db/chats.py.
"""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from db import audit
from db.advisory_locks import hold_log
from db.audit import Entry
from db.database import Database


@dataclass(frozen=True)
class Erased:
    """`message_ids` are those whose files are to be removed too."""

    message_ids: list[int]
    chats: int
    contacts: int


# Of a chat: all ids that it has, or had before it moved. Of a contact: the private chats with them as well.
CHATS_OF: LiteralString = """
    WITH RECURSIVE named (id) AS (
        SELECT %(chat_id)s::text WHERE %(chat_id)s::text IS NOT NULL
        UNION SELECT c.id FROM public.chats c WHERE c.instance_id = %(id)s AND %(contact_id)s::text IS NOT NULL AND c.kind IN ('private', 'unknown')
            AND (c.id = %(contact_id)s OR EXISTS (
                SELECT FROM public.messages m WHERE m.instance_id = %(id)s AND m.chat_id = c.id AND m.sender_id = %(contact_id)s))
    ), same (id) AS (
        SELECT id FROM named
        UNION SELECT former.id FROM same CROSS JOIN LATERAL (
            SELECT a.alias FROM public.chat_aliases a WHERE a.instance_id = %(id)s AND a.chat_id = same.id AND a.thread_id IS NULL
            UNION ALL SELECT c.id FROM public.chats c WHERE c.instance_id = %(id)s AND c.migrated_to = same.id
        ) AS former (id)
    )
    SELECT DISTINCT id FROM (SELECT id FROM same UNION ALL SELECT %(contact_id)s::text WHERE %(contact_id)s::text IS NOT NULL) AS all_ids"""
# A quote holds words of the message that it answers, and so does the answer as the platform gave it.
UNQUOTE: LiteralString = """
    UPDATE public.messages SET content = content - 'quoted', raw = NULL WHERE instance_id = %(id)s AND reply_to IN (
        SELECT platform_id FROM public.messages WHERE instance_id = %(id)s AND platform_id IS NOT NULL
            AND (chat_id = ANY(%(chats)s) OR sender_id = %(contact_id)s))"""
# What the platform sent of others in the same chats may name the person. Looked for before anything is locked, for it reads whole chats.
NAMED: LiteralString = """
    SELECT m.id FROM public.messages m WHERE m.instance_id = %(id)s AND m.raw IS NOT NULL AND length(%(contact_id)s) >= 5
        AND m.chat_id IN (SELECT o.chat_id FROM public.messages o WHERE o.instance_id = %(id)s AND o.sender_id = %(contact_id)s)
        AND strpos(m.raw::text, %(contact_id)s) > 0"""
FORGET_RAW: LiteralString = "UPDATE public.messages SET raw = NULL WHERE id = ANY(%(named)s)"
MESSAGES: LiteralString = """
    DELETE FROM public.messages WHERE instance_id = %(id)s AND (chat_id = ANY(%(chats)s) OR sender_id = %(contact_id)s) RETURNING id"""
TRACES: LiteralString = """
    UPDATE public.messages SET content = content #- ARRAY['reactions', %(contact_id)s] #- ARRAY['votes', %(contact_id)s]
    WHERE instance_id = %(id)s AND (content->'reactions' ? %(contact_id)s OR content->'votes' ? %(contact_id)s)"""
# An agent that was shown what is erased may remember it: that counts on, as words of a chat that nobody can name.
REST: LiteralString = """
    WITH outbox AS (DELETE FROM public.outbox WHERE message_id = ANY(%(messages)s)),
        events AS (DELETE FROM public.events WHERE instance_id = %(id)s
            AND (chat_id = ANY(%(chats)s) OR message_id = ANY(%(messages)s) OR data->>'sender_id' = %(contact_id)s) RETURNING id),
        deliveries AS (DELETE FROM public.deliveries WHERE instance_id = %(id)s
            AND (chat_id = ANY(%(chats)s) OR event_id IN (SELECT id FROM events))),
        taken AS (DELETE FROM public.agent_chats WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        aliases AS (DELETE FROM public.chat_aliases WHERE instance_id = %(id)s AND (chat_id = ANY(%(chats)s) OR alias = ANY(%(chats)s))),
        closures AS (DELETE FROM public.chat_closures WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        successions AS (DELETE FROM public.chat_successions WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        early AS (DELETE FROM public.early_reports WHERE instance_id = %(id)s
            AND (report->>'chat_id' = ANY(%(chats)s) OR report->>'sender_id' = %(contact_id)s)),
        trusted AS (DELETE FROM public.trusted_chats WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        paired AS (DELETE FROM public.paired_chats WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        shown AS (DELETE FROM public.shown_chats WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s) RETURNING asker, incoming, shown_at),
        still_shown AS (INSERT INTO public.shown_chats AS known (asker, instance_id, chat_id, incoming, shown_at)
            SELECT asker, %(id)s, '*', bool_or(incoming), max(shown_at) FROM shown GROUP BY asker
            ON CONFLICT (asker, instance_id, chat_id) DO UPDATE SET
                incoming = known.incoming OR excluded.incoming, shown_at = greatest(known.shown_at, excluded.shown_at)),
        approvals AS (DELETE FROM public.approvals WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        scheduled AS (DELETE FROM public.scheduled_calls WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        called AS (DELETE FROM public.contact_names WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        files AS (DELETE FROM public.media_files WHERE message_id = ANY(%(messages)s)),
        marks AS (DELETE FROM public.chat_marks WHERE instance_id = %(id)s AND chat_id = ANY(%(chats)s)),
        calls AS (DELETE FROM public.calls WHERE instance_id = %(id)s),
        names AS (
            SELECT unnest(%(chats)s::text[]) AS name
            UNION SELECT unnest(ARRAY[name, username, phone]) FROM public.contacts WHERE instance_id = %(id)s AND id = ANY(%(chats)s)
            UNION SELECT unnest(ARRAY[title, username, phone]) FROM public.chats WHERE instance_id = %(id)s AND id = ANY(%(chats)s)
        ),
        errors AS (DELETE FROM public.instance_errors WHERE instance_id = %(id)s
            AND EXISTS (SELECT FROM names WHERE length(name) >= 3 AND strpos(message, name) > 0)),
        logs AS (DELETE FROM public.instance_logs WHERE instance_id = %(id)s
            AND EXISTS (SELECT FROM names WHERE length(name) >= 3 AND strpos(line, name) > 0)),
        links AS (DELETE FROM public.identities WHERE instance_id = %(id)s AND contact_id = ANY(%(chats)s) RETURNING person_id),
        people AS (DELETE FROM public.people WHERE id IN (SELECT person_id FROM links)
            AND NOT EXISTS (SELECT FROM public.identities i WHERE i.person_id = people.id
                AND NOT (i.instance_id = %(id)s AND i.contact_id = ANY(%(chats)s)))),
        chats AS (DELETE FROM public.chats WHERE instance_id = %(id)s AND id = ANY(%(chats)s) RETURNING id),
        contacts AS (DELETE FROM public.contacts WHERE instance_id = %(id)s AND id = ANY(%(chats)s) RETURNING id),
        left_open AS (UPDATE public.chats SET last_message_id = NULL WHERE instance_id = %(id)s AND last_message_id = ANY(%(messages)s)
            AND NOT id = ANY(%(chats)s))
    SELECT (SELECT count(*) FROM chats), (SELECT count(*) FROM contacts)"""
# One salt for each id: the same person in two instances is not recognised by it.
REMEMBER: LiteralString = """
    INSERT INTO public.erasures (instance_id, kind, salt, digest)
    SELECT %(id)s, kind, salt, sha256(salt || convert_to(subject, 'UTF8'))
    FROM (SELECT kind, subject, uuid_send(gen_random_uuid()) AS salt FROM (
        SELECT 'chat' AS kind, unnest(%(chats)s::text[]) AS subject
        UNION ALL SELECT 'sender', %(contact_id)s::text WHERE %(contact_id)s::text IS NOT NULL) AS subjects) AS salted"""


async def erase(database: Database, instance_id: UUID, entry: Entry, *, chat_id: str | None = None, contact_id: str | None = None) -> Erased:
    """Remove a chat with all that is stored of it, or a contact with their chats and what they wrote elsewhere.

    The audit log keeps its rows without whom and what they were about; `entry` says so there. Messages of that time or before do not come
    back. Raises StoreUnavailable; nothing is removed then.
    """
    params: dict[str, object] = {"id": instance_id, "chat_id": chat_id, "contact_id": contact_id, "named": []}
    if contact_id is not None:
        params["named"] = [row[0] for row in await database.rows(NAMED, params)]
    async with database.transaction() as connection:
        await hold_log(connection)
        chats = [row[0] for row in await (await connection.execute(CHATS_OF, params)).fetchall()]
        params["chats"] = chats
        await connection.execute(UNQUOTE, params)
        await connection.execute(FORGET_RAW, params)
        messages = [row[0] for row in await (await connection.execute(MESSAGES, params)).fetchall()]
        params["messages"] = messages
        if contact_id is not None:
            await connection.execute(TRACES, params)
        counts = (await (await connection.execute(REST, params)).fetchall())[0]
        await connection.execute(REMEMBER, params)
        await audit.empty(connection, entry, chats=chats, messages=messages)
    return Erased(messages, counts[0], counts[1])
