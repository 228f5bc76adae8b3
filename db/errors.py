"""What can go wrong with the store.

StoreUnavailable          PostgreSQL cannot be reached, or refuses to work for now; `reason` says why
+-- StoreConflict         the statement was undone because of another one; the same statement may succeed at once
+-- EmbeddedFailed        the embedded PostgreSQL did not start
+-- MigrationFailed       the schema could not be brought up to date
    +-- DatabaseTooNew    a newer version of this program has migrated the database
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType

from providers.errors import MessengerError


class Reason(StrEnum):
    """Why the store does not do what is asked."""

    UNREACHABLE = "unreachable"
    READ_ONLY = "read_only"
    CANCELLED = "cancelled"
    LOCKED = "locked"
    CONFLICT = "conflict"
    DISK_FULL = "disk_full"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    OVERLOADED = "overloaded"
    RESTARTING = "restarting"
    BROKEN = "broken"
    FORBIDDEN = "forbidden"
    SCHEMA = "schema"
    STALE_PLAN = "stale_plan"


WORDS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.UNREACHABLE: "PostgreSQL does not answer.",
        Reason.READ_ONLY: "PostgreSQL refuses writes: it is read-only, or a standby.",
        Reason.CANCELLED: "PostgreSQL cancelled the statement: it took longer than the server allows, or an administrator ended it.",
        Reason.LOCKED: "PostgreSQL gave up waiting for a lock that something else holds.",
        Reason.CONFLICT: "PostgreSQL undid the statement, because another one was in its way.",
        Reason.DISK_FULL: "The disk is full: PostgreSQL cannot write.",
        Reason.TOO_MANY_CONNECTIONS: "PostgreSQL takes no more connections.",
        Reason.OVERLOADED: "PostgreSQL is out of memory or another resource.",
        Reason.RESTARTING: "PostgreSQL is starting or shutting down.",
        Reason.BROKEN: "PostgreSQL cannot read or write its files.",
        Reason.FORBIDDEN: "The role of the database may not do this.",
        Reason.SCHEMA: "The database has not the tables that this version needs.",
        Reason.STALE_PLAN: "A table was changed after the statement had been prepared.",
    }
)
"""For callers. PostgreSQL's own words may name hosts, tables and values, so they go to the log alone."""

_BY_SQLSTATE: Mapping[str, Reason] = MappingProxyType(
    {
        "08": Reason.UNREACHABLE,
        "25006": Reason.READ_ONLY,
        # This process was frozen with a transaction open; the server has rolled it back.
        "25P03": Reason.CANCELLED,
        "25P04": Reason.CANCELLED,
        "26000": Reason.STALE_PLAN,
        "28": Reason.FORBIDDEN,
        "3D000": Reason.UNREACHABLE,
        "3F000": Reason.SCHEMA,
        "40001": Reason.CONFLICT,
        "40P01": Reason.CONFLICT,
        "42501": Reason.FORBIDDEN,
        "42703": Reason.SCHEMA,
        "42883": Reason.SCHEMA,
        "42P01": Reason.SCHEMA,
        "53": Reason.OVERLOADED,
        "53100": Reason.DISK_FULL,
        "53300": Reason.TOO_MANY_CONNECTIONS,
        "55P03": Reason.LOCKED,
        "57014": Reason.CANCELLED,
        "57P": Reason.RESTARTING,
        "58": Reason.BROKEN,
    }
)
"""By the SQLSTATE or its beginning, the longest first: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class StoreUnavailable(MessengerError):
    """PostgreSQL cannot be reached, or refuses to work for now. Nothing is lost: the same call may succeed later."""

    code = "store_unavailable"
    next_step = "Try again in a moment. If it stays so, tell the operator: `mcp-messenger doctor` and the server's log say more."

    def __init__(self, detail: str = "", *, hint: str | None = None, reason: Reason = Reason.UNREACHABLE) -> None:
        super().__init__(detail or WORDS[reason], hint=hint or self.next_step)
        self.reason = reason


class StoreConflict(StoreUnavailable):
    """The statement was undone because of another one; the same statement may succeed at once."""


class EmbeddedFailed(StoreUnavailable):
    """The embedded PostgreSQL did not start."""

    next_step = "It is tried again by itself; remove the cause meanwhile."

    def __init__(self, detail: str = "The embedded PostgreSQL did not start.", *, hint: str | None = None, reason: Reason = Reason.BROKEN) -> None:
        super().__init__(detail, hint=hint, reason=reason)


class MigrationFailed(StoreUnavailable):
    """The schema of the database could not be brought up to date."""

    next_step = "Remove the cause and start again; migrations that were applied stay applied."

    def __init__(self, detail: str = "", *, hint: str | None = None) -> None:
        super().__init__(detail or "The schema of the database could not be brought up to date.", hint=hint, reason=Reason.SCHEMA)


class DatabaseTooNew(MigrationFailed):
    """The database was migrated by a newer version of this program."""

    def __init__(self, versions: Sequence[str], newest_known: str) -> None:
        super().__init__(
            f"The database has migrations that this version does not know: {', '.join(versions)}.",
            hint=f"Upgrade mcp-messenger, or take them back: run `mcp-messenger migrate --to {newest_known}` with the newer version.",
        )
        self.versions = tuple(versions)


def reason_for(sqlstate: str) -> Reason | None:
    """Return why the store refuses, by PostgreSQL's error code; None for an error that is the statement's own and stays."""
    return next((_BY_SQLSTATE[sqlstate[:length]] for length in (5, 3, 2) if sqlstate[:length] in _BY_SQLSTATE), None)


@contextmanager
def translated() -> Generator[None]:
    """Raise StoreUnavailable for the driver's errors that pass by themselves; errors of the statement's own, such as a duplicate, stay.

    Neither error carries the URL or the password: the driver names at most host, port and user.
    """
    from psycopg import Error, OperationalError

    try:
        yield
    except Error as error:
        if error.sqlstate is None:
            # The connection broke, or there was none; psycopg_pool's errors are OperationalErrors too.
            if isinstance(error, OperationalError):
                raise StoreUnavailable from error
            raise
        # PostgreSQL has no code of its own for a prepared statement whose columns were changed by a migration.
        stale = error.diag.source_function == "RevalidateCachedQuery"
        reason = Reason.STALE_PLAN if stale else reason_for(error.sqlstate)
        if reason is None:
            raise
        raise (StoreConflict if reason is Reason.CONFLICT else StoreUnavailable)(reason=reason) from error


def with_url_hint(error: StoreUnavailable) -> StoreUnavailable:
    """Return the error with a hint for whoever set DATABASE_URL, where nothing answers there."""
    if type(error) is not StoreUnavailable or error.reason is not Reason.UNREACHABLE or error.hint != error.next_step:
        return error
    return StoreUnavailable(error.detail, hint="Check that PostgreSQL runs and that DATABASE_URL is right, then try again.", reason=error.reason)


def reason_of(error: StoreUnavailable) -> str:
    """With PostgreSQL's own words, which name at most host, port and user: for the log, not for callers."""
    words = str(error.__cause__ or "").strip()
    return f"{error.detail} {words}".strip()
