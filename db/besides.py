"""What the store knows of messages besides their rows, for whoever shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from db.database import Database
from db.messages import MessageRow
from db.pairing import Known

Chat = tuple[UUID, str]
"""Instance, and the id of a chat or a contact."""


@dataclass(frozen=True)
class Besides:
    """`answered`: for each message that answers one in the store, the number of that one. `first`: those that begin a private chat, as far as is
    known, each with the id of another contact whose name looks the same. `known`: how the chats and the senders of messages of others are known.
    """

    answered: Mapping[int, int] = field(default_factory=dict[int, int])
    first: Mapping[int, str | None] = field(default_factory=dict[int, str | None])
    known: Mapping[Chat, Known] = field(default_factory=dict[Chat, Known])


# Names are the same to a reader also in full-width letters, in capitals, in letters of other scripts that look like Latin ones, with an I, a 1
# or a | for an l, and with other spaces and points.
BESIDES: LiteralString = """
    SELECT 'known' AS what, NULL::bigint AS id, NULL::bigint AS answered, asked.instance_id, asked.chat_id,
        coalesce(c.kind, 'unknown') AS kind, coalesce(i.provider, '') AS provider,
        coalesce(b.is_bot, false) AS is_bot,
        EXISTS (SELECT FROM public.trusted_chats AS t WHERE t.instance_id = asked.instance_id AND t.chat_id = asked.chat_id) OR EXISTS (
            SELECT FROM public.identities AS x
            WHERE x.instance_id = asked.instance_id AND x.contact_id = asked.chat_id AND x.confirmed_at IS NOT NULL
        ) AS trusted,
        EXISTS (SELECT FROM public.paired_chats AS p WHERE p.instance_id = asked.instance_id AND p.chat_id = asked.chat_id) AS paired
    FROM unnest(%(instance_ids)s::uuid[], %(chat_ids)s::text[]) AS asked (instance_id, chat_id)
    LEFT JOIN public.message_instances AS i ON i.id = asked.instance_id
    LEFT JOIN public.chats AS c ON c.instance_id = asked.instance_id AND c.id = asked.chat_id
    LEFT JOIN public.contacts AS b ON b.instance_id = asked.instance_id AND b.id = asked.chat_id
    UNION ALL
    SELECT 'first', first.id, NULL, first.instance_id, (
        SELECT c.id FROM public.contacts c
        WHERE c.instance_id = first.instance_id AND c.id <> first.sender_id
          AND first.sender_name <> ''
          AND translate(lower(normalize(c.name, NFKC)),
                'аеорсухіјѕһвнткмԁԛԝӏѵԍοαενκρτυβζηιμχγօոսցհ01|ıi ._-''', 'aeopcyxljshbhtkmdqwlvgoaevkptubzhlmxyonughollll')
            = translate(lower(normalize(first.sender_name, NFKC)),
                'аеорсухіјѕһвнткмԁԛԝӏѵԍοαενκρτυβζηιμχγօոսցհ01|ıi ._-''', 'aeopcyxljshbhtkmdqwlvgoaevkptubzhlmxyonughollll')
        ORDER BY c.id LIMIT 1
    ) AS namesake, NULL, NULL, NULL, NULL, NULL
    FROM (
        SELECT m.id, m.instance_id, m.sender_id, m.sender_name FROM public.messages m
        JOIN public.chats c ON c.instance_id = m.instance_id AND c.id = m.chat_id
        WHERE m.id = ANY(%(ids)s::bigint[]) AND NOT m.outgoing AND m.kind <> 'system' AND c.kind = 'private' AND NOT EXISTS (
            SELECT FROM public.messages e WHERE e.instance_id = m.instance_id AND e.chat_id = m.chat_id AND e.kind <> 'system'
              AND (e.sent_at, e.id) < (m.sent_at, m.id))
    ) AS first
    UNION ALL
    SELECT 'answer', answer.id, answered.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM unnest(%(answers)s::bigint[]) AS wanted (id) JOIN public.messages AS answer ON answer.id = wanted.id
    JOIN public.messages AS answered ON answered.instance_id = answer.instance_id AND answered.platform_id = answer.reply_to"""


async def besides(database: Database, messages: Sequence[MessageRow]) -> Besides:
    """Return what is known of these messages besides their rows."""
    incoming = [message for message in messages if not message.outgoing]
    people = list({(message.instance_id, id) for message in incoming for id in (message.chat_id, message.sender_id) if id is not None})
    answers = [message.id for message in messages if message.reply_to]
    if not (incoming or answers):
        return Besides()
    params = {
        "instance_ids": [instance_id for instance_id, _ in people],
        "chat_ids": [id for _, id in people],
        "ids": [message.id for message in incoming],
        "answers": answers,
    }
    answered: dict[int, int] = {}
    first: dict[int, str | None] = {}
    known: dict[Chat, Known] = {}
    for what, id, number, instance_id, other, *how in await database.rows(BESIDES, params):
        if what == "known":
            known[instance_id, other] = Known(instance_id, other, *how)
        elif what == "first":
            first[id] = other
        else:
            answered[id] = number
    return Besides(answered, first, known)
