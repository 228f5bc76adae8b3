"""What can go wrong with the store.

StoreUnavailable          PostgreSQL cannot be reached, or cannot be used
+-- EmbeddedFailed        our own PostgreSQL did not start
+-- MigrationFailed       the schema could not be brought up to date
    +-- DatabaseTooNew    a newer version of this program has migrated the database
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from providers.errors import MessengerError

UNAVAILABLE_CLASSES = ("08", "53", "57P", "58")
"""SQLSTATEs of a server that is gone, full, shutting down or broken; a deadlock, a lock or a time-out is the statement's own."""


class StoreUnavailable(MessengerError):
    """PostgreSQL does not answer."""

    code = "store_unavailable"
    next_step = "Check that PostgreSQL runs and that DATABASE_URL is right, then try again; the log of the server has the reason."

    def __init__(self, detail: str = "", *, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint or self.next_step)


class EmbeddedFailed(StoreUnavailable):
    """The embedded PostgreSQL did not start."""

    next_step = "Set DATABASE_URL to a PostgreSQL of your own, or remove the cause and start again."


class MigrationFailed(StoreUnavailable):
    """The schema of the database could not be brought up to date."""

    next_step = "Remove the cause and start again; migrations that were applied stay applied."


class DatabaseTooNew(MigrationFailed):
    """The database was migrated by a newer version of this program."""

    def __init__(self, versions: Sequence[str]) -> None:
        super().__init__(
            f"The database has migrations that this version does not know: {', '.join(versions)}.",
            hint="Upgrade mcp-messenger, or roll these migrations back with the version that knows them.",
        )
        self.versions = tuple(versions)


@contextmanager
def translated() -> Generator[None]:
    """Turn the driver's errors about the connection into StoreUnavailable; errors of a statement pass.

    Neither error carries the URL or the password: the driver names at most host, port and user.
    """
    from psycopg import OperationalError
    from psycopg.errors import IdleInTransactionSessionTimeout

    try:
        yield
    except IdleInTransactionSessionTimeout as error:
        # This process was frozen with a transaction open; the server has rolled it back.
        raise StoreUnavailable from error
    except OperationalError as error:  # psycopg_pool's errors are OperationalErrors too
        if error.sqlstate is None or error.sqlstate.startswith(UNAVAILABLE_CLASSES):
            raise StoreUnavailable from error
        raise
