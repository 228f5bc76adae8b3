"""What is known of instances without asking the store: kept while it is used, counted from the event log, and let go of."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db.events import EventRow
from db.instances import InstanceRow
from mcp_messenger.instances.memory import IDLE_SECONDS, Memory
from mcp_messenger.operations import diagnostics, lifecycle, removal, sending
from mcp_messenger.operations.operation import Input, OfInstance
from mcp_messenger.security.caller import ADMIN
from tests.running import ready_sandbox, running_app
from tests.stored import NOON
from tests.waiting import until


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def row(status: str = "ready", provider: str = "sandbox") -> InstanceRow:
    return InstanceRow(
        id=uuid4(),
        user_id="local",
        name="",
        provider=provider,
        type_instance=["api"],
        runtime="process",
        desired="running",
        status=status,
        status_reason=None,
        needs="nothing",
        account=None,
        settings={},
        agent_id=None,
        agent_routes=[],
        agno_enable=False,
        stream=False,
        quiet_hours=None,
        api_webhook_schema=None,
        last_activity_at=NOON,
        created_at=NOON,
        updated_at=NOON,
    )


def event(instance_id: UUID, type: str, **data: object) -> EventRow:
    return EventRow(1, instance_id, type, None, None, data, datetime(2027, 1, 1, tzinfo=UTC))


def test_an_instance_is_loaded_once_and_follows_its_row(clock: Clock) -> None:
    memory, one = Memory(clock), row()
    entry = memory.load(one)
    assert (entry.status, entry.provider, entry.last_activity, dict(entry.counters)) == ("ready", "sandbox", NOON, {})
    assert memory.load(one) is entry
    assert set(memory.entries()) == {one.id}


def test_events_are_counted_and_bring_the_state(clock: Clock) -> None:
    memory, one = Memory(clock), row()
    memory.instance_changed(one.id, [event(one.id, "message")])
    assert memory.entries() == {}
    entry = memory.load(one)
    memory.instance_changed(one.id, [event(one.id, "message"), event(one.id, "receipt"), event(one.id, "state", status="degraded")])
    memory.instance_changed(one.id, [event(one.id, "message")])
    assert dict(entry.counters) == {"message": 2, "receipt": 1, "state": 1}
    assert (entry.status, entry.last_activity) == ("degraded", datetime(2027, 1, 1, tzinfo=UTC))


def test_what_is_idle_goes_and_what_is_used_stays(clock: Clock) -> None:
    memory, idle, looked_at, busy = Memory(clock), row(), row(), row()
    for one in (idle, looked_at, busy):
        memory.load(one)
    clock.now += IDLE_SECONDS - 1
    assert memory.evict() == 0
    memory.load(looked_at)
    memory.instance_changed(busy.id, [event(busy.id, "message")])
    clock.now += 2
    assert memory.evict() == 1
    assert set(memory.entries()) == {looked_at.id, busy.id}
    assert memory.evicted == 1
    memory.forget(busy.id)
    memory.forget(busy.id)
    assert set(memory.entries()) == {looked_at.id}


@pytest.mark.anyio
async def test_the_application_s_memory_is_fed_by_the_log(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
        sent = await sending.send_message(app, ADMIN, sending.SendMessage(instance_id=instance_id, to="ann", message="hello"))
        assert sent.status in {"sent", "delivered", "read"}
        of = OfInstance(instance_id=instance_id)
        await until(lambda: app.memory.entries()[UUID(instance_id)].counters["message"] == 2)
        known = (await diagnostics.get_instance_memory(app, ADMIN, of)).data
        assert (known.status, known.provider, known.counters["receipt"]) == ("ready", "sandbox", 2)
        assert known.last_activity is not None
        app.memory.forget(UUID(instance_id))
        assert (await diagnostics.get_instance_memory(app, ADMIN, of)).data.last_activity == known.last_activity
        await lifecycle.stop_instance(app, ADMIN, of)
        await until(lambda: app.memory.entries()[UUID(instance_id)].status == "stopped")
        stats = (await diagnostics.get_memory_stats(app, ADMIN, diagnostics.Input())).stats
        assert (stats.total_instances, stats.by_status, stats.running_here) == (1, {"stopped": 1}, 0)
        await removal.delete_instance(app, ADMIN, removal.DeleteInstance(instance_id=instance_id))
        assert app.memory.entries() == {}


@pytest.mark.anyio
async def test_the_totals_count_what_runs_after_a_restart(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app)
    async with running_app(database_url, tmp_path) as app:
        await until(lambda: app.supervisor.get(UUID(instance_id)))
        totals = (await diagnostics.get_memory_stats(app, ADMIN, Input())).stats
        assert (totals.total_instances, totals.by_provider, totals.running_here) == (1, {"sandbox": 1}, 1)
