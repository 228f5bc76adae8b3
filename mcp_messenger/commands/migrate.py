"""Bring the database to another version of the schema, or say which one it has."""

import json

from mcp_messenger.commands.database import database_url
from mcp_messenger.commands.terminal import say, working
from mcp_messenger.config import Config


async def migrate(config: Config, to: str | None, status: bool, as_json: bool = False) -> int:
    """Print what was done. `to` is the number or name of the last migration to keep; None: all that this version knows.

    Raises StoreUnavailable, and MigrationFailed where there is no such migration or one fails.
    """
    from db import migrate as migrations

    target = None if to is None else migrations.resolve(to)
    async with database_url(config) as url:
        if status:
            applied, known = await migrations.read_applied(url), migrations.packaged()
            if as_json:
                pending = [version for version in known if version not in applied]
                say(json.dumps({"applied": applied, "pending": pending, "unknown": [one for one in applied if one not in known]}, indent=2))
            else:
                _print_status(applied, known)
            return 0
        undone = [] if target is None else await migrations.rollback(url, target)
        at = [""]

        def told(version: str, number: int, of: int) -> None:
            at[0] = f"{number} of {of}: {version}"

        with working("Migrating", lambda: at[0]):
            applied = await migrations.migrate(url, to=target, told=told)
        if as_json:
            now = max(await migrations.read_applied(url))
            say(json.dumps({"version": now, "applied": applied, "taken_back": undone}, indent=2))
            return 0
        for what, versions in (("taken back", undone), ("applied", applied)):
            for version in versions:
                print(f"{what}: {version}")  # noqa: T201 - a person reads it
        print(f"The database is at {max(await migrations.read_applied(url))}.")  # noqa: T201
    return 0


def _print_status(applied: list[str], known: list[str]) -> None:
    for version in sorted({*applied, *known}):
        state = "pending" if version not in applied else "applied" if version in known else "applied by a newer version"
        print(f"{version}: {state}")  # noqa: T201
