"""Sets where events are posted to, and shows the outcome of each delivery."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from db import deliveries, instances, secrets
from db import webhooks as store
from db.instances import InstanceRow
from db.webhooks import FIRST, NUMBERS, TARGET, target_of
from mcp_messenger.delivery.webhook_config import WebhookConfig
from mcp_messenger.delivery.webhook_target import OVERLAP, PREFIX, Endpoint, endpoint_of, secret_fields
from mcp_messenger.errors import Conflict, NoSuchDelivery, NoSuchWebhook
from mcp_messenger.instances import webhook_secrets
from mcp_messenger.operations.application import App
from mcp_messenger.operations.instance_settings import require_owner_for_webhook, require_reachable, require_webhook_owner
from mcp_messenger.operations.operation import Cursor, Limit, Nothing, OfInstance, Output
from mcp_messenger.operations.views import shown_webhook
from mcp_messenger.operations.waiting import parse_cursor, require_not_ahead
from mcp_messenger.security import credentials
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
    """Return where the instance's events are posted to, without secrets: webhook 1."""
    row = await instance_of(app.database, caller, args.instance_id)
    names = webhook_secrets.header_names(await credentials.revealed(app.database, app.vault(), row.id))
    return WebhookAnswer.model_validate({**(shown_webhook(row.api_webhook_schema) or {}), "headers": names})


class SetWebhook(WebhookConfig, OfInstance):
    enabled: bool  # pyright: ignore[reportGeneralTypeIssues] - who sets it says so; who creates an instance need not


async def set_webhook(app: App, caller: Caller, args: SetWebhook) -> WebhookAnswer:
    """Set where the instance's events are posted to; a new secret is shown once. Raises NotAllowed for an instance's key that moves it."""
    row = await instance_of(app.database, caller, args.instance_id)
    made = await _set_first(app, caller, row, WebhookConfig.model_validate(args.model_dump(exclude={"instance_id"})))
    answer = await get_webhook(app, caller, OfInstance(instance_id=args.instance_id))
    return answer.model_copy(update={"secret": made})


async def _set_first(app: App, caller: Caller, row: InstanceRow, given: WebhookConfig) -> str | None:
    """Set webhook 1; return the secret that was made, if one was."""
    config = await webhook_secrets.as_meant(app.database, app.vault(), row, given)
    await require_webhook_owner(app, caller, row, config)
    await require_reachable(app, config)
    # The secret first: nothing is ever posted without a signature.
    made = await webhook_secrets.keep(app.database, app.vault(), row, config)
    updated = await instances.update(app.database, row.id, api_webhook_schema=config.public())
    app.supervisor.refresh(updated or row)
    await deliveries.resume(app.database, row.id, TARGET)
    return made


WebhookId = Annotated[str, Field(pattern="^([1-9]|10)$", description="from list_webhooks; 1 is the one of set_webhook")]


class OfWebhook(OfInstance):
    webhook_id: WebhookId

    @property
    def number(self) -> int:
        """Return the number that the id is."""
        return int(self.webhook_id)


class OfWebhookOrFirst(OfWebhook):
    hidden = frozenset({"webhook_id"})

    webhook_id: WebhookId = "1"


class WebhookView(WebhookAnswer):
    """`failures` in a row; until `paused_until` the webhook is left alone, and its events wait."""

    webhook_id: str
    failures: int = 0
    paused_until: datetime | None = None


class WebhookList(Output):
    webhooks: list[WebhookView]


async def list_webhooks(app: App, caller: Caller, args: OfInstance) -> WebhookList:
    """Return the instance's webhooks, without secrets."""
    row = await instance_of(app.database, caller, args.instance_id)
    return WebhookList(webhooks=await _views(app, row))


async def _views(app: App, row: InstanceRow) -> list[WebhookView]:
    values = await credentials.revealed(app.database, app.vault(), row.id)
    return [
        WebhookView.model_validate(
            {
                **(shown_webhook(one.config) or {}),
                "headers": webhook_secrets.header_names(values, one.number),
                "webhook_id": str(one.number),
                "failures": one.failures,
                "paused_until": one.paused_until,
            }
        )
        for one in await store.listing(app.database, row.id)
    ]


class CreateWebhook(WebhookConfig, OfInstance):
    enabled: bool = True


