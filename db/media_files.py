"""Files of messages that came in: which are to be fetched from the messenger, which are kept, and of which a transcript is to be made.

Rows are made from the event log, so that storing a message does not wait for them. Any number of processes may do so on one database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from db.advisory_locks import EVENT_LOG
from db.database import Database

LOOK_BACK = 20_000
"""Events before the newest one that are looked through when a process starts: another may have ended before it had made their rows."""
PAGE = 2000
"""Events of one statement."""

START: LiteralString = """
    SELECT greatest(coalesce((SELECT max(event_id) FROM public.media_files), 0), coalesce((SELECT max(id) FROM public.events), 0) - %(look_back)s)"""
# An edit may put another file in a message, which is fetched then.
ENQUEUE: LiteralString = """
    WITH news AS MATERIALIZED (
        SELECT id, instance_id, type, message_id FROM public.events WHERE id > %(after)s ORDER BY id LIMIT %(page)s
    ), found AS (
        SELECT DISTINCT ON (m.id, file.place) m.id AS message_id, file.place - 1 AS position, m.instance_id, news.id AS event_id,
            file.one->>'ref' AS ref
        FROM news JOIN public.messages m ON m.id = news.message_id
        CROSS JOIN LATERAL jsonb_array_elements(m.content->'media') WITH ORDINALITY AS file (one, place)
        WHERE news.type IN ('message', 'message_edited') AND NOT m.outgoing AND m.deleted_at IS NULL AND coalesce(file.one->>'ref', '') <> ''
        ORDER BY m.id, file.place, news.id DESC
    ), queued AS (
        INSERT INTO public.media_files (message_id, position, instance_id, event_id, ref)
        SELECT message_id, position, instance_id, event_id, ref FROM found
        ON CONFLICT (message_id, position) DO UPDATE SET ref = excluded.ref, event_id = excluded.event_id, status = 'waiting', size = NULL,
            reason = NULL, voice = NULL, tries = 0, run_at = now()
        WHERE media_files.ref <> excluded.ref
    )
    SELECT max(id), count(*) FROM news"""


async def start(database: Database) -> int:
    """Return the event after which files have to be looked for."""
    return await database.value(START, {"look_back": LOOK_BACK}) or 0


async def enqueue(database: Database, after: int) -> tuple[int, bool]:
    """Note the files of messages that came in after this event; return the last event that was looked at, and whether there may be more."""
    last, count = (await database.rows(ENQUEUE, {"after": after, "page": PAGE}))[0]
    return (after if last is None else last), count == PAGE


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file to be fetched, or to be heard. `media` is as it is stored with the message; None: the message or the file is gone."""

    message_id: int
    position: int
    instance_id: UUID
    ref: str
    tries: int
    age: float
    """Seconds since it was noted."""
    media: dict[str, Any] | None


# Whoever claims one has it for so many seconds; killed meanwhile, it is claimed again afterwards.
CLAIM: LiteralString = """
    WITH due AS (
        SELECT message_id, position FROM public.media_files
        WHERE status = 'waiting' AND run_at <= now() AND instance_id = ANY(%(instance_ids)s)
        ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.media_files f SET tries = f.tries + 1, reason = NULL, run_at = now() + make_interval(secs => %(seconds)s) FROM due
        WHERE f.message_id = due.message_id AND f.position = due.position
        RETURNING f.message_id, f.position, f.instance_id, f.ref, f.tries, f.created_at
    )
    SELECT c.message_id, c.position, c.instance_id, c.ref, c.tries, extract(epoch FROM now() - c.created_at)::float8 AS age,
        CASE WHEN m.content->'media'->c.position->>'ref' = c.ref THEN m.content->'media'->c.position END AS media
    FROM claimed c LEFT JOIN public.messages m ON m.id = c.message_id AND m.deleted_at IS NULL"""


async def claim(database: Database, instance_ids: Sequence[UUID], *, seconds: float) -> Waiting | None:
    """Take the next file of these instances that is to be fetched, for so many seconds; None: there is none at present."""
    return await database.one(Waiting, CLAIM, {"instance_ids": list(instance_ids), "seconds": seconds})


KEPT: LiteralString = """
    UPDATE public.media_files f SET status = 'kept', size = %(size)s, reason = NULL, tries = 0, run_at = now(), voice = %(voice)s
    FROM public.messages m
    WHERE f.message_id = %(message_id)s AND f.position = %(position)s AND f.ref = %(ref)s AND m.id = f.message_id AND m.deleted_at IS NULL
    RETURNING 1"""
