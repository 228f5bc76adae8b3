"""Answers that are not one JSON object: pictures, text, streams; and what platforms post to us."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Query, Request, Response
from sse_starlette import EventSourceResponse
from starlette.responses import PlainTextResponse

from db import outbox
from db.errors import StoreUnavailable
from mcp_messenger.app import App
from mcp_messenger.caller import Caller, parse_instance_id
from mcp_messenger.errors import NotAvailable, NotReady
from mcp_messenger.faces.rest import PROBLEMS, CallerOf, respond
from mcp_messenger.operations import diagnostics, events, login
from mcp_messenger.operations.events import EventView, GetEvents
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.resources import Health
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.version import __version__
from providers.base import WebhookRequest
from providers.models import InstanceState

FOLLOW_EVERY = 0.5
WEBHOOK_METHODS = ["GET", "POST"]
LOG_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}, "text/event-stream": {}}}, **PROBLEMS}


def add_pictures(router: APIRouter, app: App, caller_of: CallerOf) -> None:
    @router.get("/instances/{instance_id}/qr.png", tags=["instances"], response_class=Response, responses={200: {"content": {"image/png": {}}}})
    async def get_qr_picture(request: Request, instance_id: str) -> Response:
        answer = await login.get_qr(app, await caller_of(request), OfInstance(instance_id=instance_id))
        return Response(login.png(answer.qr), media_type="image/png", headers={"cache-control": "no-store"})


def add_logs(router: APIRouter, app: App, caller_of: CallerOf) -> None:
    """In the place of the table's own route: lines as text, or as JSON for who asks for it, or as a stream."""

    @router.get(BY_NAME["get_logs"].path, name="get_logs", operation_id="get_logs", tags=["diagnostics"], responses=LOG_ANSWERS)
    async def get_logs(request: Request, instance_id: str, tail: Annotated[int, Query(ge=1, le=5000)] = 500, follow: bool = False) -> Response:
        caller = await caller_of(request)
        answer = await diagnostics.get_logs(app, caller, diagnostics.GetLogs(instance_id=instance_id, tail=tail))
        if follow:
            return EventSourceResponse(_log_events(app, caller, instance_id, tail))
        if "application/json" in request.headers.get("accept", ""):
            return respond(answer)
        return PlainTextResponse("".join(f"{line}\n" for line in answer.lines))


async def _log_events(app: App, caller: Caller, instance_id: str, tail: int) -> AsyncIterator[dict[str, Any]]:
    seen: list[str] = []
    while True:
        lines = (await diagnostics.get_logs(app, caller, diagnostics.GetLogs(instance_id=instance_id, tail=tail))).lines
        for line in lines[_overlap(seen, lines) :]:
            yield {"data": line}
        seen = lines
        await anyio.sleep(FOLLOW_EVERY)


def _overlap(seen: list[str], lines: list[str]) -> int:
    """How many of the lines were seen: the ring buffer has moved on by some."""
    return next((size for size in range(len(lines), 0, -1) if seen[-size:] == lines[:size]), 0)


def add_events(router: APIRouter, app: App, caller_of: CallerOf) -> None:
    @router.get("/events/stream", tags=["reading"], response_class=EventSourceResponse)
    async def stream_events(request: Request, after: str = "0", instance_id: str | None = None) -> EventSourceResponse:
        """The event log as server-sent events; with Last-Event-ID it goes on where it was cut off."""
        caller = await caller_of(request)
        args = GetEvents(after=request.headers.get("last-event-id") or after, instance_id=instance_id)
        await events.get_events(app, caller, args)
        return EventSourceResponse(_sse(events.follow(app, caller, args)), headers={"cache-control": "no-store"})


async def _sse(views: AsyncIterator[EventView | None]) -> AsyncIterator[dict[str, Any]]:
    async for view in views:
        if view is None:
            yield {"comment": "alive"}
        else:
            yield {"id": view.id, "event": view.type, "data": json.dumps(view.shown(), ensure_ascii=False)}


def add_health(router: APIRouter, app: App) -> None:
    @router.get("/health", tags=["diagnostics"])
    async def health() -> Health:
        return await current_health(app)


async def current_health(app: App) -> Health:
    """Of this process: without the store nothing works, so it is unhealthy then."""
    checks: dict[str, Any] = {"docker": "not used"}
    try:
        with anyio.fail_after(5):
            depth, age = await outbox.depth(app.database)
        checks |= {"database": "ok", "queue": {"depth": depth, "oldest_seconds": round(age, 1)}}
        status = "healthy"
    except (StoreUnavailable, TimeoutError) as error:
        checks |= {"database": str(error) or "slow", "queue": "unknown"}
        status = "unhealthy"
    return Health(
        status=status,
        timestamp=datetime.now(UTC),
        uptime=round(time.monotonic() - app.started, 1),
        environment=app.config.environment,
        version=__version__,
        checks=checks,
    )


def add_platform_webhooks(router: APIRouter, app: App) -> None:
    @router.api_route("/webhooks/{provider}/{instance_id}", methods=WEBHOOK_METHODS, include_in_schema=False)
    async def platform_webhook(request: Request, provider: str, instance_id: str) -> Response:
        held = app.supervisor.get(parse_instance_id(instance_id))
        if held is None or held.row.provider != provider:
            # The platform delivers again, by then perhaps to the process that runs the instance.
            raise NotReady(instance_id, InstanceState.STOPPED, "This instance does not run here.")
        if "webhook" not in held.provider.capabilities:
            raise NotAvailable(f"{provider} is not delivered by webhook.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = await held.provider.receive_webhook(WebhookRequest(request.method, headers, dict(request.query_params), await request.body()))
        return Response(reply.body, reply.status, media_type=reply.content_type)
