"""How the instance is doing, and what it went through."""

from datetime import UTC, datetime, timedelta

from mcp_messenger.alone import facts, shelf
from mcp_messenger.alone.program import Program
from mcp_messenger.operations import diagnostics as asked
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import Caller
from providers.models import InstanceState


async def get_instance_memory(program: Program, caller: Caller, args: OfInstance) -> asked.MemoryAnswer:
    state = program.runner.present
    return asked.MemoryAnswer(
        data=asked.MemoryData(
            status=state.state,
            provider=program.cls.name,
            qr="current" if state.qr is not None and state.qr.expires_at > datetime.now(UTC) else None,
            last_activity=await program.file.read(facts.last_activity),
            counters=await program.file.read(shelf.counters),
            loaded_at=program.started_at,
        )
    )


async def get_status_history(program: Program, caller: Caller, args: asked.History) -> asked.StatusHistory:
    rows = await program.file.read(lambda db: shelf.history(db, "states", args.limit))
    return asked.StatusHistory(history=[asked.StatusEntry.model_validate(row) for row in rows])


async def get_qr_history(program: Program, caller: Caller, args: asked.History) -> asked.QrHistory:
    rows = await program.file.read(lambda db: shelf.history(db, "qr_codes", args.limit))
    return asked.QrHistory(history=[asked.QrEntry.model_validate(row) for row in rows])


async def get_errors(program: Program, caller: Caller, args: asked.History) -> asked.ErrorList:
    rows = await program.file.read(lambda db: shelf.history(db, "errors", args.limit))
    return asked.ErrorList(errors=[asked.ErrorEntry.model_validate(row) for row in rows])


async def clear_errors(program: Program, caller: Caller, args: OfInstance) -> asked.Cleared:
    return asked.Cleared(cleared=await program.file.write(lambda db: db.execute("DELETE FROM errors").rowcount))


async def get_activity_stats(program: Program, caller: Caller, args: OfInstance) -> asked.ActivityStats:
    now = datetime.now(UTC)
    errors = await program.file.read(lambda db: shelf.history(db, "errors", 100))
    return asked.ActivityStats(
        by_hour=await _traffic(program, shelf.HOUR, now - timedelta(days=1)),
        by_day=await _traffic(program, shelf.DAY, now - timedelta(days=30)),
        last_activity=await program.file.read(facts.last_activity),
        errors=sum(error["count"] for error in errors),
    )


async def _traffic(program: Program, step: int, since: datetime) -> list[asked.Traffic]:
    counted: dict[datetime, dict[str, int]] = {}
    for start, outgoing, count in await program.file.read(lambda db: shelf.traffic(db, step, since)):
        counted.setdefault(start, {})["messages_out" if outgoing else "messages_in"] = count
    return [asked.Traffic(start=start, **counts) for start, counts in counted.items()]


async def get_instance_health(program: Program, caller: Caller, args: OfInstance) -> asked.InstanceHealth:
    """Answered without the spool too: what ails it is what the state tells."""
    state = program.runner.present
    return asked.InstanceHealth(
        instance_id=str(program.instance_id),
        state=state.state,
        connected=state.state == InstanceState.READY,
        last_event_at=None if program.file.trouble else await program.file.read(facts.last_activity),
        degraded_reason=state.reason if state.state in {InstanceState.DEGRADED, InstanceState.ERROR} else None,
        running_here=program.runner.is_running,
    )


async def get_logs(program: Program, caller: Caller, args: asked.GetLogs) -> asked.LogLines:
    return asked.LogLines(lines=program.logbook.tail(str(program.instance_id), args.tail))
