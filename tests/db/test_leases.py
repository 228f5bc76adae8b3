"""Leases: one holder for each instance, by the database's clock, and an epoch that only grows."""

from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

from db import instances, leases
from db.database import Database
from tests.postgres import execute
from tests.stored import new_instance, one, opened, queued, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

A, B = UUID(int=1), UUID(int=2)
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
EXPIRE = "UPDATE leases SET expires_at = now() - interval '1 second'"


async def acquire(database: Database, owner: UUID) -> dict[UUID, int]:
    return await leases.acquire(database, owner, ["process"])


async def test_each_instance_has_one_holder_however_many_ask(database: Database, database_url: str) -> None:
    ids = {await new_instance(database) for _ in range(20)}
    taken: list[UUID] = []

    async def take(through: Database) -> None:
        taken.extend(await acquire(through, uuid4()))

    async with opened(database_url) as other, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(take, database)
            tasks.start_soon(take, other)
    assert len(taken) == 20
    assert set(taken) == ids


async def test_what_is_held_is_taken_only_when_it_expired_and_with_a_higher_epoch(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    assert await acquire(database, A) == {instance_id: 1}
    assert await acquire(database, B) == {}
    assert await leases.owner_of(database, instance_id) == A
    execute(database_url, EXPIRE)
    assert await leases.owner_of(database, instance_id) is None
    assert await acquire(database, B) == {instance_id: 2}
    assert (await leases.renew(database, {instance_id: 1}))[0] == set()
    assert (await leases.renew(database, {instance_id: 2}))[0] == {instance_id}


async def test_a_lease_from_before_the_clock_was_set_back_is_expired(database: Database, database_url: str) -> None:
    """Its owner died: otherwise nobody would run the instance for an hour."""
    instance_id = await new_instance(database)
    held = await acquire(database, A)
    execute(database_url, "UPDATE leases SET expires_at = expires_at + interval '1 hour'")
    assert await leases.owner_of(database, instance_id) is None
    assert not (await leases.fates(database, [instance_id]))[instance_id].is_owned
    assert await leases.waiting(database, "process", "") == [instance_id]
    assert await acquire(database, B) == {instance_id: 2}
    assert (await leases.renew(database, held))[0] == set()


async def test_an_owner_that_lives_keeps_its_lease_when_the_clock_is_set_back(database: Database, database_url: str) -> None:
    await new_instance(database)
    held = await acquire(database, A)
    execute(database_url, "UPDATE leases SET expires_at = expires_at + interval '1 hour'")
    assert await leases.renew(database, held) == (set(held), True)
    assert await leases.renew(database, held) == (set(held), False)
    assert await acquire(database, B) == {}


async def test_who_renews_in_time_keeps_it_and_late_is_in_time_where_nobody_took_it(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    held = await acquire(database, A)
    execute(database_url, EXPIRE)
    assert (await leases.renew(database, held))[0] == {instance_id}
    assert await acquire(database, B) == {}
    assert 0 < one(database_url, "SELECT extract(epoch FROM expires_at - now())::float8 FROM leases") <= leases.TTL


async def test_what_is_given_up_can_be_taken_at_once_and_others_are_told(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    await acquire(database, A)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN mcp_messenger_instances")
        await leases.release(database, instance_id, 2)
        await leases.release(database, instance_id, 1)
        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == [str(instance_id)]
    assert await acquire(database, B) == {instance_id: 2}


async def test_shares_are_counted_among_those_who_are_there(database: Database, database_url: str) -> None:
    for _ in range(5):
        await new_instance(database)
    await instances.set_desired(database, await new_instance(database), "stopped")
    assert await leases.capacity(database, A, "process") == 5
    assert await leases.capacity(database, A, "docker") == 0
    held = await leases.acquire(database, A, ["process"])
    assert await leases.capacity(database, B, "process") == 3
    assert await leases.capacity(database, A, "process") == -2
    for instance_id in list(held)[:2]:
        await leases.release(database, instance_id, 1)
    assert await leases.acquire(database, A, ["process"], handed_over=list(held)[:2]) == {}
    assert len(await leases.acquire(database, B, ["process"], limit=1)) == 1
    await leases.leave(database, A, owned=())
    # Who left has no lease at all; who died is counted until its own has ended.
    assert await leases.capacity(database, B, "process") == 4
    assert len(await leases.acquire(database, B, ["process"])) == 4
    assert await leases.capacity(database, A, "process") == 3
    execute(database_url, EXPIRE)
    assert await leases.capacity(database, A, "process") == 5


async def test_who_leaves_keeps_what_it_knows_of_until_it_lets_go_of_that(database: Database) -> None:
    known, unknown = await new_instance(database), await new_instance(database)
    assert (await acquire(database, A)).keys() == {known, unknown}
    await leases.leave(database, A, owned=[known])
    assert (await acquire(database, B)).keys() == {unknown}


async def test_only_what_should_run_in_that_way_is_taken(database: Database, database_url: str) -> None:
    stopped, elsewhere, wanted = [await new_instance(database) for _ in range(3)]
    await instances.set_desired(database, stopped, "stopped")
    execute(database_url, f"UPDATE message_instances SET runtime = 'docker' WHERE id = '{elsewhere}'")
    assert await leases.acquire(database, A, ["docker"]) == {elsewhere: 1}
    assert await acquire(database, A) == {wanted: 1}


async def test_what_broke_is_left_alone_until_it_is_changed(database: Database) -> None:
    instance_id = await new_instance(database)
    row = await instances.get(database, instance_id)
    assert row is not None
    assert await leases.acquire(database, A, ["process"], but={instance_id: row.updated_at}) == {}
    await instances.update(database, instance_id, settings={"token": "new"})
    assert await leases.acquire(database, A, ["process"], but={instance_id: row.updated_at}) == {instance_id: 1}


async def test_wishes_and_mail(database: Database, database_url: str) -> None:
    idle, busy, stopped = [await new_instance(database) for _ in range(3)]
    await queued(database, busy)
    await instances.set_desired(database, stopped, "stopped")
    desired_states = await leases.desired_states(database, [idle, busy, stopped, uuid4()])
    assert {id: (wish.desired, wish.has_queued_sends) for id, wish in desired_states.items()} == {
        idle: ("running", False),
        busy: ("running", True),
        stopped: ("stopped", False),
    }
    execute(database_url, "UPDATE outbox SET not_before = now() + interval '1 hour'")
    assert not (await leases.desired_states(database, [busy]))[busy].has_queued_sends


async def test_what_should_be_stopped_and_says_that_it_runs_is_forsaken_when_nobody_holds_it(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    await acquire(database, A)
    execute(database_url, "UPDATE message_instances SET status = 'ready', desired = 'stopped'")
    assert await leases.orphaned_instances(database) == []
    execute(database_url, EXPIRE)
    assert await leases.orphaned_instances(database) == [instance_id]
    execute(database_url, "UPDATE message_instances SET status = 'stopped'")
    assert await leases.orphaned_instances(database) == []


async def test_renewing_locks_in_the_order_of_the_ids(database: Database, database_url: str) -> None:
    """While it waits for the lower one, it does not have the higher one yet, however they are named."""
    low, high = sorted([await new_instance(database), await new_instance(database)])
    await acquire(database, A)
    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT 1 FROM leases WHERE instance_id = %s FOR UPDATE", [low])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leases.renew, database, {high: 1, low: 1})
            await until(lambda: rows(database_url, WAITING))
            with psycopg.connect(database_url) as another:
                another.execute("SELECT 1 FROM leases WHERE instance_id = %s FOR UPDATE NOWAIT", [high])
            somebody.rollback()


async def test_a_renewal_under_way_does_not_bring_back_what_is_given_up(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    held = await acquire(database, A)
    renewed: list[set[UUID]] = []

    async def renew() -> None:
        renewed.append((await leases.renew(database, held))[0])

    async with await psycopg.AsyncConnection.connect(database_url) as releasing, anyio.create_task_group() as tasks:
        await releasing.execute("UPDATE leases SET expires_at = '-infinity'")
        tasks.start_soon(renew)
        await until(lambda: rows(database_url, WAITING))
        await releasing.commit()
    assert renewed == [set()]
    assert await leases.owner_of(database, instance_id) is None
