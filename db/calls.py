"""Calls to an instance that another process holds: asked as a row, done by the holder, answered in the row, and deleted by who asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from db.database import Database
from db.json import jsonb
from db.leases import HORIZON

CLAIM_WITHIN = 20.0
"""Seconds after which nobody starts a call: the asker has stopped waiting. A holder that dies is replaced sooner."""

ASK: LiteralString = """
    WITH asked AS (
        INSERT INTO public.calls (id, instance_id, method, args) VALUES (%(id)s, %(instance_id)s, %(method)s, %(args)s) RETURNING id
    )
    SELECT pg_notify('mcp_messenger_calls', '') FROM asked"""


async def ask(database: Database, id: UUID, instance_id: UUID, method: str, args: dict[str, Any]) -> None:
    """Ask the holder of an instance to run a method; wake it. `args` is a JSON object."""
    await database.rows(ASK, {"id": id, "instance_id": instance_id, "method": method, "args": jsonb(args)})


@dataclass(frozen=True, slots=True)
class Call:
    """`args` is JSON."""

    id: UUID
    instance_id: UUID
    method: str
    args: str


# What an asker that died left behind may hold a whole file.
CLAIM: LiteralString = """
    WITH forgotten AS (DELETE FROM public.calls WHERE created_at < now() - interval '10 minutes')
    UPDATE public.calls SET claimed_epoch = mine.epoch
    FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS mine (id, epoch)
    JOIN public.leases ON leases.instance_id = mine.id AND leases.epoch = mine.epoch
    WHERE calls.instance_id = mine.id AND claimed_epoch IS NULL AND created_at > now() - make_interval(secs => %(within)s)
    RETURNING calls.id, calls.instance_id, calls.method, calls.args::text AS args"""


async def claim(database: Database, owned: Mapping[UUID, int]) -> list[Call]:
    """Claim the calls to the instances that are owned with these epochs; nobody else gets them."""
    params = {"ids": list(owned), "epochs": list(owned.values()), "within": CLAIM_WITHIN}
    return await database.all(Call, CLAIM, params)


ANSWER: LiteralString = """
    WITH answered AS (UPDATE public.calls SET result = %(result)s, error = %(error)s, done_at = now() WHERE id = %(id)s RETURNING id)
    SELECT pg_notify('mcp_messenger_calls', id::text) FROM answered"""


async def answer(database: Database, id: UUID, *, result: object = None, error: dict[str, Any] | None = None) -> None:
    """Store the answer of a call, `result` or `error` as JSON, and wake whoever asked."""
    await database.rows(ANSWER, {"id": id, "result": jsonb(result), "error": None if error is None else jsonb(error)})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result` is JSON. A call that was `claimed` and is not `alive` will never be done: its holder has been replaced."""

    done: bool
    claimed: bool
    alive: bool
    result: str | None
    error: dict[str, Any] | None


OUTCOME: LiteralString = """
    SELECT done_at IS NOT NULL AS done, claimed_epoch IS NOT NULL AS claimed, result::text AS result, error, EXISTS (
            SELECT FROM public.leases WHERE leases.instance_id = calls.instance_id AND epoch = claimed_epoch
                AND expires_at BETWEEN now() AND now() + %(horizon)s::interval) AS alive
    FROM public.calls WHERE id = %(id)s"""


async def outcome(database: Database, id: UUID) -> Outcome | None:
    """Return how far a call is; None: it is gone, with its instance."""
    return await database.one(Outcome, OUTCOME, {"id": id, "horizon": HORIZON})


WITHDRAW: LiteralString = "DELETE FROM public.calls WHERE id = %(id)s RETURNING claimed_epoch IS NOT NULL"


async def withdraw(database: Database, id: UUID) -> bool:
    """Delete a call; return whether its holder had started it. If not, it never will."""
    return bool(await database.value(WITHDRAW, {"id": id}))
