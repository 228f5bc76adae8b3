"""What waits for a time of the database's clock, when that was set back: written before, it would wait for as long as the clock was ahead."""

from typing import LiteralString

from db.database import Database
from db.leases import HORIZON

# All of it may come too early: who is asked too soon says so again. What is under way is left to whoever has it.
BRING_FORWARD: LiteralString = """
    WITH sends AS (
        UPDATE public.outbox SET not_before = now() WHERE not_before > now()
    ), deliveries AS (
        UPDATE public.deliveries SET run_at = least(run_at, now()),
            lease_until = CASE WHEN lease_until > now() + interval '15 minutes' THEN now() ELSE lease_until END
        WHERE status = 'pending' AND (run_at > now() OR lease_until > now() + interval '15 minutes')
    ), endpoints AS (
        UPDATE public.delivery_endpoints SET paused_until = now() WHERE paused_until > now()
    ), approvals AS (
        UPDATE public.approvals SET claimed_until = now() WHERE status = 'approved' AND claimed_until > now() + interval '15 minutes'
    ), limits AS (
        DELETE FROM public.rate_limits WHERE spent_until > now()
    )
    SELECT pg_notify('mcp_messenger_events', '')"""
# No lease is written that ends so late.
WAS_SET_BACK: LiteralString = "SELECT EXISTS (SELECT FROM public.leases WHERE expires_at > now() + %(horizon)s::interval)"


async def was_set_back(database: Database) -> bool:
    """Return whether the clock was set back while nobody owned anything. Owners see it when they renew their leases."""
    return await database.value(WAS_SET_BACK, {"horizon": HORIZON})


async def bring_forward(database: Database) -> None:
    """Let everything that waits for a later time be tried now."""
    await database.rows(BRING_FORWARD)
