"""The database's clock set forward and back: what was written to be tried later waits no longer than it was meant to."""

from pathlib import Path
from uuid import UUID

import pytest

from mcp_messenger.operations.sending import SendMessage, send_message
from mcp_messenger.security.caller import ADMIN
from tests.postgres import execute
from tests.running import ready_sandbox, running_app, until_status
from tests.stored import one
from tests.waiting import until

pytestmark = pytest.mark.anyio

# As if all of it had been written while the clock was an hour ahead.
AHEAD = """
    WITH message AS (
        INSERT INTO messages (instance_id, chat_id, outgoing, status, body) VALUES ('{id}', 'ann', true, 'queued', 'hello') RETURNING id
    ), sends AS (
        INSERT INTO outbox (message_id, instance_id, chat_id, draft, not_before)
        SELECT id, '{id}', 'ann', '{{"chat_id": "ann", "text": "hello", "chat_kind": "private"}}', now() + interval '1 hour' FROM message
    ), deliveries AS (
        INSERT INTO deliveries (event_id, instance_id, target, run_at) VALUES (1, '{id}', 'webhook', now() + interval '1 hour')
    ), endpoints AS (
        INSERT INTO delivery_endpoints (instance_id, target, paused_until) VALUES ('{id}', 'webhook', now() + interval '1 hour')
    ), limits AS (
        INSERT INTO rate_limits (key, spent_until, granted) VALUES ('ann', now() + interval '1 hour', 1)
    )
    UPDATE leases SET expires_at = now() + interval '1 hour'"""
LATER = """
    SELECT (SELECT count(*) FROM outbox WHERE not_before > now()) + (SELECT count(*) FROM deliveries WHERE status = 'pending' AND run_at > now())
        + (SELECT count(*) FROM delivery_endpoints WHERE paused_until > now()) + (SELECT count(*) FROM rate_limits WHERE spent_until > now())"""


# As if the clock were set forward after each renewal of the first lease.
FORWARD = (
    """CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.expires_at = now() - interval '1 second'; RETURN NEW; END $$""",
    "CREATE TRIGGER forward BEFORE UPDATE ON leases FOR EACH ROW WHEN (OLD.epoch = 1 AND NEW.epoch = 1) EXECUTE FUNCTION forward()",
)


async def test_a_server_that_takes_its_own_lease_again_goes_on_under_the_new_one(database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        instance_id = await ready_sandbox(app, persona="human")
        execute(database_url, *FORWARD)
        await until(lambda: (owned := app.supervisor.get(UUID(instance_id))) is not None and owned.epoch > 1)
        await until_status(app, instance_id, "ready")
        sent = await send_message(app, ADMIN, SendMessage(instance_id=instance_id, to="ann", message="hello"))
        assert sent.status in {"sent", "delivered", "read"}


@pytest.mark.parametrize("when", ["while the server runs", "before the next one starts"])
async def test_a_clock_that_is_set_back_holds_nothing_up(when: str, database_url: str, tmp_path: Path) -> None:
    async with running_app(database_url, tmp_path) as app:
        id = UUID(await ready_sandbox(app, persona="human"))
        if when == "while the server runs":
            execute(database_url, AHEAD.format(id=id))
            await until(lambda: one(database_url, "SELECT status FROM messages WHERE body = 'hello'") in {"sent", "delivered", "read"})
    if when != "while the server runs":
        execute(database_url, AHEAD.format(id=id))
        async with running_app(database_url, tmp_path):
            await until(lambda: one(database_url, "SELECT status FROM messages WHERE body = 'hello'") in {"sent", "delivered", "read"})
    assert one(database_url, LATER) == 0
