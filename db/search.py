"""The index of words: what is stored of messages for searches, and looking into it.

The program computes the words (see mcp_messenger.search). Each begins with the number of the era that its message is in.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from db.advisory_locks import SEARCH_INDEX
from db.database import Database

if TYPE_CHECKING:
    from psycopg import AsyncConnection

Position = tuple[datetime, int]

ERA_SIZE = 8192
"""Messages in an era. Looking into one takes a few milliseconds at most, however common the words are."""
FRESH = "1 day"
"""Messages that came later than this after they were written are kept apart."""


@dataclass(frozen=True, slots=True)
class Unindexed:
    """A message whose words are to be stored; None in all but `id`: it is gone, or deleted."""

    id: int
    instance_id: UUID | None
    chat_id: str
    outgoing: bool
    sender_id: str | None
    sender_name: str
    kind: str
    body: str
    content: dict[str, Any]
    sent_at: datetime
    is_past: bool


Words = Callable[[Sequence[Unindexed]], Awaitable[Sequence[str]]]
"""Computes a tsvector of each message, with ERA_MARK in place of the era."""
ERA_MARK = "\x01"

# One of several servers at a time. In a statement before the others, which then see what the one before has stored.
HOLD: LiteralString = "SELECT pg_advisory_xact_lock(%(search_index)s)"
TAKE_PENDING: LiteralString = """
    WITH taken AS (
        DELETE FROM public.search_pending WHERE id IN (
            SELECT id FROM public.search_pending WHERE EXISTS (SELECT FROM public.search_progress WHERE form <= %(form)s)
            ORDER BY id DESC LIMIT %(limit)s)
        RETURNING message_id
    )
    SELECT wanted.message_id AS id, m.instance_id, m.chat_id, m.outgoing, m.sender_id, m.sender_name, m.kind, m.body, m.content, m.sent_at,
        m.sent_at < now() - %(fresh)s::interval AS is_past
    FROM (SELECT DISTINCT message_id FROM taken) AS wanted
        LEFT JOIN public.messages m ON m.id = wanted.message_id AND m.deleted_at IS NULL
    ORDER BY wanted.message_id"""
TAKE_FORMER: LiteralString = """
    WITH progress AS (
        SELECT next_id FROM public.search_progress WHERE next_id > 0 AND form = %(form)s
    ), batch AS MATERIALIZED (
        SELECT m.id FROM progress CROSS JOIN LATERAL (
            SELECT id FROM public.messages WHERE id <= progress.next_id ORDER BY id DESC LIMIT %(limit)s) AS m
    ), moved AS (
        UPDATE public.search_progress SET next_id = coalesce((SELECT min(id) FROM batch), 1) - 1 FROM progress
        WHERE search_progress.next_id = progress.next_id
    )
    SELECT m.id, m.instance_id, m.chat_id, m.outgoing, m.sender_id, m.sender_name, m.kind, m.body, m.content, m.sent_at, true AS is_past
    FROM batch JOIN public.messages m ON m.id = batch.id WHERE m.deleted_at IS NULL ORDER BY m.sent_at DESC, m.id DESC"""
# The words have another form than those that are stored: everything is gone through again, by this version and no earlier one.
RENEW: LiteralString = """
    UPDATE public.search_progress SET form = %(form)s, next_id = (SELECT coalesce(max(id), 0) FROM public.messages) WHERE form < %(form)s"""
OPEN_ERAS: LiteralString = """
    SELECT DISTINCT ON (instance_id, is_past) instance_id, is_past, id, messages FROM public.search_eras
    WHERE instance_id = ANY(%(instance_ids)s) AND messages < %(size)s ORDER BY instance_id, is_past, id DESC"""
BEGIN_ERA: LiteralString = """
    INSERT INTO public.search_eras (instance_id, is_past, messages, oldest, newest)
    VALUES (%(instance_id)s, %(is_past)s, 0, %(at)s, %(at)s) RETURNING id"""
FILL_ERAS: LiteralString = """
    UPDATE public.search_eras SET messages = search_eras.messages + more.number, oldest = least(search_eras.oldest, more.oldest),
        newest = greatest(search_eras.newest, more.newest)
    FROM (
        SELECT era, count(*) AS number, min(sent_at) AS oldest, max(sent_at) AS newest
        FROM unnest(%(eras)s::bigint[], %(times)s::timestamptz[]) AS row (era, sent_at) GROUP BY era
    ) AS more WHERE search_eras.id = more.era"""
# A message that is being deleted is passed over: its words would stay behind.
STORE: LiteralString = """
    WITH present AS MATERIALIZED (
        SELECT id FROM public.messages WHERE id = ANY(%(ids)s::bigint[]) AND deleted_at IS NULL FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO public.message_words (message_id, sent_at, words)
    SELECT message_id, sent_at, words::tsvector FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(words)s::text[])
        AS row (message_id, sent_at, words)
    WHERE message_id IN (SELECT id FROM present) ORDER BY message_id
    ON CONFLICT (message_id) DO UPDATE SET sent_at = excluded.sent_at, words = excluded.words"""
# Deleted for everyone while its words were being stored.
DROP_GONE: LiteralString = "DELETE FROM public.message_words WHERE message_id = ANY(%(ids)s)"


async def index(database: Database, words: Words, *, form: int, limit: int, former: bool) -> int:
    """Store the words of up to `limit` messages, the newest first; return how many were gone through.

    `former`: also of messages that were there before the index, once nothing newer is left.
    """
    from psycopg.rows import class_row

    await database.execute(RENEW, {"form": form})
    async with database.transaction() as connection, connection.cursor(row_factory=class_row(Unindexed)) as cursor:
        await cursor.execute(HOLD, {"search_index": SEARCH_INDEX})
        params = {"limit": limit, "form": form, "fresh": FRESH}
        rows = await (await cursor.execute(TAKE_PENDING, params)).fetchall()
        if not rows and former:
            rows = await (await cursor.execute(TAKE_FORMER, params)).fetchall()
        there = [row for row in rows if row.instance_id is not None]
        if len(there) < len(rows):
            await cursor.execute(DROP_GONE, {"ids": [row.id for row in rows if row.instance_id is None]})
        if there:
            await _store(connection, there, await words(there))
    return len(rows)


async def _store(connection: "AsyncConnection[Any]", rows: Sequence[Unindexed], words: Sequence[str]) -> None:
    found = await connection.execute(OPEN_ERAS, {"instance_ids": list({row.instance_id for row in rows}), "size": ERA_SIZE})
    eras: dict[tuple[UUID, bool], tuple[int, int]] = {(one[0], one[1]): (one[2], ERA_SIZE - one[3]) for one in await found.fetchall()}
    given: list[int] = []
    for row in rows:
        assert row.instance_id is not None
        of = row.instance_id, row.is_past
        era, room = eras.get(of, (0, 0))
        if room <= 0:
            params = {"instance_id": of[0], "is_past": of[1], "at": row.sent_at}
            era, room = (await (await connection.execute(BEGIN_ERA, params)).fetchall())[0][0], ERA_SIZE
        eras[of] = era, room - 1
        given.append(era)
    times = [row.sent_at for row in rows]
    await connection.execute(FILL_ERAS, {"eras": given, "times": times})
    vectors = [one.replace(ERA_MARK, prefix(era)) for one, era in zip(words, given, strict=True)]
    await connection.execute(STORE, {"ids": [row.id for row in rows], "times": times, "words": vectors})


def prefix(era: int) -> str:
    """Return the short name of an era, which its words begin with."""
    return f"{era:x}"


@dataclass(frozen=True, slots=True)
class Era:
    id: int
    messages: int
    newest: datetime


ERAS: LiteralString = """
    SELECT id, messages, newest FROM public.search_eras
    WHERE (%(instance_ids)s::uuid[] IS NULL OR instance_id = ANY(%(instance_ids)s::uuid[]))
      AND (%(since)s::timestamptz IS NULL OR newest >= %(since)s) AND (%(until)s::timestamptz IS NULL OR oldest < %(until)s)
      AND (%(before)s::timestamptz IS NULL OR oldest <= %(before)s)
      AND (%(era)s::bigint IS NULL OR (newest, id) <= (%(era_at)s, %(era)s))
    ORDER BY newest DESC, id DESC"""


@dataclass(frozen=True, slots=True)
class Span:
    """The messages that are searched: from `since` on, before `until`, and before the position `before`; None: without this limit.

    `era`: of these, the ones in this era (by its newest message and id) and in those behind it in the order of `eras`.
    """

    since: datetime | None = None
    until: datetime | None = None
    before: Position | None = None
    era: Position | None = None


async def eras(database: Database, instance_ids: Sequence[UUID] | None, span: Span) -> list[Era]:
    """Return the eras that may hold messages of the span, the newest first. `instance_ids` None: of all instances."""
    params = {
        "instance_ids": None if instance_ids is None else list(instance_ids),
        "since": span.since,
        "until": span.until,
        "before": span.before and span.before[0],
        "era_at": span.era and span.era[0],
        "era": span.era and span.era[1],
    }
    return await database.all(Era, ERAS, params)


LACKING: LiteralString = """
    SELECT EXISTS (SELECT FROM public.search_pending), EXISTS (SELECT FROM public.search_progress WHERE next_id > 0)"""


async def lacking(database: Database) -> tuple[bool, bool]:
    """Return whether words of new messages, and of messages that were there before the index, are still missing."""
    row = (await database.rows(LACKING))[0]
    return row[0], row[1]


# One era after the other, until there are enough: the outer limit ends the loop, which a sort would not.
HITS: LiteralString = """
    SELECT of_era.place, hit.message_id, hit.sent_at FROM unnest(%(queries)s::text[]) WITH ORDINALITY AS of_era (query, place) CROSS JOIN LATERAL (
        SELECT message_id, sent_at FROM public.message_words
        WHERE words @@ of_era.query::tsquery
          AND (%(since)s::timestamptz IS NULL OR sent_at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR sent_at < %(until)s)
          AND (%(before)s::timestamptz IS NULL OR (sent_at, message_id) < (%(before)s, %(before_id)s))
        ORDER BY sent_at DESC, message_id DESC LIMIT %(limit)s
    ) AS hit LIMIT 2 * %(limit)s"""


@dataclass(frozen=True, slots=True)
class Hit:
    """`place`: of its era among those that were looked into, from 1 on."""

    place: int
    message_id: int
    sent_at: datetime


async def hits(database: Database, expression: str, in_eras: Sequence[Era], span: Span, *, limit: int) -> tuple[list[Hit], int]:
    """Return the newest `limit` messages of each of the first of these eras for which the expression holds, and how many eras that are.

    There are more where the first ones give enough. Each era's name is put in place of ERA_MARK.
    """
    params = {
        "queries": [expression.replace(ERA_MARK, prefix(era.id)) for era in in_eras],
        "since": span.since,
        "until": span.until,
        "before": span.before and span.before[0],
        "before_id": span.before and span.before[1],
        "limit": limit,
    }
    found = await database.all(Hit, HITS, params)
    if len(found) < 2 * limit:
        return found, len(in_eras)
    last = found[-1].place
    is_whole = sum(hit.place == last for hit in found) == limit
    looked = last if is_whole else last - 1
    return [hit for hit in found if hit.place <= looked], looked
