"""Everything over HTTP in one ASGI application: REST, MCP, the platforms' webhooks, behind the same guards."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from uuid import UUID

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_messenger.api.held_requests import HeldRequests
from mcp_messenger.api.instance_address import InstanceAddress
from mcp_messenger.api.mcp.http import McpEndpoints
from mcp_messenger.api.mcp.server import MessengerServer
from mcp_messenger.api.middleware import MAX_BODY, BodyLimit, CutOffAnswer, HostGuard, SecurityHeaders
from mcp_messenger.api.pages.routes import page_routes
from mcp_messenger.api.rate_limits import RateLimitFields
from mcp_messenger.api.rest.aliases import add_aliases
from mcp_messenger.api.rest.docs import add_docs
from mcp_messenger.api.rest.document import complete
from mcp_messenger.api.rest.event_webhooks import describe_webhooks
from mcp_messenger.api.rest.metrics import add_metrics
from mcp_messenger.api.rest.routes import Routes, add_problems, answers_for
from mcp_messenger.api.rest.socket import events_socket
from mcp_messenger.api.rest.streams import add_events, add_health, add_logs, add_media, add_platform_webhooks
from mcp_messenger.api.rest.transfers import add_transfers
from mcp_messenger.operations.application import App
from mcp_messenger.version import __version__

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
"""FastAPI's own spans hold the query of a request, and its logs what did not fit; ours are in observability/tracing.py."""
SMALL_BODY = 4 * 1024 * 1024
IMPORT_PATH = "/api/v1/import"
LARGE_BODY = 2 * 1024 * 1024 * 1024
WITH_FILES = {
    IMPORT_PATH: LARGE_BODY,
    "/mcp": MAX_BODY,
    "/api/v1/instances/": MAX_BODY,
    "/api/v1/send/": MAX_BODY,
    "/api/v1/telegram/": MAX_BODY,
}
"""Where a body may hold a file in base64, or is one."""


class HttpApi:
    """The ASGI application. `api` is what is behind its guards.

    `only`: all of it is the address of that instance. `server`: the class of the MCP server behind /mcp.
    """

    def __init__(self, app: App, *, only: UUID | None = None, server: type[MessengerServer] = MessengerServer) -> None:
        endpoints = McpEndpoints(app, server)
        self._feed = app.feed
        self.endpoints = endpoints
        self.api = unguarded(app, endpoints)
        self._asgi = guarded(app, self.api, only)

    def end_streams(self) -> None:
        """End what would go on for ever, or for longer than a server that stops has time."""
        self.endpoints.end_streams()
        self._feed.end_waits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)


def unguarded(app: App, endpoints: McpEndpoints) -> FastAPI:
    """Every route, without the guards."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        app.feed.begin_waits()
        async with endpoints.running():
            yield

    api = FastAPI(
        title="mcp-messenger", version=__version__, lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None, telemetry=NO_TELEMETRY
    )
    answers_for(api, app)
    # Not included as routers: FastAPI looks through all routes of an included one at every request.
    api.router.routes += routes_of_operations()
    root = APIRouter()
    add_health(root, app)
    add_metrics(root, app)
    add_platform_webhooks(root, app)
    api.router.routes += root.routes
    # First, for routes are tried one by one, and most of what comes is for MCP.
    api.router.routes[:0] = [
        Route("/mcp", endpoints.all),
        Route("/api/v1/instances/{instance_id}/mcp", endpoints.one),
        *page_routes(app),
        events_socket(app),
        Route("/", RedirectResponse("/docs")),
    ]
    describe_webhooks(api)
    complete(api, app.config)
    add_docs(api)
    add_problems(api)
    return api


@cache
def routes_of_operations() -> tuple[BaseRoute, ...]:
    """Return the routes of all operations, made once a process: FastAPI takes most of a second to read their signatures."""
    routes = Routes(APIRouter(prefix="/api/v1"))
    routes.add_all()
    add_logs(routes)
    add_media(routes)
    add_events(routes)
    add_transfers(routes)
    add_aliases(routes)
    return tuple(routes.router.routes)


def guarded(app: App, inner: ASGIApp, only: UUID | None) -> ASGIApp:
    """Return the routes behind the guards that every request passes. Before the limits of bodies, an instance's address is resolved."""
    limited: ASGIApp = BodyLimit(inner, limit=SMALL_BODY, prefixes=WITH_FILES, files=(IMPORT_PATH,))
    addressed = InstanceAddress(RateLimitFields(limited) if app.config.rate_limit else limited, only)
    return HostGuard(SecurityHeaders(CutOffAnswer(HeldRequests(addressed, app.held))), allowed_hosts=app.config.own_hosts)
