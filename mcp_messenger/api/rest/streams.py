"""Answers that are not one JSON object: pictures, text, streams; and what platforms post to us."""

import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Request, Response
from pydantic import Field
from sse_starlette import EventSourceResponse
from starlette.responses import PlainTextResponse

from db import instance_logs, outbox
from db.errors import StoreUnavailable
from mcp_messenger.api.problem import problem
from mcp_messenger.api.rest.routes import Routes, accepted, app_of, caller_of, respond
from mcp_messenger.config.quotas import Quota
from mcp_messenger.errors import NotAvailable, NotReady
from mcp_messenger.net.mime import mime_of, safe_name
from mcp_messenger.operations import diagnostics, events, messages
from mcp_messenger.operations.application import App
from mcp_messenger.operations.events import GetEvents
from mcp_messenger.operations.operation import Effect, Input
from mcp_messenger.operations.resources import Health
from mcp_messenger.operations.table import BY_NAME, I
from mcp_messenger.operations.validation import validated
from mcp_messenger.operations.waiting import kept_cursor, require_not_ahead
from mcp_messenger.operations.warnings import local_warnings, warnings
from mcp_messenger.policy.shown import Words, note_shown
from mcp_messenger.security.caller import Caller, instance_of, parse_instance_id
from mcp_messenger.version import __version__
from providers.base import WebhookRequest
from providers.errors import MessengerError
from providers.states import InstanceState

FOLLOW_EVERY = 0.5
LOG_LINES_MAX = 5000
LATE_LINES = 200
HEALTH_WITHIN = 5.0
FAILING_SECONDS = 1.0
"""A statement that was cancelled once is no reason to take this process out of service."""
STREAM = "text/event-stream"
Sent = bytes | dict[str, Any]
"""Of a stream: events as they are sent, or one that is still to be encoded."""
WEBHOOK_METHODS = ["GET", "POST"]


class ReadLogs(diagnostics.GetLogs):
    follow: bool = Field(default=False, description="go on with new lines, as server-sent events")


class StreamEvents(Input):
    after: str = Field(default="0", max_length=20, description="cursor; the header Last-Event-ID goes before it")
    instance_id: str | None = Field(default=None, max_length=64)


LOGS = replace(BY_NAME["get_logs"], input=ReadLogs)
MEDIA = replace(
    BY_NAME["download_media"],
    name="get_media_file",
    method="GET",
    path=f"{I}/messages/{{message_id}}/media",
    input=messages.GetMedia,
    effect=Effect.READ,
    summary="A message's file, as it is.",
)
EVENTS = replace(
    BY_NAME["get_events"],
    name="stream_events",
    path="/events/stream",
    input=StreamEvents,
    summary="The event log as server-sent events; with Last-Event-ID it goes on where it was cut off.",
)


def add_logs(routes: Routes) -> None:
    """Make the route of get_logs: lines as text, as JSON for who asks for it, or as a stream."""

    async def answer(request: Request, caller: Caller, args: ReadLogs) -> Response:
        app = app_of(request)
        found = await diagnostics.get_logs(app, caller, args)
        if args.follow:
            return _streamed(_waiting(app, caller, _log_events(app, request, args)))
        if "application/json" in accepted(request):
            return respond(found)
        return PlainTextResponse("".join(f"{line}\n" for line in found.lines))

    routes.add(LOGS, answer=answer, media=("text/plain", "application/json", STREAM))


async def _log_events(app: App, request: Request, args: ReadLogs) -> AsyncIterator[Sent]:
    row = await instance_of(app.database, await caller_of(request), args.instance_id)
    async with app.supervisor.following(row) as theirs:
        seen = {number for number, _ in await instance_logs.newest(app.database, row.id, LOG_LINES_MAX)}
        lines = (await diagnostics.get_logs(app, await caller_of(request), args)).lines
        shown = set(lines)
        while True:
            for line in lines:
                yield {"data": line}
            await anyio.sleep(FOLLOW_EVERY)
            # Deleted meanwhile, or a key that was revoked: nothing more.
            await instance_of(app.database, await caller_of(request), args.instance_id)
            await app.logbook.write(app.database)
            # Another server's lines may be stored a little after those with later numbers.
            horizon = max(seen, default=0) - LATE_LINES
            stored = await instance_logs.after(app.database, row.id, horizon, LOG_LINES_MAX)
            lines = [line for line in [*(line for number, line in stored if number not in seen), *_taken(theirs)] if line not in shown]
            seen = {number for number, _ in stored} | {number for number in seen if number > horizon}
            # What came while the past was read is in both; later lines may well be alike.
            shown.clear()


def _taken(lines: deque[str]) -> list[str]:
    taken = list(lines)
    lines.clear()
    return taken


def add_media(routes: Routes) -> None:
    """Make the route of a message's file as it is: to be kept, never to be shown as a page of this server."""

    async def answer(request: Request, caller: Caller, args: messages.GetMedia) -> Response:
        app = app_of(request)
        _, message, download = await messages.fetched_media(app, caller, args)
        if caller.is_agent:
            await note_shown(app.database, app.judge.shown, str(caller), [Words(message.chat_id)], args.instance_id)
        mime = mime_of(download.content, download.mime, download.name)
        name = safe_name(download.name, mime)
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}", "content-security-policy": "sandbox"}
        return Response(download.content, headers=headers, media_type=mime)

    routes.add(MEDIA, answer=answer, media=("application/octet-stream",))


