"""One messenger's own API over HTTP: the table's rows that it has, what its manager asks, and MCP where it is to serve that."""

import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Scope

from mcp_messenger.alone.operations.table import ROWS
from mcp_messenger.alone.program import Program
from mcp_messenger.api.authentication import bearer_token
from mcp_messenger.api.http import SMALL_BODY, WITH_FILES
from mcp_messenger.api.mcp.http import caller_of, gate, headers_of
from mcp_messenger.api.mcp.server import MessengerServer
from mcp_messenger.api.middleware import BodyLimit, HostGuard, SecurityHeaders
from mcp_messenger.api.rate_limits import RateLimitFields
from mcp_messenger.api.rest.aliases import add_aliases
from mcp_messenger.api.rest.docs import add_docs
from mcp_messenger.api.rest.routes import Routes, add_problems
from mcp_messenger.api.rest.streams import add_logs
from mcp_messenger.errors import NoSuchInstance, NotAuthenticated, NotAvailable
from mcp_messenger.security.caller import ADMIN, Caller
from mcp_messenger.version import __version__
from providers.base import WebhookRequest
from providers.models import Capability, StateChanged

PREFIX = "/api/v1"
OPEN = f"{PREFIX}/health"
"""Whether it is alive may be asked without a key."""
LARGEST_DRAFT = 150 * 1024 * 1024
"""Bytes of a draft with its file in base64."""


class Alive(BaseModel):
    """`status` of the program is healthy as long as it answers; `state` is the messenger's."""

    status: str
    state: str
    reason: str | None = None
    version: str


class Doorkeeper:
    """Who shows the key is a caller of this instance; who shows the bot's own token could do as much without us, and is its owner."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def caller(self, scope: Scope) -> Caller:
        given = bearer_token(headers_of(scope))
        if given is not None and self._is_own_token(given):
            return ADMIN
        if given is None or not self._program.key.opens(given):
            raise NotAuthenticated
        return Caller(user_id="local", instance_id=self._program.instance_id)

    def _is_own_token(self, given: str) -> bool:
        token: object = getattr(self._program.runner.settings, "token", None)
        return isinstance(token, SecretStr) and hmac.compare_digest(given.encode(), token.get_secret_value().encode())


def program_app(program: Program) -> ASGIApp:
    doorkeeper = Doorkeeper(program)

    async def caller_of_request(request: Request) -> Caller:
        return ADMIN if request.url.path == OPEN else doorkeeper.caller(request.scope)

    mcp, serving = _mcp(program, doorkeeper)
    api = FastAPI(
        title=f"mcp-messenger {program.cls.name}", version=__version__, lifespan=serving, redirect_slashes=False, docs_url=None, redoc_url=None
    )
    routes = Routes(APIRouter(prefix=PREFIX), program, caller_of_request, str(program.instance_id), ROWS)
    routes.add_all()
    add_logs(routes)
    add_aliases(routes)
    api.router.routes += [*mcp, *routes.router.routes, Route("/health", _health(program)), _platform_webhooks(program)]
    add_docs(api)
    add_problems(api)
    limited = RateLimitFields(BodyLimit(api, limit=SMALL_BODY, prefixes={**WITH_FILES, "/port/": LARGEST_DRAFT}))
    guarded = SecurityHeaders(limited, private=("/",))
    # A manager calls it by whatever name its network gives it. A page that pointed a name here would have to know the key.
    return guarded if program.alone.is_managed else HostGuard(guarded, allowed_hosts=program.config.own_hosts)


def _health(program: Program) -> Any:
    async def health(request: Request) -> Response:
        state: StateChanged = program.runner.present
        alive = Alive(status="healthy", state=state.state, reason=None if program.file.trouble is None else state.reason, version=__version__)
        return Response(alive.model_dump_json(), media_type="application/json")

    return health


def _platform_webhooks(program: Program) -> Route:
    """At the address that a manager would have for it; the platform signs what it posts."""

    async def receive(request: Request) -> Response:
        if request.path_params["instance_id"] != str(program.instance_id):
            raise NoSuchInstance(request.path_params["instance_id"])
        if Capability.WEBHOOK not in program.cls.capabilities:
            raise NotAvailable(f"{program.cls.name} is not delivered by webhook.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = WebhookRequest(request.method, headers, dict(request.query_params), await request.body())
        reply = await program.runner.provider().receive_webhook(asked)
        return Response(reply.body, reply.status, media_type=reply.content_type)

    return Route(f"/webhooks/{program.cls.name}/{{instance_id}}", receive, methods=["GET", "POST"])


def _mcp(program: Program, doorkeeper: Doorkeeper) -> tuple[list[BaseRoute], Any]:
    """The route, and what must run while it is served."""
    if "mcp" not in program.alone.types:
        return [], None
    server = MessengerServer(program, caller_of, instance_id=lambda _: str(program.instance_id), rows=ROWS)

    async def admit(scope: Scope) -> Caller:
        return doorkeeper.caller(scope)

    @asynccontextmanager
    async def serving(_: FastAPI) -> AsyncGenerator[None]:
        async with server.session_manager.run():
            yield

    return [Route("/mcp", gate(program, server, admit))], serving
