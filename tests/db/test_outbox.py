"""The rows of what is on its way out: each key once, each chat in order, each message claimed by its owner alone."""

from uuid import UUID, uuid4

import anyio
import pytest

from db import leases, outbox
from db.database import Database
from tests.postgres import execute
from tests.stored import NOON, held_instance, new_instance, one, opened, queued, rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

Holding = tuple[UUID, int]


@pytest.fixture
async def holding(database: Database) -> Holding:
    """An instance of which we hold the lease, and the epoch."""
    return await held_instance(database, uuid4())


def status(url: str, message_id: int) -> str:
    return one(url, "SELECT status FROM messages WHERE id = %s", message_id)


async def claimed(database: Database, holding: Holding) -> list[int]:
    instance_id, epoch = holding
    in_flight = [row[0] for row in await database.rows("SELECT message_id FROM outbox WHERE claimed_epoch IS NOT NULL")]
    return [row.message_id for row in await outbox.claim(database, instance_id, epoch=epoch, in_flight=in_flight)]


async def requeue(database: Database, message_id: int, holding: Holding, delay: float = 0) -> None:
    await outbox.requeue(database, message_id, epoch=holding[1], delay=delay, tried=True, error={"code": "paced", "message": "Waits."})


async def test_one_key_is_one_message_also_from_many_tasks_of_two_processes(database: Database, database_url: str) -> None:
    instance_id = await new_instance(database)
    found: set[int] = set()

    async def ask(through: Database) -> None:
        found.add(await queued(through, instance_id, key="k1"))

    async with opened(database_url) as other, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask, database)
            tasks.start_soon(ask, other)
    assert len(found) == 1
    assert one(database_url, "SELECT count(*) FROM messages") == one(database_url, "SELECT count(*) FROM outbox") == 1
    assert await queued(database, instance_id, key="k2") not in found
    assert await queued(database, await new_instance(database), key="k1") not in found


async def test_what_was_asked_before_under_a_key_tells_what_it_said(database: Database) -> None:
    instance_id = await new_instance(database)
    message_id = await queued(database, instance_id, "first", key="k")
    assert await outbox.known(database, instance_id, "k") == outbox.Queued(message_id, "first", is_new=False)
    assert await outbox.known(database, instance_id, "other") is None


async def test_each_chat_in_order_and_one_at_a_time(database: Database, database_url: str, holding: Holding) -> None:
    instance_id = holding[0]
    ann = [await queued(database, instance_id, str(number)) for number in range(3)]
    bob = [await queued(database, instance_id, str(number), chat_id="bob") for number in range(2)]
    assert await claimed(database, holding) == [ann[0], bob[0]]
    assert await claimed(database, holding) == []
    assert [status(database_url, id) for id in (ann[0], ann[1])] == ["sending", "queued"]
    await outbox.sent(database, instance_id, bob[0], platform_id="b0", sent_at=NOON, content={})
    assert await claimed(database, holding) == [bob[1]]
    await outbox.ended(database, ann[0], "failed", {"code": "forbidden", "message": "No."})
    assert await claimed(database, holding) == [ann[1]]


async def test_what_is_in_flight_keeps_a_lower_number_that_came_later_waiting(database: Database, database_url: str, holding: Holding) -> None:
    """Two callers' numbers are given in one order and committed in the other."""
    await queued(database, holding[0], "takes number 1")
    late = await queued(database, holding[0], "number 2")
    execute(database_url, "UPDATE outbox SET not_before = now() + interval '1 hour' WHERE message_id = 1")
    execute(database_url, f"UPDATE outbox SET message_id = 1000 WHERE message_id = {late}")
    execute(database_url, "UPDATE outbox SET chat_id = 'elsewhere' WHERE message_id = 1")
    assert await claimed(database, holding) == [1000]
    execute(database_url, "UPDATE outbox SET chat_id = 'ann', not_before = now() WHERE message_id = 1")
    assert await claimed(database, holding) == []


async def test_a_message_that_waits_keeps_those_behind_it_waiting(database: Database, database_url: str, holding: Holding) -> None:
    first = await queued(database, holding[0])
    await queued(database, holding[0])
    assert await claimed(database, holding) == [first]
    await requeue(database, first, holding, delay=0.3)
    assert one(database_url, "SELECT error->>'code' FROM messages WHERE id = %s", first) == "paced"
    assert await claimed(database, holding) == []
    wait = await outbox.next_due(database, holding[0])
    assert wait is not None
    assert 0 < wait <= 0.3
    assert await until(lambda: claimed(database, holding)) == [first]
    assert await outbox.next_due(database, holding[0]) is None


async def test_a_claim_whose_answer_was_lost_is_given_again_and_what_is_under_way_is_not(database: Database, holding: Holding) -> None:
    instance_id, epoch = holding
    first = await queued(database, instance_id)
    await queued(database, instance_id, "next")
    assert await claimed(database, holding) == [first]
    again = await outbox.claim(database, instance_id, epoch=epoch, in_flight=[])
    assert [row.message_id for row in again] == [first]
    assert await outbox.claim(database, instance_id, epoch=epoch, in_flight=[first]) == []
    # Whoever has put it back does not know yet that this was written.
    await requeue(database, first, holding)
    assert await outbox.claim(database, instance_id, epoch=epoch, in_flight=[first]) == []
    assert await claimed(database, holding) == [first]


