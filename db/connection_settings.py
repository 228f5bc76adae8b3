"""What a connection to PostgreSQL is made with: the user's URL, our options, and settings that every session of ours relies on."""

import logging
import os
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import unquote

import anyio.to_thread

from db.errors import Reason, StoreUnavailable
from db.own_schema import schema_of

if TYPE_CHECKING:
    from psycopg import AsyncConnection

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10
"""Seconds, for one attempt."""

CONNECTION_OPTIONS: dict[str, str | int] = {
    "application_name": "mcp-messenger",
    "connect_timeout": CONNECT_TIMEOUT,
    "client_encoding": "UTF8",
    # A peer that vanished is noticed within half a minute, not after TCP's two hours.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

FOR_OTHER_CLIENTS = frozenset(
    ["pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "supa", "workaround", "uselibpqcompat"]
)
"""Parameters that Prisma, node-postgres and the dashboards of Supabase and Vercel put into URLs. They tune those clients, and mean nothing here."""

# A role or a database may have other defaults. PostgreSQL reports these three, so a pooler in transaction mode keeps them for each client.
# The search path is not reported: every statement names the schema instead.
SETTINGS: LiteralString = "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET standard_conforming_strings = on"


def connection_string(url: str, *, setting: str = "DATABASE_URL") -> str:
    """Return the URL with our options where it does not set its own, and without parameters for other clients.

    libpq's variables, such as PGPASSWORD or PGSSLROOTCERT, fill in what the URL leaves open, as they do for psql. Raises StoreUnavailable,
    which names the `setting` and never repeats the URL, where it cannot be read.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(_for_libpq(url, setting))
    except ProgrammingError:
        # The driver's message quotes the URL, and with it the password.
        raise StoreUnavailable(
            f"{setting} cannot be read.", hint="Write it as postgresql://user:password@host:5432/database?sslmode=verify-full."
        ) from None
    return make_conninfo("", **{**CONNECTION_OPTIONS, **given})


def lacks_ipv6(url: str) -> bool:
    """Return whether the host of the URL has addresses of IPv6 alone, and no way leads there from here. Looks its name up; blocks."""
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(connection_string(url))
    host = str(given.get("host") or "")
    if not host or host.startswith("/") or "," in host:
        return False
    try:
        found = socket.getaddrinfo(host, int(given.get("port") or 5432), type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return False
    if {family for family, *_ in found} != {socket.AF_INET6}:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            # Chooses a route, and sends nothing.
            probe.connect(found[0][4])
    except OSError:
        return True
    return False


async def explained(error: StoreUnavailable, url: str, setting: str) -> StoreUnavailable:
    """Return the error, or one with the true reason where the host can be reached by IPv6 alone and this machine has none."""
    if error.reason is not Reason.UNREACHABLE or not await anyio.to_thread.run_sync(lacks_ipv6, url):
        return error
    return StoreUnavailable(
        f"The host of {setting} has only an IPv6 address, and this machine or its container network has no IPv6.",
        hint="Use the address of the session pooler (in Supabase: Connect, Session pooler, port 5432), which has IPv4; or give the network IPv6.",
    )


def _for_libpq(url: str, setting: str) -> str:
    address, separator, query = url.partition("?")
    if not separator or not re.match(r"postgres(ql)?://", address):
        return url
    known, kept = _libpq_parameters(), list[str]()
    for part in filter(None, query.split("&")):
        name = unquote(part.partition("=")[0])
        if name in known:
            kept.append(part)
        elif name == "schema":
            schema_of(url, setting)
        elif name in FOR_OTHER_CLIENTS:
            log.info("%s: the parameter %s is for other clients and is left out", setting, name)
        else:
            raise StoreUnavailable(f"{setting} has the parameter {name!r}, which PostgreSQL does not know.", hint=_hint(name, setting))
    return address + (f"?{'&'.join(kept)}" if kept else "")


def _hint(name: str, setting: str) -> str:
    if name == "sslaccept":
        return f"Replace it in {setting} by sslmode=verify-full or sslmode=require."
    return f"Leave it out of {setting}."


def _libpq_parameters() -> frozenset[str]:
    from psycopg import pq

    # `ssl=true` is JDBC's way to write sslmode=require, which libpq reads too.
    return frozenset([option.keyword.decode() for option in pq.Conninfo.get_defaults()] + ["ssl"])


def libpq_environment(url: str) -> dict[str, str]:
    """Return libpq's variables, such as PGHOST, that mean the same as the URL. Raises StoreUnavailable as `connection_string` does."""
    from psycopg import pq

    options = pq.Conninfo.parse(connection_string(url).encode())
    return {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val}


def forget_libpq_environment() -> None:
    """Remove libpq's variables from this process: they are meant for another server than the embedded one, and PGSERVICE cannot be overruled."""
    from psycopg import pq

    names: Iterable[bytes | None] = (option.envvar for option in pq.Conninfo.get_defaults())
    for name in [name.decode() for name in names if name] + ["PGSERVICEFILE", "PGSYSCONFDIR"]:
        os.environ.pop(name, None)


async def prepare(connection: "AsyncConnection[Any]") -> None:
    """Give a new connection the settings that we rely on. Raises StoreUnavailable where the database cannot hold every text."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"The database is encoded in {encoding}, which cannot hold every message.",
            hint="Make one with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and let DATABASE_URL name it.",
        )
    await connection.execute(SETTINGS)
