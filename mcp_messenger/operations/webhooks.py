"""Sets where events are posted to, and shows the outcome of each delivery."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from db import deliveries, instances
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.delivery.webhook_target import OVERLAP, PREFIX, Endpoint, endpoint_of
from mcp_messenger.delivery.webhooks import TARGET
from mcp_messenger.errors import Conflict, NoSuchDelivery, NotAllowed
from mcp_messenger.instances import webhook_secrets
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Cursor, Limit, OfInstance, Output
from mcp_messenger.operations.views import shown_webhook
from mcp_messenger.operations.waiting import parse_cursor, require_not_ahead
from mcp_messenger.security.caller import Caller, instance_of

NEWEST = 2**63 - 1


class WebhookAnswer(Output):
    """`headers` are the names of the custom ones. `secret` is there once: in the answer to the call for which it was made."""

    enabled: bool = False
    url: str | None = None
    events: list[str] | None = None
    filters: dict[str, Any] = {}
    headers: list[str] = []
    secret: str | None = Field(default=None, repr=False)


async def get_webhook(app: App, caller: Caller, args: OfInstance) -> WebhookAnswer:
    """Return where the instance's events are posted to, without secrets."""
    row = await instance_of(app.database, caller, args.instance_id)
    names = await webhook_secrets.header_names(app.database, app.vault(), row.id)
    return WebhookAnswer.model_validate({**(shown_webhook(row.api_webhook_schema) or {}), "headers": names})


class SetWebhook(WebhookConfig, OfInstance):
    enabled: bool  # pyright: ignore[reportGeneralTypeIssues] - who sets it says so; who creates an instance need not


async def set_webhook(app: App, caller: Caller, args: SetWebhook) -> WebhookAnswer:
    """Set where the instance's events are posted to; a new secret is shown once. Raises NotAllowed for an instance's key that moves it."""
    row = await instance_of(app.database, caller, args.instance_id)
    given = WebhookConfig.model_validate(args.model_dump(exclude={"instance_id"}))
    config = await webhook_secrets.as_meant(app.database, app.vault(), row, given)
    if caller.is_agent and not caller.is_local and await webhook_secrets.needs_owner(app.database, app.vault(), row, config):
        raise NotAllowed(
            "An agent's key cannot move the webhook to another host, nor set its secret or headers.",
            hint="Use the token of the instance's user or of the administrator; events, filters and enabled may be changed with the key.",
        )
    # The secret first: nothing is ever posted without a signature.
    made = await webhook_secrets.keep(app.database, app.vault(), row, config)
    updated = await instances.update(app.database, row.id, api_webhook_schema=config.public())
    app.supervisor.refresh(updated or row)
    await deliveries.resume(app.database, row.id, TARGET)
    answer = await get_webhook(app, caller, OfInstance(instance_id=args.instance_id))
    return answer.model_copy(update={"secret": made})


class NewSecret(Output):
    """Until `former_valid_until` what is posted is signed with both."""

    secret: str = Field(repr=False)
    former_valid_until: datetime | None = None


async def rotate_webhook_secret(app: App, caller: Caller, args: OfInstance) -> NewSecret:
    """Replace the signing secret; for a day events are signed with both."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    made = await webhook_secrets.rotate(app.database, app.vault(), row.id)
    return NewSecret(secret=made, former_valid_until=datetime.now(UTC) + OVERLAP)


class WebhookTest(Output):
    """`status` is the receiver's; none: it did not answer, and `error` says why."""

    delivered: bool
    status: int | None = None
    error: str | None = None
    milliseconds: float


async def test_webhook(app: App, caller: Caller, args: OfInstance) -> WebhookTest:
    """Post a test event now. Raises Conflict where no webhook is enabled."""
    outcome, milliseconds = await app.webhooks.test(await endpoint(app, caller, args))
    return WebhookTest(delivered=outcome.error is None, status=outcome.status, error=outcome.error, milliseconds=round(milliseconds, 1))


