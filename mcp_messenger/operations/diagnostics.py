"""Health, history, errors and logs of instances."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import itemgetter
from typing import Any
from uuid import UUID

from pydantic import Field

from db import events, history, instance_logs, instances, messages, secrets
from db.errors import StoreUnavailable
from db.instances import InstanceRow
from mcp_messenger.instances import classes
from mcp_messenger.instances.memory import Entry
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instance_answers import agent_trouble
from mcp_messenger.operations.operation import Input, OfInstance, Output
from mcp_messenger.security.caller import Caller, instance_of
from providers import REGISTRY
from providers.errors import MessengerError
from providers.states import InstanceState


class MemoryData(Output):
    status: str
    provider: str
    qr: str | None = Field(default=None, description="current or none; get_qr gives it")
    api_key_id: str | None = None
    last_activity: datetime | None = None
    counters: dict[str, int] = {}
    loaded_at: datetime


class MemoryAnswer(Output):
    data: MemoryData


async def get_instance_memory(app: App, caller: Caller, args: OfInstance) -> MemoryAnswer:
    """Return what this process remembers of the instance; the QR code and the key are named, never shown."""
    row = await instance_of(app.database, caller, args.instance_id)
    entry = app.memory.load(row)
    code = await history.current_qr(app.database, row.id)
    key = await secrets.current_key(app.database, row.id)
    return MemoryAnswer(
        data=MemoryData(
            status=entry.status,
            provider=entry.provider,
            qr="current" if code is not None and code.expires_at > datetime.now(UTC) else None,
            api_key_id=None if key is None else str(key.id),
            # What this process remembers is lost with its memory of an instance that is idle.
            last_activity=max(filter(None, (entry.last_activity, await events.last_at(app.database, row.id))), default=None),
            counters=dict(entry.counters),
            loaded_at=entry.loaded_at,
        )
    )


class MemoryTotals(Output):
    total_instances: int
    by_status: dict[str, int]
    by_provider: dict[str, int]
    evicted: int
    running_here: int


class MemoryStats(Output):
    stats: MemoryTotals


async def get_memory_stats(app: App, caller: Caller, args: Input) -> MemoryStats:
    """Count the remembered instances of the caller by status and messenger."""
    rows = await instances.listing(app.database, user_id=caller.user_id, id=caller.instance_id, limit=10_000)
    mine = {row.id for row in rows if caller.sees(row)}
    here, known = app.supervisor.owned, app.memory.entries()
    for row in rows:
        # After a restart instances run that nobody has looked at yet.
        if row.id in here and row.id not in known:
            app.memory.load(row)
    entries: dict[UUID, Entry] = {key: entry for key, entry in app.memory.entries().items() if key in mine}
    by_status: dict[str, int] = {}
    by_provider: dict[str, int] = {}
    for entry in entries.values():
        by_status[entry.status] = by_status.get(entry.status, 0) + 1
        by_provider[entry.provider] = by_provider.get(entry.provider, 0) + 1
    return MemoryStats(
        stats=MemoryTotals(
            total_instances=len(entries),
            by_status=by_status,
            by_provider=by_provider,
            evicted=app.memory.evicted,
            running_here=len(mine & here.keys()),
        )
    )


class History(OfInstance):
    limit: int = Field(default=20, ge=1, le=500)


class StatusEntry(Output):
    status: str
    reason: str | None = None
    at: datetime


class StatusHistory(Output):
    history: list[StatusEntry]


async def get_status_history(app: App, caller: Caller, args: History) -> StatusHistory:
    """Return the last states, newest first."""
    row = await instance_of(app.database, caller, args.instance_id)
    rows = await history.statuses(app.database, row.id, limit=args.limit)
    return StatusHistory(history=[StatusEntry(status=entry.status, reason=entry.reason, at=entry.at) for entry in rows])


class QrEntry(Output):
    sequence: int
    issued_at: datetime
    expires_at: datetime
    outcome: str


class QrHistory(Output):
    history: list[QrEntry]


async def get_qr_history(app: App, caller: Caller, args: History) -> QrHistory:
    """Return when QR codes were shown and what became of each, newest first, without the codes."""
    row = await instance_of(app.database, caller, args.instance_id)
    rows = await history.qr_codes(app.database, row.id, limit=args.limit)
    return QrHistory(
        history=[QrEntry(sequence=code.sequence, issued_at=code.issued_at, expires_at=code.expires_at, outcome=code.outcome) for code in rows]
    )


class Traffic(Output):
    start: datetime
    messages_in: int = 0
    messages_out: int = 0


class ActivityStats(Output):
    """By hour for a day, by day for thirty; times in UTC."""

    by_hour: list[Traffic]
    by_day: list[Traffic]
    last_activity: datetime | None = None
    errors: int


async def get_activity_stats(app: App, caller: Caller, args: OfInstance) -> ActivityStats:
    """Count messages by hour and day, and errors."""
    row = await instance_of(app.database, caller, args.instance_id)
    now = datetime.now(UTC)
    newest = await messages.recent(app.database, row.id, before=None, limit=1)
    problems = await history.errors(app.database, row.id, limit=100)
    return ActivityStats(
        by_hour=await _traffic(app, row.id, "hour", now - timedelta(days=1)),
        by_day=await _traffic(app, row.id, "day", now - timedelta(days=30)),
        last_activity=newest[0].sent_at if newest else row.last_activity_at,
        errors=sum(problem.count for problem in problems),
    )


async def _traffic(app: App, instance_id: UUID, step: str, since: datetime) -> list[Traffic]:
    counted: dict[datetime, dict[str, int]] = {}
    for start, outgoing, count in await messages.activity(app.database, instance_id, step=step, since=since):
        counted.setdefault(start, {})["messages_out" if outgoing else "messages_in"] = count
    return [Traffic(start=start.replace(tzinfo=UTC), **counts) for start, counts in counted.items()]


class ErrorEntry(Output):
    code: str
    message: str
    at: datetime
    first_at: datetime
    count: int


class ErrorList(Output):
    errors: list[ErrorEntry]


async def get_errors(app: App, caller: Caller, args: History) -> ErrorList:
    """Return the errors of the instance, the latest first, each kind once with its count."""
    row = await instance_of(app.database, caller, args.instance_id)
    rows = await history.errors(app.database, row.id, limit=args.limit)
    return ErrorList(errors=[ErrorEntry(code=one.code, message=one.message, at=one.at, first_at=one.first_at, count=one.count) for one in rows])


class Cleared(Output):
    cleared: int


async def clear_errors(app: App, caller: Caller, args: OfInstance) -> Cleared:
    """Forget the errors of the instance; returns how many."""
    row = await instance_of(app.database, caller, args.instance_id)
    return Cleared(cleared=await history.clear_errors(app.database, row.id))


class InstanceHealth(Output):
    instance_id: str
    state: str
    connected: bool
    last_event_at: datetime | None = None
    degraded_reason: str | None = None
    agent_trouble: str | None = None
    running_here: bool


async def get_instance_health(app: App, caller: Caller, args: OfInstance) -> InstanceHealth:
    """Return whether the instance works, and why not."""
    row = await instance_of(app.database, caller, args.instance_id)
    newest = await messages.recent(app.database, row.id, before=None, limit=1)
    return InstanceHealth(
        instance_id=str(row.id),
        state=row.status,
        connected=row.status == InstanceState.READY,
        last_event_at=newest[0].sent_at if newest else None,
        degraded_reason=row.status_reason if row.status in {InstanceState.DEGRADED, InstanceState.ERROR} else None,
        agent_trouble=await agent_trouble(app, row),
        running_here=app.supervisor.get(row.id) is not None,
    )


class GetLogs(OfInstance):
    tail: int = Field(default=500, ge=1, le=5000)


STAMP = re.compile(r"time=(\S+)")


class LogLines(Output):
    lines: list[str]


async def get_logs(app: App, caller: Caller, args: GetLogs) -> LogLines:
    """Return the last log lines of the instance, oldest first."""
    row = await instance_of(app.database, caller, args.instance_id)
    return LogLines(lines=await _log_lines(app, row, args.tail))


async def _log_lines(app: App, row: InstanceRow, tail: int) -> list[str]:
    """Return the lines of all servers about the instance, merged by time with those of its container where that is reached from here."""
    with suppress(StoreUnavailable):
        await app.logbook.write(app.database)
    stored = [line for _, line in await instance_logs.newest(app.database, row.id, tail)]
    ours = [*stored, *app.logbook.unwritten(row.id)][-tail:]
    try:
        theirs = await app.supervisor.runtime(row).log_lines(row.id, tail)
    except MessengerError:
        # Docker is away, or another server's.
        return ours
    return [line for _, line in merge(_timed(ours), _timed(theirs), key=itemgetter(0))][-tail:]


def _timed(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line with its time; a line without one, as of a traceback, belongs to the line before."""
    time = ""
    for line in lines:
        found = STAMP.match(line)
        time = found[1] if found else time
        yield time, line


