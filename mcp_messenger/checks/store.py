"""The database, its migrations, and the secrets in it."""

import anyio.to_thread

from db.connection_settings import explained
from db.diagnosis import Diagnosis, diagnose, wakes
from db.errors import DatabaseTooNew, StoreUnavailable, reason_of, with_url_hint
from mcp_messenger.checks.finding import Finding, failed, ok, problem, warning
from mcp_messenger.config import Config

DATABASE, MIGRATIONS, ACCESS = "database", "migrations", "access"
SUPPORTED = range(14, 19)


async def check_store(config: Config) -> tuple[list[Finding], Diagnosis | None]:
    """What was found, and what the database is like, where one answers. Starts no embedded store."""
    if config.database_url is None:
        url = await anyio.to_thread.run_sync(_embedded_url, config)
        if url is None:
            return [ok(DATABASE, f"No embedded store runs in {config.data_dir}; it starts with the server.")], None
    else:
        url = config.database_url.get_secret_value()
    try:
        found = await diagnose(url)
        findings = [_database(found, embedded=config.database_url is None), *await _pooler(config, found, url)]
    except StoreUnavailable as error:
        reason = await explained(error, url, "DATABASE_URL")
        hinted = reason if config.database_url is None else with_url_hint(reason)
        return [problem(DATABASE, reason_of(reason), hinted.hint or error.next_step or "Look whether PostgreSQL runs there.")], None
    return [*findings, _migrations(found), *_access(found)], found


def _embedded_url(config: Config) -> str | None:
    from db.embedded import running_url

    return running_url(config.data_dir / "postgres")


def _database(found: Diagnosis, *, embedded: bool) -> Finding:
    name = f"{'The embedded ' if embedded else ''}PostgreSQL {found.version}"
    if found.major not in SUPPORTED:
        return problem(DATABASE, f"{name} is not supported.", f"Use PostgreSQL {SUPPORTED[0]} to {SUPPORTED[-1]}.")
    if not found.tls and not found.is_local:
        return warning(DATABASE, f"{name} is reached over the network without TLS.", "Add sslmode=verify-full to DATABASE_URL.")
    return ok(DATABASE, f"{name} answers{' over TLS' if found.tls else ''}.")


async def _pooler(config: Config, found: Diagnosis, url: str) -> list[Finding]:
    direct = config.direct_database_url
    if direct is not None:
        try:
            if await wakes(direct.get_secret_value()):
                return [ok(DATABASE, "DIRECT_DATABASE_URL answers, and wake-ups arrive through it.")]
        except StoreUnavailable as error:
            reason = await explained(error, direct.get_secret_value(), "DIRECT_DATABASE_URL")
            detail = f"DIRECT_DATABASE_URL cannot be used, so the server has to look for news itself, which is slower: {reason_of(reason)}"
            return [warning(DATABASE, detail, (reason.hint if reason is not error else None) or "Check it; the server works without it meanwhile.")]
        hint = "Let it lead to PostgreSQL itself, or to a pooler in session mode (Supabase's session pooler, port 5432)."
        return [warning(DATABASE, "No wake-ups arrive through DIRECT_DATABASE_URL.", hint)]
    if found.pooled and not await wakes(url):
        detail = "The connection goes through a pooler in transaction mode: the server has to look for news itself, which is slower."
        return [warning(DATABASE, detail, "Set DIRECT_DATABASE_URL to the same database without the pooler, or by one in session mode.")]
    return [ok(DATABASE, "The pooler before it lets wake-ups through.")] if found.pooled else []


def _access(found: Diagnosis) -> list[Finding]:
    """Who else may read or write what is stored; nothing where the database is empty."""
    if not found.applied:
        return []
    if not found.exposed:
        return [ok(ACCESS, "No table is open to anon, authenticated or everybody, and row security is on.")]
    hint = "Start the server, which applies the migrations that close them, or revoke these grants; `mcp-messenger migrate` does it now."
    return [problem(ACCESS, f"Open to others: {', '.join(found.exposed)}.", hint)]


def _migrations(found: Diagnosis) -> Finding:
    if found.unknown:
        return failed(MIGRATIONS, DatabaseTooNew(found.unknown, found.known[-1]))
    if not found.applied:
        return warning(MIGRATIONS, "The database is empty.", "The first start of the server fills it.")
    if found.pending:
        return warning(MIGRATIONS, f"Pending: {', '.join(found.pending)}.", "The next start of the server applies them.")
    return ok(MIGRATIONS, f"Current: {found.applied[-1]}.")