SAVED: LiteralString = """
    UPDATE public.media_files SET status = 'kept', size = %(size)s, reason = NULL
    WHERE message_id = %(message_id)s AND position = %(position)s AND ref = %(ref)s AND status <> 'kept'"""
NOT_KEPT: LiteralString = """
    UPDATE public.media_files SET status = 'not_kept', reason = %(reason)s, size = %(size)s
    WHERE message_id = %(message_id)s AND position = %(position)s AND ref = %(ref)s"""
AGAIN: LiteralString = """
    UPDATE public.media_files SET run_at = now() + make_interval(secs => %(seconds)s), tries = tries - %(given_back)s, reason = %(reason)s
    WHERE message_id = %(message_id)s AND position = %(position)s AND ref = %(ref)s"""


def _of(file: Waiting) -> dict[str, Any]:
    return {"message_id": file.message_id, "position": file.position, "ref": file.ref}


async def kept(database: Database, file: Waiting, size: int, *, is_voice: bool) -> bool:
    """Note that the file is on the disk; `is_voice`: a transcript is to be made. False: the message or the file in it is gone meanwhile."""
    params = {**_of(file), "size": size, "voice": "waiting" if is_voice else None}
    return await database.value(KEPT, params) is not None


async def saved(database: Database, message_id: int, position: int, ref: str, size: int) -> None:
    """Note that a file which is not kept, or not yet, was put on the disk for whoever asked for it."""
    await database.execute(SAVED, {"message_id": message_id, "position": position, "ref": ref, "size": size})


async def not_kept(database: Database, file: Waiting, reason: str, *, is_usual: bool) -> None:
    """Note that the file is not kept, and why. `is_usual`: nobody need look at it, which the row says by a size of 0."""
    await database.execute(NOT_KEPT, {**_of(file), "reason": reason, "size": 0 if is_usual else None})


async def again(database: Database, file: Waiting, *, seconds: float, reason: str, counts: bool = True) -> None:
    """Have the file fetched, or heard, in so many seconds once more. `counts`: this one was a try."""
    await database.execute(AGAIN, {**_of(file), "seconds": seconds, "reason": reason, "given_back": 0 if counts else 1})


@dataclass(frozen=True, slots=True)
class MediaFile:
    position: int
    ref: str
    status: str
    reason: str | None
    voice: str | None


OF_MESSAGE: LiteralString = "SELECT position, ref, status, reason, voice FROM public.media_files WHERE message_id = %(id)s"


async def of_message(database: Database, message_id: int) -> dict[int, MediaFile]:
    """Return what is known of a message's files, by their place."""
    return {file.position: file for file in await database.all(MediaFile, OF_MESSAGE, {"id": message_id})}


SIZE: LiteralString = "SELECT coalesce(sum(size), 0)::bigint FROM public.media_files WHERE instance_id = %(id)s AND status = 'kept'"


async def size_of(database: Database, instance_id: UUID) -> int:
    """Return how many bytes of files are kept of an instance's messages."""
    return await database.value(SIZE, {"id": instance_id})


FORGET: LiteralString = "DELETE FROM public.media_files WHERE message_id = ANY(%(ids)s::bigint[]) AND status <> 'waiting'"
# An earlier version of the program removes messages, and knows nothing of these rows.
ORPHANS: LiteralString = """
    DELETE FROM public.media_files WHERE message_id IN (
        SELECT f.message_id FROM public.media_files f WHERE f.created_at < now() - interval '1 day'
            AND NOT EXISTS (SELECT FROM public.messages m WHERE m.id = f.message_id) LIMIT %(limit)s)"""


async def forget(database: Database, message_ids: Sequence[int]) -> None:
    """Forget the files of messages: they were removed from the disk."""
    await database.execute(FORGET, {"ids": list(message_ids)})


async def forget_orphans(database: Database, *, limit: int) -> int:
    """Forget files of messages that are gone; return how many."""
    return await database.execute(ORPHANS, {"limit": limit})


@dataclass(frozen=True, slots=True)
class Lacking:
    """Of the last day: files that are not kept although they should be, transcripts that failed, and why the newest of each."""

    not_kept: int
    reason: str | None
    unheard: int
    unheard_reason: str | None