async def create_webhook(app: App, caller: Caller, args: CreateWebhook) -> WebhookView:
    """Add a webhook beside those that are there; its secret is shown once. It gets events from now on.

    Raises NotAllowed for an agent where the instance has a webhook already, and Conflict where there are as many as there may be.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    config = WebhookConfig.model_validate(args.model_dump(exclude={"instance_id"}))
    kept = await credentials.revealed(app.database, app.vault(), row.id)
    require_owner_for_webhook(caller, needed=any(secret_fields(number).secret in kept for number in (FIRST, *NUMBERS)))
    # Not enabled before its secret is there: nothing is ever posted without a signature.
    number = await store.add(app.database, row.id, config.model_copy(update={"enabled": False}).public())
    if number is None:
        raise Conflict(f"This instance has {len(NUMBERS) + 1} webhooks already.", hint="Change one of them, or delete one.")
    return await _set_further(app, row, webhook_secrets.Kept(number, {}, None), config)


class UpdateWebhook(WebhookConfig, OfWebhook):
    enabled: bool  # pyright: ignore[reportGeneralTypeIssues] - who sets it says so


async def update_webhook(app: App, caller: Caller, args: UpdateWebhook) -> WebhookView:
    """Set a webhook as set_webhook does; a new secret is shown once. Raises NoSuchWebhook, and NotAllowed for an agent that moves it."""
    row = await instance_of(app.database, caller, args.instance_id)
    given = WebhookConfig.model_validate(args.model_dump(exclude={"instance_id", "webhook_id"}))
    if args.number == FIRST:
        return await _view(app, row, FIRST, await _set_first(app, caller, row, given))
    former = await _known(app, row, args.number)
    kept = webhook_secrets.Kept(args.number, await credentials.revealed(app.database, app.vault(), row.id), (former.config or {}).get("url"))
    config = kept.meant(given)
    require_owner_for_webhook(caller, needed=kept.needs_owner(config))
    return await _set_further(app, row, kept, config)


async def _set_further(app: App, row: InstanceRow, kept: webhook_secrets.Kept, config: WebhookConfig) -> WebhookView:
    await require_reachable(app, config)
    made = await webhook_secrets.store(app.database, app.vault(), row.id, kept.change(config))
    if not await store.set_config(app.database, row.id, kept.number, config.public()):
        raise NoSuchWebhook(str(kept.number))
    await deliveries.resume(app.database, row.id, target_of(kept.number))
    return await _view(app, row, kept.number, made)


async def _known(app: App, row: InstanceRow, number: int) -> store.WebhookRow:
    """Return a webhook as it is stored. Raises NoSuchWebhook."""
    found = next((one for one in await store.listing(app.database, row.id) if one.number == number), None)
    if found is None:
        raise NoSuchWebhook(str(number))
    return found


async def _view(app: App, row: InstanceRow, number: int, made: str | None) -> WebhookView:
    """Return a webhook with the secret that was made for it. Raises NoSuchWebhook where it is gone again."""
    row = await instances.get(app.database, row.id) or row
    found = next((one for one in await _views(app, row) if one.webhook_id == str(number)), None)
    if found is None:
        raise NoSuchWebhook(str(number))
    return found.model_copy(update={"secret": made})


async def delete_webhook(app: App, caller: Caller, args: OfWebhook) -> Nothing:
    """Remove a webhook with its secrets and what waits for it. Raises NoSuchWebhook, and NotAllowed for an agent: the next address would be free."""
    row = await instance_of(app.database, caller, args.instance_id)
    require_owner_for_webhook(caller, needed=True)
    await _known(app, row, args.number)
    if args.number == FIRST:
        fields = secret_fields(FIRST)
        await instances.update(app.database, row.id, api_webhook_schema={"enabled": False})
        await deliveries.end(app.database, [row.id], TARGET)
        await secrets.remove(app.database, row.id, {fields.secret, fields.former_secret, fields.headers, fields.url, fields.origin})
    else:
        await store.remove(app.database, row.id, args.number, prefix=secret_fields(args.number).prefix)
    return Nothing()


class NewSecret(Output):
    """Until `former_valid_until` what is posted is signed with both."""

    secret: str = Field(repr=False)
    former_valid_until: datetime | None = None


async def rotate_webhook_secret(app: App, caller: Caller, args: OfWebhookOrFirst) -> NewSecret:
    """Replace the signing secret; for a day events are signed with both. Raises NoSuchWebhook."""
    caller.require_owner()
    row = await instance_of(app.database, caller, args.instance_id)
    if args.number != FIRST:
        await _known(app, row, args.number)
    made = await webhook_secrets.rotate(app.database, app.vault(), row.id, args.number)
    return NewSecret(secret=made, former_valid_until=datetime.now(UTC) + OVERLAP)


class WebhookTest(Output):
    """`status` is the receiver's; none: it did not answer, and `error` says why."""

    delivered: bool
    status: int | None = None
    error: str | None = None
    milliseconds: float


async def test_webhook(app: App, caller: Caller, args: OfWebhookOrFirst) -> WebhookTest:
    """Post a test event now. Raises Conflict where no webhook is enabled."""
    outcome, milliseconds = await app.webhooks.test(await endpoint(app, caller, args))
    return WebhookTest(delivered=outcome.error is None, status=outcome.status, error=outcome.error, milliseconds=round(milliseconds, 1))


async def endpoint(app: App, caller: Caller, args: OfWebhookOrFirst) -> Endpoint:
    """Return a webhook of the instance. Raises Conflict where there is none, or it is not enabled."""
    row = await instance_of(app.database, caller, args.instance_id)
    place = (row.id, target_of(args.number))
    found = (await deliveries.endpoints(app.database, [place], prefix=PREFIX)).get(place)
    set_up = found and endpoint_of(found, app.vault())
    if set_up is None:
        of = "webhook" if args.number == FIRST else f"webhooks/{args.number}"
        named = "no webhook" if args.number == FIRST else f"no webhook {args.number}"
        raise Conflict(f"This instance has {named} that is enabled.", hint=f"PUT /api/v1/instances/{row.id}/{of} sets one.")
    return set_up


class ListDeliveries(OfInstance):
    status: Literal["pending", "done", "dead"] | None = Field(default=None, description="dead: given up")
    webhook_id: WebhookId | None = Field(default=None, description="only those to this webhook")
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
    target = None if args.webhook_id is None else target_of(int(args.webhook_id))
    rows = await deliveries.listing(app.database, row.id, status=args.status, target=target, before=before, limit=args.limit + 1)
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
    await deliveries.resume(app.database, instance_id, None)
    app.webhooks.wake()
    return Retried(retried=count)


class ReplayEvents(OfWebhookOrFirst):
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
    events = await deliveries.replay(app.database, webhook.instance_id, target_of(webhook.number), after=cursor, limit=args.limit)
    app.webhooks.wake()
    return Replayed(events=len(events), next_cursor=str(events[-1]) if len(events) == args.limit else None)
