"""Ports of instances' own addresses: one each, until the instance goes."""

from uuid import UUID

import pytest

from db import addresses, instances, leases
from db.database import Database
from tests.postgres import execute
from tests.stored import new_instance, opened

pytestmark = pytest.mark.anyio

A, B = UUID(int=1), UUID(int=2)


async def of(database: Database, instance_id: UUID) -> addresses.AddressRow | None:
    return (await addresses.of_instances(database, [instance_id])).get(instance_id)


async def test_a_port_is_one_instances_and_an_instance_has_one(database: Database, database_url: str) -> None:
    first, second = await new_instance(database), await new_instance(database)
    assert await addresses.claim(database, first, 4000, former=None)
    async with opened(database_url) as other:
        assert not await addresses.claim(other, second, 4000, former=None), "it is another's"
        assert not await addresses.claim(other, first, 4001, former=None), "it has one"
        assert await addresses.claim(other, second, 4001, former=None)
    assert await addresses.claim(database, first, 4002, former=4000)
    assert await addresses.used_ports(database) == [4001, 4002]


async def test_trouble_is_kept_until_there_is_a_port(database: Database) -> None:
    instance_id = await new_instance(database)
    await addresses.set_trouble(database, instance_id, "No port is free.")
    assert await of(database, instance_id) == addresses.AddressRow(instance_id, None, "No port is free.")
    assert await addresses.claim(database, instance_id, 4000, former=None)
    assert await of(database, instance_id) == addresses.AddressRow(instance_id, 4000, None)


async def test_an_instance_that_goes_frees_its_port(database: Database, database_url: str) -> None:
    first, second = await new_instance(database), await new_instance(database)
    for instance_id, port in ((first, 4000), (second, 4001)):
        assert await addresses.claim(database, instance_id, port, former=None)
    await instances.delete(database, first, purge=False)
    # As an older process does it, which knows of no addresses.
    execute(database_url, f"DELETE FROM message_instances WHERE id = '{second}'")
    assert await addresses.used_ports(database) == []
    await addresses.free_orphans(database)
    third = await new_instance(database)
    assert await addresses.claim(database, third, 4001, former=None)
    assert not await addresses.claim(database, first, 4002, former=None), "it is gone"


async def test_a_server_listens_for_all_but_what_another_server_runs(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)

    async def seen_by(owner: UUID) -> list[bool]:
        return [one.is_owned for one in await addresses.not_elsewhere(database, owner)]

    assert (await seen_by(A), await seen_by(B)) == ([False], [False])
    await leases.acquire(database, A, ["process"])
    assert (await seen_by(A), await seen_by(B)) == ([True], [False]), "a process without a lease of itself serves nobody"
    assert not await addresses.has_other_servers(database, B)
    await leases.capacity(database, A, "process")
    assert (await seen_by(A), await seen_by(B)) == ([True], [])
    assert await addresses.has_other_servers(database, B)
    assert not await addresses.has_other_servers(database, A)
    execute(database_url, "UPDATE leases SET expires_at = now() - interval '1 second'")
    assert (await seen_by(A), await seen_by(B)) == ([False], [False]), str(instance_id)
