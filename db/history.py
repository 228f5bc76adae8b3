"""What an instance went through: states, QR codes, errors."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from db.database import Database


@dataclass(frozen=True, slots=True)
class StatusRow:
    status: str
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class QrRow:
    sequence: int
    issued_at: datetime
    expires_at: datetime
    outcome: str
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class ErrorRow:
    code: str
    message: str
    count: int
    first_at: datetime
    at: datetime


STATUSES: LiteralString = "SELECT status, reason, at FROM public.status_history WHERE instance_id = %(id)s ORDER BY id DESC LIMIT %(limit)s"


async def statuses(database: Database, instance_id: UUID, *, limit: int) -> list[StatusRow]:
    """Return the states of an instance, newest first."""
    return await database.all(StatusRow, STATUSES, {"id": instance_id, "limit": limit})


QR_CODES: LiteralString = """
    SELECT sequence, issued_at, expires_at, outcome, NULL::bytea AS sealed FROM public.qr_codes
    WHERE instance_id = %(id)s ORDER BY id DESC LIMIT %(limit)s"""


async def qr_codes(database: Database, instance_id: UUID, *, limit: int) -> list[QrRow]:
    """Return the QR codes of an instance, newest first, without their contents."""
    return await database.all(QrRow, QR_CODES, {"id": instance_id, "limit": limit})


CURRENT_QR: LiteralString = """
    SELECT sequence, issued_at, expires_at, outcome, sealed FROM public.qr_codes
    WHERE instance_id = %(id)s AND outcome = 'current' ORDER BY id DESC LIMIT 1"""


async def current_qr(database: Database, instance_id: UUID) -> QrRow | None:
    """Return the QR code that can be scanned now, sealed; None: there is none."""
    return await database.one(QrRow, CURRENT_QR, {"id": instance_id})


RECORD_ERROR: LiteralString = """
    INSERT INTO public.instance_errors (instance_id, code, message) VALUES (%(id)s, %(code)s, %(message)s)
    ON CONFLICT (instance_id, code, message) DO UPDATE SET count = instance_errors.count + 1, at = now()"""
# A platform that words each error differently must not fill the table.
TRIM_ERRORS: LiteralString = """
    DELETE FROM public.instance_errors WHERE instance_id = %(id)s AND (code, message) NOT IN (
        SELECT code, message FROM public.instance_errors WHERE instance_id = %(id)s ORDER BY at DESC LIMIT 100)"""


async def record_error(database: Database, instance_id: UUID, code: str, message: str) -> None:
    """Count an error of the instance; the newest hundred different ones are kept."""
    params = {"id": instance_id, "code": code, "message": message[:1000]}
    async with database.transaction() as connection:
        await connection.execute(RECORD_ERROR, params)
        await connection.execute(TRIM_ERRORS, params)


ERRORS: LiteralString = (
    "SELECT code, message, count, first_at, at FROM public.instance_errors WHERE instance_id = %(id)s ORDER BY at DESC LIMIT %(limit)s"
)


async def errors(database: Database, instance_id: UUID, *, limit: int) -> list[ErrorRow]:
    """Return the errors of an instance, newest first."""
    return await database.all(ErrorRow, ERRORS, {"id": instance_id, "limit": limit})


CLEAR_ERRORS: LiteralString = "DELETE FROM public.instance_errors WHERE instance_id = %(id)s"


async def clear_errors(database: Database, instance_id: UUID) -> int:
    """Delete the errors of an instance; return how many there were."""
    return await database.execute(CLEAR_ERRORS, {"id": instance_id})


ERROR_COUNTS: LiteralString = """
    SELECT i.provider, sum(e.count)::bigint FROM public.message_instances i JOIN public.instance_errors e ON e.instance_id = i.id
    WHERE (%(user_id)s::text IS NULL OR i.user_id = %(user_id)s) AND (%(id)s::uuid IS NULL OR i.id = %(id)s)
    GROUP BY i.provider"""


async def error_counts(database: Database, *, user_id: str | None, id: UUID | None = None) -> dict[str, int]:
    """Return the number of errors by provider. `user_id` or `id` None: of all."""
    return {row[0]: row[1] for row in await database.rows(ERROR_COUNTS, {"user_id": user_id, "id": id})}
