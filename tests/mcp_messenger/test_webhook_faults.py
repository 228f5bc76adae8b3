"""A process that is killed while it posts events: another posts them again, with the same ids."""

import signal
import sys
from collections import Counter
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from mcp_messenger.delivery.feed import Feed
from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.workers import Workers
from providers.models import Chat, ChatKind
from tests.peer import peer
from tests.postgres import execute
from tests.receiver import Answer, receiver
from tests.stored import one, opened, received
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]

TAKE_OVER = (
    "UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL",
    "UPDATE leases SET expires_at = now() - interval '1 second'",
)
"""What time would do after a kill."""
LEASED = "SELECT count(*) FROM deliveries WHERE status = 'pending' AND lease_until > now()"
CHATS = 12


async def messages_come_in(database_url: str, instance_id: str) -> None:
    """One in each chat, written by a process that posts nothing itself."""
    async with opened(database_url) as database, anyio.create_task_group() as tasks:
        inbound = Inbound(database, Feed(database), Metrics(), Workers())
        tasks.start_soon(inbound.run)
        events = [received(f"m{chat}", str(chat), chat=Chat(id=f"person {chat}", kind=ChatKind.PRIVATE)) for chat in range(CHATS)]
        await inbound.deliver(Source(UUID(instance_id), None), events)
        tasks.cancel_scope.cancel()


async def test_a_kill_in_the_middle_of_posts(database_url: str, tmp_path: Path) -> None:
    async with receiver() as other:
        other.usual = Answer(until=anyio.Event())
        async with peer(database_url, tmp_path) as doomed:
            made = await doomed.call("create_instance", provider="sandbox", credentials={"auto_scan": True, "page": False})
            instance_id = made["instance_id"]
            await doomed.until_ready(instance_id)
            secret = (await doomed.call("set_webhook", instance_id=instance_id, enabled=True, url=other.url, events=["message"]))["secret"]
            await messages_come_in(database_url, instance_id)
            await until(lambda: len(other.posted) == CHATS)
            doomed.signal(signal.SIGKILL)
            await doomed.ended()
        assert one(database_url, LEASED) == CHATS
        other.usual = Answer()
        execute(database_url, *TAKE_OVER)
        async with peer(database_url, tmp_path) as successor:
            await successor.until_ready(instance_id)
            await until(lambda: one(database_url, "SELECT count(*) FROM deliveries WHERE status = 'done'") == CHATS)
        for posted in other.posted:
            posted.verify(secret)
        # At least once, and told apart by the id.
        ids = Counter(posted.id for posted in other.posted)
        assert (len(ids), set(ids.values())) == (CHATS, {2})
        assert sorted(other.texts) == sorted(str(chat) for chat in range(CHATS) for _ in range(2))
