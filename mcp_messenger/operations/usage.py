"""Shows a user how much of the server they use."""

from datetime import UTC, datetime, timedelta

from pydantic import Field

from db import access_keys
from db import usage as store
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Input, Output
from mcp_messenger.operations.quotas import GetQuotas, QuotaView, get_quotas
from mcp_messenger.security.caller import Caller

DAYS = 30


class GetUsage(Input):
    user_id: str | None = Field(default=None, min_length=1, max_length=128, description="whose; for the administrator")


class UsageOfDay(Output):
    day: datetime
    messages_in: int = 0
    messages_out: int = 0


class Usage(Output):
    """`messages` by day of the last 30 days. `keys` are those that are valid. `deliveries_dead`: events that webhooks missed for good."""

    user_id: str
    instances: dict[str, int] = Field(description="how many are in which state")
    messages: list[UsageOfDay]
    deliveries_pending: int
    deliveries_dead: int
    keys: int
    quotas: dict[str, QuotaView]


async def get_usage(app: App, caller: Caller, args: GetUsage) -> Usage:
    """Return what a user has and sends. Raises NotAllowed for a key that is for some instances only."""
    caller.require_all_instances()
    limits = await get_quotas(app, caller, GetQuotas(user_id=args.user_id))
    days: dict[datetime, dict[str, int]] = {}
    for day, outgoing, count in await store.messages_by_day(app.database, limits.user_id, since=datetime.now(UTC) - timedelta(days=DAYS)):
        days.setdefault(day, {})["messages_out" if outgoing else "messages_in"] = count
    deliveries = await store.deliveries(app.database, limits.user_id)
    return Usage(
        user_id=limits.user_id,
        instances=await store.instances_by_state(app.database, limits.user_id),
        messages=[UsageOfDay(day=day.replace(tzinfo=UTC), **counts) for day, counts in days.items()],
        deliveries_pending=deliveries.get("pending", 0),
        deliveries_dead=deliveries.get("dead", 0),
        keys=await access_keys.count(app.database, limits.user_id),
        quotas=limits.quotas,
    )
