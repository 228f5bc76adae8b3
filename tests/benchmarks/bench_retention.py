"""How much longer a send takes while retention removes hundreds of thousands of rows beside it."""

import tempfile
import time
from pathlib import Path

import anyio
from pydantic import SecretStr

from mcp_messenger.app import running
from mcp_messenger.config import Config
from mcp_messenger.operations.application import App
from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.benchmarks.figures import Figure, at_most, interleaved, percentile
from tests.benchmarks.store import fresh_store
from tests.postgres import execute
from tests.running import ready_sandbox

ROUNDS = 4
SENDS = 250
OLD = 400_000
# Of another instance, so that what is read and written by the sends is the same with and without.
FILL = f"""
    INSERT INTO message_instances (id, user_id, provider) VALUES ('00000000-0000-4000-8000-000000000001', 'local', 'sandbox');
    INSERT INTO messages (instance_id, chat_id, platform_id, sender_id, body, status, sent_at, created_at)
    SELECT '00000000-0000-4000-8000-000000000001', (n % 1000)::text, n::text, 'ann', repeat(md5(n::text) || ' ', 5), 'received',
        now() - interval '1 year', now() - interval '1 year' FROM generate_series(1, {OLD}) AS n;
    INSERT INTO events (id, instance_id, type, chat_id, message_id, at)
    SELECT nextval('event_numbers'), instance_id, 'message', chat_id, id, sent_at FROM messages;
    INSERT INTO deliveries (event_id, instance_id, chat_id, target, status, done_at)
    SELECT id, instance_id, chat_id, 'webhook', 'done', at FROM events"""


async def measure() -> list[Figure]:
    async with fresh_store() as store:
        execute(store.url, *FILL.split(";"), "VACUUM ANALYZE")
        execute(
            store.url,
            "INSERT INTO instance_retention (instance_id, kind, seconds) VALUES ('00000000-0000-4000-8000-000000000001', 'messages', 86400)",
        )
        with tempfile.TemporaryDirectory() as folder:
            async with running(Config(data_dir=Path(folder), database_url=SecretStr(store.url))) as app:
                id = await ready_sandbox(app, persona="human")
                await _sends(app, id)
                measured = await interleaved(ROUNDS, {"alone": lambda: _sends(app, id), "trimming": lambda: _beside_trimming(app, id)})
    alone, trimming = (sorted(time for times in measured[name] for time in times) for name in ("alone", "trimming"))
    return [
        Figure(f"retention: a send while it removes rows, p{part}", percentile(trimming, part), "ms", percentile(alone, part), target)
        for part, target in ((50, None), (99, at_most(1.1, "ratio")))
    ]


async def _sends(app: App, instance_id: str) -> list[float]:
    """How long each send took, in milliseconds."""
    times: list[float] = []
    for _ in range(SENDS):
        began = time.perf_counter()
        await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="hello"))
        times.append((time.perf_counter() - began) * 1000)
    return times


async def _beside_trimming(app: App, instance_id: str) -> list[float]:
    times = list[float]()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: app.trimming.trim(every=0))
        times += await _sends(app, instance_id)
        group.cancel_scope.cancel()
    return times
