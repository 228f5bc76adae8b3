"""The audit log: rows are added, and sealed later into one chain of hashes, by one process at a time.

Who adds a row waits for nobody. Positions in the chain are given when a row is sealed, so those of one moment are in the order of their ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from db.advisory_locks import AUDIT_CHAIN
from db.database import Database
from db.json import jsonb

ERASED = "audit_erased"
RETIRED = "audit_removed"
"""Operations of the rows that say what was taken out of the log: words about others, and the oldest rows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as it is added. `user_id`: whose it is, where that is known; else that of the instance. `content`: a digest of what was sent."""

    id: UUID
    at: datetime
    user_id: str | None
    caller: str
    key_id: UUID | None
    session: str | None
    client: str | None
    operation: str
    instance_id: UUID | None
    chat_id: str | None
    target: str | None
    outcome: str
    rule: str | None
    decided_by: str | None
    approval_id: UUID | None
    code: str | None
    content: bytes | None
    salt: bytes | None
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row as it is stored. The last five are None until it is sealed; `erased_at`: words about others were taken out then."""

    id: UUID
    at: datetime
    user_id: str | None
    caller: str
    key_id: UUID | None
    session: str | None
    client: str | None
    operation: str
    instance_id: UUID | None
    chat_id: str | None
    target: str | None
    message_id: int | None
    outcome: str
    rule: str | None
    decided_by: str | None
    approval_id: UUID | None
    code: str | None
    content: bytes | None
    salt: bytes | None
    details: dict[str, Any] | None
    mac: bytes | None
    position: int | None
    is_genuine: bool | None
    digest: bytes | None
    hash: bytes | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain. `last`: the highest place that is taken, which is the head's unless somebody interfered."""

    position: int
    hash: bytes
    signature: bytes
    last: int


@dataclass(frozen=True, slots=True)
class Seal:
    """A row's place in the chain."""

    id: UUID
    position: int
    is_genuine: bool
    digest: bytes
    hash: bytes


ADD: LiteralString = """
    INSERT INTO public.audit_log (id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, outcome, rule,
        decided_by, approval_id, code, content, salt, mac)
    SELECT %(id)s, %(at)s, coalesce(%(user_id)s::text, (SELECT user_id FROM public.message_instances WHERE id = %(instance_id)s::uuid)), %(caller)s,
        %(key_id)s, %(session)s, %(client)s, %(operation)s, %(instance_id)s, %(chat_id)s, %(target)s, %(outcome)s, %(rule)s, %(decided_by)s,
        %(approval_id)s, %(code)s, %(content)s, %(salt)s, %(mac)s"""


async def add(database: Database, entry: Entry) -> None:
    """Add a row."""
    await database.execute(ADD, asdict(entry))


def parameters(entry: Entry | None) -> dict[str, object]:
    """Return an entry for a statement that adds it beside what else it does: with `audit_` before each name, and no id for None."""
    return {f"audit_{name}": None if entry is None else getattr(entry, name) for name in Entry.__slots__}


TRY_LOCK: LiteralString = "SELECT pg_try_advisory_xact_lock(%(lock)s)"
# Somebody may have removed the head, or put rows behind it: the log goes on after them all, and shows it.
HEAD: LiteralString = """
    SELECT coalesce(h.position, last.position) AS position, coalesce(h.hash, last.hash) AS hash, coalesce(h.signature, '') AS signature,
        greatest(h.position, last.position) AS last
    FROM (SELECT 1) AS one LEFT JOIN public.audit_head AS h ON true
    LEFT JOIN (SELECT position, hash FROM public.audit_log WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1) AS last ON true
    WHERE h.position IS NOT NULL OR last.position IS NOT NULL"""
TO_SEAL: LiteralString = """
    SELECT id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id, outcome, rule, decided_by,
        approval_id, code, content, salt, details, mac, position, is_genuine, digest, hash, erased_at
    FROM public.audit_log WHERE position IS NULL ORDER BY id LIMIT %(limit)s"""
SEAL: LiteralString = """
    UPDATE public.audit_log AS a SET position = s.position, is_genuine = s.is_genuine, digest = s.digest, hash = s.hash
    FROM unnest(%(ids)s::uuid[], %(positions)s::bigint[], %(genuine)s::boolean[], %(digests)s::bytea[], %(hashes)s::bytea[])
        AS s (id, position, is_genuine, digest, hash)
    WHERE a.id = s.id"""