LACKING: LiteralString = """
    SELECT count(*) FILTER (WHERE status = 'not_kept') AS not_kept,
        (array_agg(reason ORDER BY event_id DESC) FILTER (WHERE status = 'not_kept'))[1] AS reason,
        count(*) FILTER (WHERE voice = 'failed') AS unheard,
        (array_agg(reason ORDER BY event_id DESC) FILTER (WHERE voice = 'failed'))[1] AS unheard_reason
    FROM public.media_files WHERE created_at > now() - interval '1 day' AND (status = 'not_kept' AND size IS NULL OR voice = 'failed')"""


async def lacking(database: Database) -> Lacking:
    """Return what is lacking of the files of the last day."""
    found = await database.one(Lacking, LACKING)
    assert found is not None
    return found


CLAIM_VOICE: LiteralString = """
    WITH due AS (
        SELECT message_id, position FROM public.media_files
        WHERE voice = 'waiting' AND status = 'kept' AND run_at <= now() AND instance_id = ANY(%(instance_ids)s)
        ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE public.media_files f SET tries = f.tries + 1, reason = NULL, run_at = now() + make_interval(secs => %(seconds)s) FROM due
        WHERE f.message_id = due.message_id AND f.position = due.position
        RETURNING f.message_id, f.position, f.instance_id, f.ref, f.tries, f.created_at
    )
    SELECT c.message_id, c.position, c.instance_id, c.ref, c.tries, extract(epoch FROM now() - c.created_at)::float8 AS age,
        CASE WHEN m.content->'media'->c.position->>'ref' = c.ref THEN m.content->'media'->c.position END AS media
    FROM claimed c LEFT JOIN public.messages m ON m.id = c.message_id AND m.deleted_at IS NULL"""
# The transcript names the file that it is of, since an edit may put another in its place. The index of words learns of it by itself only where
# text or files change.
TRANSCRIPT: LiteralString = """
    WITH guard AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(event_log)s)), changed AS (
        UPDATE public.messages SET content = jsonb_set(content, '{transcripts}',
            coalesce(content->'transcripts', '{}') || jsonb_build_object(%(position)s::int::text,
                jsonb_build_object('ref', %(ref)s::text, 'text', %(text)s::text)))
        FROM guard WHERE id = %(message_id)s AND deleted_at IS NULL AND content->'media'->%(position)s::int->>'ref' = %(ref)s
        RETURNING messages.id, messages.instance_id, messages.chat_id
    ), heard AS (
        UPDATE public.media_files SET voice = 'done', reason = NULL
        WHERE message_id = %(message_id)s AND position = %(position)s AND ref = %(ref)s
    ), searched AS (
        INSERT INTO public.search_pending (message_id) SELECT id FROM changed
    ), logged AS (
        INSERT INTO public.events (id, instance_id, type, chat_id, message_id, data)
        SELECT nextval('public.event_numbers'), changed.instance_id, 'transcript', changed.chat_id, changed.id, '{}' FROM changed
        RETURNING id, instance_id, chat_id
    ), due AS (
        INSERT INTO public.deliveries (event_id, instance_id, chat_id, target)
        SELECT logged.id, logged.instance_id, logged.chat_id, 'webhook' FROM logged JOIN public.message_instances i ON i.id = logged.instance_id
        WHERE i.api_webhook_schema->'enabled' = 'true' ORDER BY logged.id
    )
    SELECT (SELECT max(id) FROM logged) AS event_id,
        (SELECT pg_notify('mcp_messenger_events', max(id)::text) FROM logged HAVING count(*) > 0) AS notified
    FROM guard"""
NOT_HEARD: LiteralString = """
    UPDATE public.media_files SET voice = 'failed', reason = %(reason)s
    WHERE message_id = %(message_id)s AND position = %(position)s AND ref = %(ref)s"""


async def claim_voice(database: Database, instance_ids: Sequence[UUID], *, seconds: float) -> Waiting | None:
    """Take the next kept file of these instances that is to be heard, for so many seconds; None: there is none at present."""
    return await database.one(Waiting, CLAIM_VOICE, {"instance_ids": list(instance_ids), "seconds": seconds})


async def store_transcript(database: Database, file: Waiting, text: str) -> int | None:
    """Keep what is said in a file with its message; return the event of it. None: the message or the file in it is gone."""
    rows = await database.rows(TRANSCRIPT, {**_of(file), "text": text, "event_log": EVENT_LOG})
    return rows[0][0]


async def not_heard(database: Database, file: Waiting, reason: str) -> None:
    """Note that there is no transcript, and why."""
    await database.execute(NOT_HEARD, {**_of(file), "reason": reason})
