"""psql in the image: without an address it works on the server's own database. `python -m mcp_messenger.commands.psql` with psql's arguments."""

import os
import sys

from db.connection_settings import libpq_environment
from db.errors import StoreUnavailable

PSQL = "/usr/bin/psql"


def main() -> None:
    """Become psql, with DATABASE_URL as libpq's variables: what is named in the arguments, or in such a variable, counts more."""
    url = os.environ.get("DATABASE_URL", "")
    try:
        found = libpq_environment(url) if url else {}
    except StoreUnavailable as error:
        sys.exit(f"{error.detail} {error.hint}")
    given = {name: value for name, value in os.environ.items() if value or name not in found}
    os.execve(PSQL, ["psql", *sys.argv[1:]], {**found, **given})  # noqa: S606 - no shell is wanted, and the program is named


if __name__ == "__main__":
    main()