class ProviderStats(Output):
    instances: dict[str, int]
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0


class MultiProviderStats(Output):
    providers: dict[str, ProviderStats]


async def get_provider_stats(app: App, caller: Caller, args: Input) -> MultiProviderStats:
    """Count the caller's instances, messages and errors by messenger."""
    caller.require_all_instances()
    user_id, id = caller.user_id, caller.instance_id
    found: dict[str, dict[str, Any]] = {}
    for provider, status, count in await instances.counts(app.database, user_id=user_id, id=id):
        found.setdefault(provider, {"instances": {}})["instances"][status] = count
    for provider, outgoing, count in await messages.totals(app.database, user_id=user_id, id=id):
        found[provider]["messages_out" if outgoing else "messages_in"] = count
    for provider, count in (await history.error_counts(app.database, user_id=user_id, id=id)).items():
        found[provider]["errors"] = count
    return MultiProviderStats(providers={provider: ProviderStats(**values) for provider, values in found.items()})


class ActiveProviders(Output):
    providers: list[str]
    available: dict[str, list[str]]


async def active_providers(app: App, caller: Caller, args: Input) -> ActiveProviders:
    """Return the messengers with an instance, and all that are available."""
    caller.require_all_instances()
    rows = await instances.counts(app.database, user_id=caller.user_id, id=caller.instance_id)
    return ActiveProviders(
        providers=sorted({provider for provider, _, _ in rows}),
        available={name: sorted((await classes.load(name)).capabilities) for name in sorted(REGISTRY)},
    )