SET_HEAD: LiteralString = """
    INSERT INTO public.audit_head (position, hash, signature) VALUES (%(position)s, %(hash)s, %(signature)s)
    ON CONFLICT (singleton) DO UPDATE SET position = excluded.position, hash = excluded.hash, signature = excluded.signature, sealed_at = now()"""
Compute = Callable[[Head | None, Sequence[AuditRow]], tuple[Sequence[Seal], Head | None]]


async def seal(database: Database, compute: Compute, *, limit: int) -> int:
    """Have rows sealed that are not yet; return how many. `compute` gives their seals and the new head; with no head nothing is stored."""
    from psycopg.rows import class_row

    async with database.transaction() as connection:
        if not (await (await connection.execute(TRY_LOCK, {"lock": AUDIT_CHAIN})).fetchall())[0][0]:
            return 0
        async with connection.cursor(row_factory=class_row(Head)) as heads, connection.cursor(row_factory=class_row(AuditRow)) as found:
            head = await (await heads.execute(HEAD)).fetchone()
            rows = await (await found.execute(TO_SEAL, {"limit": limit})).fetchall()
        seals, after = compute(head, rows)
        if after is None:
            return 0
        params = {
            "ids": [one.id for one in seals],
            "positions": [one.position for one in seals],
            "genuine": [one.is_genuine for one in seals],
            "digests": [one.digest for one in seals],
            "hashes": [one.hash for one in seals],
        }
        await connection.execute(SEAL, params)
        await connection.execute(SET_HEAD, {"position": after.position, "hash": after.hash, "signature": after.signature})
    return len(seals)


@dataclass(frozen=True, slots=True)
class End:
    """The signed head, and what of the log it does not cover: rows that are still to be sealed, and the highest place that a row claims."""

    position: int | None
    hash: bytes | None
    signature: bytes | None
    to_seal: int
    last: int | None


END: LiteralString = """
    SELECT h.position, h.hash, h.signature, (SELECT count(*) FROM public.audit_log WHERE position IS NULL) AS to_seal,
        (SELECT max(position) FROM public.audit_log) AS last
    FROM (SELECT 1) AS one LEFT JOIN public.audit_head AS h ON true"""
CHAIN: LiteralString = """
    SELECT id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id, outcome, rule, decided_by,
        approval_id, code, content, salt, details, mac, position, is_genuine, digest, hash, erased_at
    FROM public.audit_log WHERE position > %(after)s AND position <= %(through)s ORDER BY position LIMIT %(limit)s"""
LAST_RETIRED: LiteralString = """
    SELECT id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id, outcome, rule, decided_by,
        approval_id, code, content, salt, details, mac, position, is_genuine, digest, hash, erased_at
    FROM public.audit_log WHERE operation = %(operation)s AND position IS NOT NULL ORDER BY position DESC LIMIT 1"""


async def end(database: Database) -> End:
    """Return how the log ends, as of one moment."""
    found = await database.one(End, END, {})
    assert found is not None
    return found


async def chain(database: Database, *, after: int, through: int, limit: int) -> list[AuditRow]:
    """Return sealed rows in their order, those after one position and through another."""
    return await database.all(AuditRow, CHAIN, {"after": after, "through": through, "limit": limit})


async def last_retired(database: Database) -> AuditRow | None:
    """Return the newest row that says which of the oldest were removed; None: none was."""
    return await database.one(AuditRow, LAST_RETIRED, {"operation": RETIRED})


NEWEST: LiteralString = """
    SELECT id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id, outcome, rule, decided_by,
        approval_id, code, content, salt, details, mac, position, is_genuine, digest, hash, erased_at
    FROM public.audit_log
    WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(instance_id)s::uuid IS NULL OR instance_id = %(instance_id)s)
        AND (%(operation)s::text IS NULL OR operation = %(operation)s) AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
        AND (%(cursor)s::uuid IS NULL OR id < %(cursor)s)
    ORDER BY id DESC LIMIT %(limit)s"""
OLDEST: LiteralString = """
    SELECT id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, message_id, outcome, rule, decided_by,
        approval_id, code, content, salt, details, mac, position, is_genuine, digest, hash, erased_at
    FROM public.audit_log
    WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s) AND (%(instance_id)s::uuid IS NULL OR instance_id = %(instance_id)s)
        AND (%(operation)s::text IS NULL OR operation = %(operation)s) AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
        AND (%(cursor)s::uuid IS NULL OR id > %(cursor)s)
    ORDER BY id LIMIT %(limit)s"""


@dataclass(frozen=True)
class Wanted:
    """Which rows are read; None: all. `cursor` is the id of the last one of the page before."""

    user_id: str | None = None
    instance_id: UUID | None = None
    operation: str | None = None
    outcome: str | None = None
    cursor: UUID | None = None


