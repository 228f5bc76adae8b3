"""A process that writes events in many ways at once: its arguments are the URL of the database, an instance that nobody holds, and how many."""

import sys
from uuid import UUID

import anyio

from db import changes, inbound, outbox
from db.database import Database
from tests.stored import NOON, opened

WRITERS = 6


async def write(database: Database, instance_id: UUID, writer: str, count: int) -> None:
    """Three events for each number: a message in, a change of state, a message out."""
    for number in range(count):
        await inbound.append_messages(database, [message(instance_id, f"{writer}-{number}-{part}", part) for part in range(2)])
        state = {"status": "degraded", "reason": f"{writer} {number}", "needs": "nothing", "account": None, "qr_outcome": "dropped"}
        qr = dict.fromkeys(("qr_sequence", "qr_issued_at", "qr_expires_at", "qr_sealed"))
        await changes.change(database, changes.STATE, {"instance_id": instance_id, "epoch": None, "type": "state", **state, **qr})
        queued = await outbox.queue(
            database,
            instance_id=instance_id,
            chat_id=writer,
            kind="text",
            body="out",
            reply_to=None,
            content={},
            idempotency_key=None,
            draft={},
            upload=None,
        )
        await outbox.sent(database, instance_id, queued.id, platform_id=f"{writer}-out-{number}", sent_at=NOON, content={})


def message(instance_id: UUID, platform_id: str, position: int) -> dict[str, object]:
    names = ("sender_id", "reply_to", "thread_id", "raw", "chat_username", "chat_phone", "contact_name", "contact_username", "contact_phone")
    texts = {"chat_id": "ann", "sender_name": "", "kind": "text", "body": "in", "chat_kind": "private", "chat_title": "Ann"}
    flags = {"outgoing": False, "backfill": False, "contact_is_bot": False}
    of_row = {"instance_id": str(instance_id), "epoch": None, "platform_id": platform_id, "position": position}
    return {**dict.fromkeys(names), **texts, **flags, **of_row, "sent_at": NOON.isoformat(), "content": {}}


async def write_all(url: str, instance_id: UUID, name: str, count: int) -> None:
    async with opened(url, connections=WRITERS) as database, anyio.create_task_group() as tasks:
        for writer in range(WRITERS):
            tasks.start_soon(write, database, instance_id, f"{name}{writer}", count)


if __name__ == "__main__":
    anyio.run(write_all, sys.argv[1], UUID(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