async def endpoint(app: App, caller: Caller, args: OfInstance) -> Endpoint:
    """The instance's webhook. Raises Conflict when there is none that is enabled."""
    row = await instance_of(app.database, caller, args.instance_id)
    found = (await deliveries.endpoints(app.database, [row.id], prefix=PREFIX)).get(row.id)
    set_up = found and endpoint_of(found, app.vault())
    if set_up is None:
        raise Conflict("This instance has no webhook that is enabled.", hint=f"PUT /api/v1/instances/{row.id}/webhook sets one.")
    return set_up


class ListDeliveries(OfInstance):
    status: Literal["pending", "done", "dead"] | None = Field(default=None, description="dead: given up")
    limit: Limit = 20
    cursor: Cursor = None


class Delivery(Output):
    id: str
    event: str
    type: str | None = None
    target: str
    chat_id: str | None = None
    status: str
    attempts: int
    next_attempt_at: datetime | None = None
    error: str | None = None
    created_at: datetime
    done_at: datetime | None = None


class DeliveryList(Output):
    deliveries: list[Delivery]
    next_cursor: str | None = None


async def list_deliveries(app: App, caller: Caller, args: ListDeliveries) -> DeliveryList:
    """Return a page of deliveries, newest first."""
    row = await instance_of(app.database, caller, args.instance_id)
    before = NEWEST if args.cursor is None else parse_cursor(args.cursor)
    rows = await deliveries.listing(app.database, row.id, status=args.status, before=before, limit=args.limit + 1)
    page = rows[: args.limit]
    return DeliveryList(
        deliveries=[
            Delivery(
                id=str(one.id),
                event=str(one.event_id),
                type=one.type,
                target=one.target,
                chat_id=one.chat_id,
                status=one.status,
                attempts=one.attempts,
                next_attempt_at=one.run_at if one.status == "pending" else None,
                error=one.last_error,
                created_at=one.created_at,
                done_at=one.done_at,
            )
            for one in page
        ],
        next_cursor=str(page[-1].id) if len(rows) > args.limit else None,
    )


class OfDelivery(OfInstance):
    delivery_id: str = Field(max_length=20, description="from list_deliveries")


class Retried(Output):
    retried: int


async def retry_delivery(app: App, caller: Caller, args: OfDelivery) -> Retried:
    """Deliver again at once. Raises NoSuchDelivery."""
    row = await instance_of(app.database, caller, args.instance_id)
    number = int(args.delivery_id) if args.delivery_id.isascii() and args.delivery_id.isdecimal() else 0
    if not 0 < number < NEWEST or not await deliveries.retry(app.database, row.id, number):
        raise NoSuchDelivery(args.delivery_id)
    return await _resumed(app, row.id, 1)


async def retry_dead_deliveries(app: App, caller: Caller, args: OfInstance) -> Retried:
    """Deliver again all that were given up."""
    row = await instance_of(app.database, caller, args.instance_id)
    return await _resumed(app, row.id, await deliveries.retry_dead(app.database, row.id))


async def _resumed(app: App, instance_id: UUID, count: int) -> Retried:
    await deliveries.resume(app.database, instance_id, TARGET)
    app.webhooks.wake()
    return Retried(retried=count)


class ReplayEvents(OfInstance):
    after: str = Field(max_length=20, description="cursor of the last event that need not come again; 0: from the beginning")
    limit: int = Field(default=1000, ge=1, le=10_000)


class Replayed(Output):
    """`next_cursor` goes on where this stopped; none: that was all."""

    events: int
    next_cursor: str | None = None


async def replay_events(app: App, caller: Caller, args: ReplayEvents) -> Replayed:
    """Deliver the events after a cursor again. Raises Conflict where no webhook is enabled, InvalidInput for a wrong cursor, CursorAhead."""
    webhook = await endpoint(app, caller, args)
    cursor = parse_cursor(args.after)
    await require_not_ahead(app, cursor)
    events = await deliveries.replay(app.database, webhook.instance_id, TARGET, after=cursor, limit=args.limit)
    app.webhooks.wake()
    return Replayed(events=len(events), next_cursor=str(events[-1]) if len(events) == args.limit else None)