async def listing(database: Database, wanted: Wanted, *, oldest_first: bool, limit: int) -> list[AuditRow]:
    """Return a page of rows."""
    return await database.all(AuditRow, OLDEST if oldest_first else NEWEST, {**asdict(wanted), "limit": limit}, planned_anew=True)


MAY_CHANGE: LiteralString = "SELECT set_config('mcp_messenger.audit', %(what)s, true), pg_advisory_xact_lock(%(lock)s)"
# The row that says so counts what was emptied at its moment: more than that was emptied by somebody else.
EMPTY: LiteralString = """
    WITH emptied AS (
        UPDATE public.audit_log SET chat_id = NULL, target = NULL, content = NULL, salt = NULL, erased_at = now()
        WHERE instance_id = %(audit_instance_id)s AND erased_at IS NULL AND (%(of_all)s OR chat_id = ANY(%(chats)s::text[])
            OR target = ANY(%(chats)s::text[]) OR message_id = ANY(%(messages)s::bigint[]))
        RETURNING id
    )
    INSERT INTO public.audit_log (id, at, user_id, caller, key_id, session, client, operation, instance_id, chat_id, target, outcome, rule,
        decided_by, approval_id, code, content, salt, mac, details)
    SELECT %(audit_id)s, %(audit_at)s, coalesce(%(audit_user_id)s::text,
            (SELECT user_id FROM public.message_instances WHERE id = %(audit_instance_id)s::uuid)), %(audit_caller)s, %(audit_key_id)s,
        %(audit_session)s, %(audit_client)s, %(audit_operation)s, %(audit_instance_id)s, %(audit_chat_id)s, %(audit_target)s, %(audit_outcome)s,
        %(audit_rule)s, %(audit_decided_by)s, %(audit_approval_id)s, %(audit_code)s, %(audit_content)s, %(audit_salt)s, %(audit_mac)s,
        jsonb_build_object('erased', count(*), 'at', (extract(epoch FROM now()) * 1000000)::bigint)
    FROM emptied HAVING count(*) > 0"""


async def empty(connection: Any, entry: Entry, *, chats: Sequence[str] = (), messages: Sequence[int] = (), of_all: bool = False) -> None:
    """Take out of the rows of the entry's instance whom and what they are about: of these chats and messages, or all. The entry says so."""
    await connection.execute(MAY_CHANGE, {"what": "erase", "lock": AUDIT_CHAIN})
    await connection.execute(EMPTY, {**parameters(entry), "chats": list(chats), "messages": list(messages), "of_all": of_all})


# The oldest of the chain, without a gap, as far as all of them are old enough.
DOOMED: LiteralString = """
    SELECT position, hash FROM (
        SELECT position, hash, bool_and(at < now() - make_interval(secs => %(seconds)s)) OVER (ORDER BY position) AS is_old
        FROM (SELECT position, hash, at FROM public.audit_log WHERE position IS NOT NULL ORDER BY position LIMIT %(batch)s) AS oldest
    ) AS known WHERE is_old ORDER BY position DESC LIMIT 1"""
FIRST: LiteralString = "SELECT min(position) FROM public.audit_log"
REMOVE: LiteralString = """
    WITH gone AS (DELETE FROM public.audit_log WHERE position <= %(through)s RETURNING id)
    INSERT INTO public.audit_log (id, at, user_id, caller, operation, outcome, mac, details)
    SELECT %(audit_id)s, %(audit_at)s, NULL, %(audit_caller)s, %(audit_operation)s, %(audit_outcome)s, %(audit_mac)s, %(details)s
    FROM gone HAVING count(*) > 0"""


async def retire(database: Database, entry: Entry, *, seconds: float, batch: int) -> int:
    """Remove the oldest rows, those of more than so many seconds ago; return how many. The entry says through which the chain was removed."""
    async with database.transaction() as connection:
        if not (await (await connection.execute(TRY_LOCK, {"lock": AUDIT_CHAIN})).fetchall())[0][0]:
            return 0
        found = await (await connection.execute(DOOMED, {"seconds": seconds, "batch": batch})).fetchone()
        if found is None:
            return 0
        await connection.execute(MAY_CHANGE, {"what": "retention", "lock": AUDIT_CHAIN})
        details = jsonb({"through": found[0], "hash": bytes(found[1]).hex()})
        first = await (await connection.execute(FIRST)).fetchone()
        await connection.execute(REMOVE, {**parameters(entry), "through": found[0], "details": details})
        return 0 if first is None else found[0] - first[0] + 1