def add_events(routes: Routes) -> None:
    """Make the route of the event log as a stream."""

    async def answer(request: Request, caller: Caller, args: StreamEvents) -> Response:
        app = app_of(request)
        wanted = await begun(app, caller, request.headers.get("last-event-id") or args.after, args.instance_id)
        return _streamed(_waiting(app, caller, _events(app, request, caller, wanted)))

    routes.add(EVENTS, answer=answer, media=(STREAM,))


async def begun(app: App, caller: Caller, after: str, instance_id: str | None) -> GetEvents:
    """Return which events a stream has, before it is opened. Raises InvalidInput, NoSuchInstance, CursorExpired and CursorAhead."""
    wanted = validated(BY_NAME["get_events"], {"after": after, "instance_id": instance_id})
    assert isinstance(wanted, GetEvents)
    cursor = await kept_cursor(app, wanted.after, await events.visible(app, caller, wanted.instance_id))
    await require_not_ahead(app, cursor)
    return wanted


async def _events(app: App, request: Request, caller: Caller, args: GetEvents) -> AsyncIterator[Sent]:
    async for found in events.follow(app, caller, args):
        # A key that was revoked meanwhile gets nothing more.
        await caller_of(request)
        yield b"".join(one.sse for one in found) or {"comment": "alive"}


async def _waiting(app: App, caller: Caller, events: AsyncIterator[Sent]) -> AsyncIterator[Sent]:
    """Give the events while the caller may hold one more wait. Raises QuotaExceeded."""
    async with app.quotas.holding(caller, Quota.WAITS):
        async for event in events:
            yield event


def _streamed(events: AsyncIterator[Sent]) -> EventSourceResponse:
    return EventSourceResponse(_until_refused(events), headers={"cache-control": "no-store"})


async def _until_refused(events: AsyncIterator[Sent]) -> AsyncIterator[Sent]:
    """Report an error that comes too late for a status as the last event of the stream; the next connection gets it as a status."""
    try:
        async for event in events:
            yield event
    except MessengerError as error:
        yield {"event": "problem", "data": json.dumps(problem(error))}


def add_health(router: APIRouter, app: App) -> None:
    @router.get(
        "/health",
        operation_id="health",
        summary="Whether this process can work.",
        tags=["diagnostics"],
        responses={503: {"model": Health, "description": "Nothing works without the store"}},
    )
    async def health(response: Response) -> Health:
        found = await current_health(app)
        response.status_code = 200 if found.status == "healthy" else 503
        return found


async def current_health(app: App) -> Health:
    """Return how this process is: unhealthy without the store, while that refuses writes, and while some of its work fails at every try."""
    checks: dict[str, Any] = {"docker": _docker_check(app)}
    if app.swarm is not None:
        checks["swarm"] = "ok" if app.swarm.away is None else "unavailable"
    # Warnings stop nothing yet, so a load balancer goes on sending calls here.
    looked_at = await local_warnings(app)
    if (trouble := app.vault.trouble) is not None:
        checks["secrets"] = trouble
    try:
        with anyio.fail_after(HEALTH_WITHIN):
            depth, age = await outbox.depth(app.database)
            await app.database.require_writes()
            looked_at |= await warnings(app)
        failing = [one for one in app.workers.failing(seconds=FAILING_SECONDS) if one.vital]
        refused = next((one.detail for one in failing if one.is_store), None)
        checks |= {"database": refused or "ok", "queue": {"depth": depth, "oldest_seconds": round(age, 1)}}
        checks |= {"failing": {one.name: one.detail for one in failing}} if failing else {}
        status = "unhealthy" if failing or app.vault.is_lost else "healthy"
    except (StoreUnavailable, TimeoutError) as error:
        checks |= {"database": str(error) or f"does not answer within {HEALTH_WITHIN:g} s", "queue": "unknown"}
        status = "unhealthy"
    checks |= {"warnings": looked_at} if looked_at else {}
    return Health(
        status=status,
        timestamp=datetime.now(UTC),
        uptime=round(time.monotonic() - app.started, 1),
        environment=app.config.environment,
        version=__version__,
        checks=checks,
    )


def _docker_check(app: App) -> str:
    """Instances in containers wait for it; the others do not, so it makes nothing unhealthy."""
    if app.docker is None:
        return "not used"
    return "ok" if app.docker.away is None else "unavailable"


def add_platform_webhooks(router: APIRouter, app: App) -> None:
    @router.api_route("/webhooks/{provider}/{instance_id}", methods=WEBHOOK_METHODS, include_in_schema=False)
    async def platform_webhook(request: Request, provider: str, instance_id: str) -> Response:
        owned = app.supervisor.get(parse_instance_id(instance_id))
        if owned is None or owned.row.provider != provider:
            # The platform delivers again, by then perhaps to the process that runs the instance.
            raise NotReady(instance_id, InstanceState.STOPPED, "This instance does not run here.")
        if "webhook" not in owned.provider.capabilities:
            raise NotAvailable(f"{provider} is not delivered by webhook.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = await owned.provider.receive_webhook(WebhookRequest(request.method, headers, dict(request.query_params), await request.body()))
        return Response(reply.body, reply.status, media_type=reply.content_type)