async def test_only_tries_count(database: Database, holding: Holding) -> None:
    instance_id, epoch = holding
    message_id = await queued(database, instance_id)
    seen: list[int] = []
    for tried in (True, False, True, True):
        row = (await outbox.claim(database, instance_id, epoch=epoch, in_flight=()))[0]
        seen.append(row.attempts)
        await outbox.requeue(database, message_id, epoch=epoch, delay=0, tried=tried, error={})
    assert seen == [0, 1, 1, 2]


async def test_who_does_not_hold_the_lease_claims_nothing(database: Database, database_url: str, holding: Holding) -> None:
    instance_id, epoch = holding
    await queued(database, instance_id)
    assert await outbox.claim(database, instance_id, epoch=epoch + 1, in_flight=()) == []
    execute(database_url, "UPDATE leases SET expires_at = '-infinity'")
    epoch_now = (await leases.acquire(database, uuid4(), ["process"]))[instance_id]
    assert await outbox.claim(database, instance_id, epoch=epoch, in_flight=()) == []
    assert len(await outbox.claim(database, instance_id, epoch=epoch_now, in_flight=())) == 1


async def test_what_an_owner_left_in_flight_is_found_by_the_next(database: Database, holding: Holding) -> None:
    instance_id, epoch = holding
    message_id = await queued(database, instance_id)
    assert await claimed(database, holding) == [message_id]
    assert await outbox.orphaned(database, instance_id, epoch=epoch) == []
    assert await outbox.orphaned(database, instance_id, epoch=epoch + 1) == [message_id]


async def test_the_old_owner_may_still_say_what_it_knows_for_sure(database: Database, database_url: str, holding: Holding) -> None:
    instance_id = holding[0]
    first, second, third = [await queued(database, instance_id, chat_id=chat) for chat in ("ann", "bob", "carol")]
    await claimed(database, holding)
    for message_id in (first, second, third):
        await outbox.ended(database, message_id, "unknown", {"code": "interrupted", "message": "It may have arrived."})
    assert await outbox.sent(database, instance_id, first, platform_id="p1", sent_at=NOON, content={}) is not None
    assert await outbox.ended(database, second, "failed", {"code": "forbidden", "message": "No."}) is not None
    assert await outbox.ended(database, third, "unknown", {}) is None
    await requeue(database, third, holding)
    assert [status(database_url, id) for id in (first, second, third)] == ["sent", "failed", "unknown"]
    assert one(database_url, "SELECT error FROM messages WHERE id = %s", first) is None
    assert await claimed(database, holding) == []


async def test_what_is_settled_stays_settled(database: Database, database_url: str, holding: Holding) -> None:
    message_id = await queued(database, holding[0])
    assert await outbox.sent(database, holding[0], message_id, platform_id="p1", sent_at=NOON, content={}) is not None
    assert await outbox.sent(database, holding[0], message_id, platform_id="p1", sent_at=NOON, content={}) is None
    assert await outbox.ended(database, message_id, "failed", {}) is None
    assert status(database_url, message_id) == "sent"
    assert rows(database_url, "SELECT type FROM events") == [("message",)]


@pytest.mark.parametrize("is_echo_first", [False, True])
async def test_a_message_that_lies_in_another_chat_is_sent_when_both_ids_of_the_chat_are_known(
    database: Database, database_url: str, holding: Holding, is_echo_first: bool
) -> None:
    """In one commit: whoever hears that it went out may ask for the chat by the id that was written to."""
    instance_id = holding[0]
    message_id = await queued(database, instance_id, chat_id="by number")
    if is_echo_first:
        columns = "instance_id, chat_id, platform_id, outgoing, status"
        execute(database_url, f"INSERT INTO messages ({columns}) VALUES ('{instance_id}', 'her own', 'p1', true, 'delivered')")
    settled = await outbox.sent(database, instance_id, message_id, platform_id="p1", sent_at=NOON, content={}, chat_id="her own")
    assert settled is not None
    assert settled.chat_id == "her own"
    assert rows(database_url, "SELECT id, chat_id, status FROM messages") == [(message_id, "her own", "delivered" if is_echo_first else "sent")]
    together = "SELECT alias, a.chat_id FROM chat_aliases a JOIN messages m ON m.xmin::text = a.xmin::text"
    assert rows(database_url, together) == [("by number", "her own")]


async def test_a_refused_message_makes_no_chat_and_a_sent_one_does(database: Database, database_url: str, holding: Holding) -> None:
    refused, sent = await queued(database, holding[0], chat_id="nobody"), await queued(database, holding[0])
    await outbox.ended(database, refused, "failed", {"code": "not_found", "message": "No such chat."})
    await outbox.sent(database, holding[0], sent, platform_id="p1", sent_at=NOON, content={})
    assert rows(database_url, "SELECT id, last_message_id FROM chats") == [("ann", sent)]


async def test_an_answer_that_was_faster_than_the_settling_stays_the_chat_s_last_message(
    database: Database, database_url: str, holding: Holding
) -> None:
    message_id = await queued(database, holding[0])
    execute(
        database_url, f"INSERT INTO chats (instance_id, id, last_message_id, last_at) VALUES ('{holding[0]}', 'ann', 77, '2026-05-04 12:00:01+00')"
    )
    await outbox.sent(database, holding[0], message_id, platform_id="p1", sent_at=NOON, content={})
    assert one(database_url, "SELECT last_message_id FROM chats") == 77
