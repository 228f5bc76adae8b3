"""One messenger alone: its instance's own REST API, and /mcp for it."""

import hashlib
import hmac
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import SecretStr
from starlette.types import ASGIApp

from db import instances as store
from db.instances import InstanceRow
from mcp_messenger.app import App, running
from mcp_messenger.authenticate import authenticate, bearer_token
from mcp_messenger.caller import ADMIN, Caller
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, NotAuthenticated
from mcp_messenger.faces.aliases import add_instance_aliases
from mcp_messenger.faces.http import guarded
from mcp_messenger.faces.mcp_http import headers_of
from mcp_messenger.faces.rest import OWN_ROUTES, add_problems, add_route, endpoint
from mcp_messenger.faces.streams import add_platform_webhooks
from mcp_messenger.instances import classes
from mcp_messenger.operations.instances import CreateInstance, UpdateInstance, create_instance, start_instance, update_instance
from mcp_messenger.operations.operation import Face, OfInstance
from mcp_messenger.operations.table import OPERATIONS, I
from mcp_messenger.serve import bind, run_server
from mcp_messenger.version import __version__

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health"})
"""Whether it is alive may be asked without a key."""


async def serve_one(config: Config, provider: str, token: SecretStr | None) -> None:
    """Until told to stop. Raises InvalidInput without the token that the messenger needs."""
    await classes.load(provider)
    if provider == "telegram" and token is None:
        raise InvalidInput("No bot token.", hint="Set TELEGRAM_BOT_TOKEN, or give --telegram-bot-token.")
    credentials: dict[str, Any] = {"token": token.get_secret_value()} if token else {}
    name = hashlib.sha256(f"{provider}:{token.get_secret_value() if token else ''}".encode()).hexdigest()[:12]
    config = replace(config, data_dir=config.data_dir / f"{provider}-{name}")
    listener = bind(config)
    async with running(config) as app:
        row = await _instance(app, provider, credentials)
        print(f"{provider} alone: {config.own_url}/api/v1 (instance {row.id}). Press Ctrl+C to stop.", flush=True)  # noqa: T201 - for a person
        await run_server(instance_app(app, str(row.id), token), listener)


async def _instance(app: App, provider: str, credentials: dict[str, Any]) -> InstanceRow:
    """The one instance of this data folder: made at the first start, started again at the others."""
    known = await store.listing(app.database, provider=provider, limit=1)
    if not known:
        made = await create_instance(app, ADMIN, CreateInstance(provider=provider, credentials=credentials, type_instance=["api", "mcp"]))
        return (await store.listing(app.database, provider=made.instance.provider, limit=1))[0]
    instance_id = str(known[0].id)
    if credentials:
        await update_instance(app, ADMIN, UpdateInstance(instance_id=instance_id, credentials=credentials))
    await start_instance(app, ADMIN, OfInstance(instance_id=instance_id))
    return known[0]


def instance_app(app: App, instance_id: str, token: SecretStr | None) -> ASGIApp:
    """The instance's own API: every row that is of an instance, without the instance in its path."""

    async def caller_of(request: Request) -> Caller:
        headers = headers_of(request.scope)
        given = bearer_token(headers)
        if given is None:
            raise NotAuthenticated(hint="Send the instance's API key or the bot token in the header 'Authorization: Bearer ...'.")
        if token is not None and hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
            return ADMIN
        return await authenticate(app, headers)

    async def anyone(request: Request) -> Caller:
        return ADMIN

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield

    api = FastAPI(title="mcp-messenger instance", version=__version__, lifespan=lifespan, redirect_slashes=False)
    router = APIRouter(prefix="/api/v1")

    def own_id() -> str:
        return instance_id

    for row in OPERATIONS:
        path = row.path.removeprefix(I)
        if Face.REST in row.faces and row.of_instance and path.startswith("/") and row.name not in OWN_ROUTES:
            who = anyone if path in OPEN_PATHS else caller_of
            add_route(router, path, row, endpoint(app, row, who, path=path, instance_id=own_id))
    add_instance_aliases(router, app, caller_of, own_id)
    api.include_router(router)
    webhooks = APIRouter()
    add_platform_webhooks(webhooks, app)
    api.include_router(webhooks)
    add_problems(api)
    return guarded(app, api)
