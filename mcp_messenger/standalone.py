"""One messenger alone: its instance's own REST API."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, FastAPI, Request
from pydantic import SecretStr
from starlette.types import ASGIApp

from db import instances as store
from mcp_messenger.app import App, running, stored
from mcp_messenger.authenticate import authenticate, bearer_token
from mcp_messenger.caller import ADMIN, Caller
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput, NotAuthenticated
from mcp_messenger.faces.aliases import add_aliases
from mcp_messenger.faces.docs import add_docs
from mcp_messenger.faces.http import guarded
from mcp_messenger.faces.mcp_http import headers_of
from mcp_messenger.faces.rest import Routes, add_problems
from mcp_messenger.faces.streams import add_health, add_logs, add_platform_webhooks
from mcp_messenger.instances import classes
from mcp_messenger.operations.instances import CreateInstance, UpdateInstance, create_instance, start_instance, update_instance
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.serve import bind, run_server
from mcp_messenger.version import __version__

OPEN_PATH = "/api/v1/health"
"""Whether it is alive may be asked without a key."""


async def serve_one(config: Config, provider: str, token: SecretStr | None, base_url: str | None) -> None:
    """Until told to stop. Raises InvalidInput without the token that the messenger needs."""
    await classes.load(provider)
    if provider == "telegram" and token is None:
        raise InvalidInput("No bot token.", hint="Set TELEGRAM_BOT_TOKEN, or give --telegram-bot-token.")
    secret = token.get_secret_value() if token else ""
    credentials = {name: value for name, value in (("token", secret), ("base_url", base_url)) if value}
    account = hashlib.sha256(f"{provider}:{secret}".encode()).hexdigest()[:12]
    listener, config = bind(replace(config, data_dir=config.data_dir / f"{provider}-{account}"))
    async with stored(config) as app:
        instance_id = await _instance(app, provider, f"{provider}-api-{account}", credentials)
    async with running(replace(config, instance_id=instance_id)) as app:
        print(f"{provider} alone: {config.own_url}/api/v1 (instance {instance_id}). Press Ctrl+C to stop.", flush=True)  # noqa: T201 - for a person
        await run_server(instance_app(app, instance_id, token), listener)


async def _instance(app: App, provider: str, user_id: str, credentials: Mapping[str, str]) -> str:
    """The instance of this account, the database's only one or one of many: made at the first start, started again at the others."""
    known = await store.listing(app.database, user_id=user_id, provider=provider, limit=1)
    if not known:
        made = await create_instance(app, ADMIN, CreateInstance(provider=provider, user_id=user_id, credentials=dict(credentials)))
        return made.instance_id
    instance_id = str(known[0].id)
    if credentials:
        await update_instance(app, ADMIN, UpdateInstance(instance_id=instance_id, credentials=dict(credentials)))
    await start_instance(app, ADMIN, OfInstance(instance_id=instance_id))
    return instance_id


def instance_app(app: App, instance_id: str, token: SecretStr | None) -> ASGIApp:
    """The instance's own API: every row that is of an instance, without the instance in its path."""

    async def caller_of(request: Request) -> Caller:
        if request.url.path == OPEN_PATH:
            return ADMIN
        headers = headers_of(request.scope)
        given = bearer_token(headers)
        if given is None:
            raise NotAuthenticated(hint="Send the instance's API key or the bot token in the header 'Authorization: Bearer ...'.")
        if token is not None and hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
            return ADMIN
        return await authenticate(app, headers)

    api = FastAPI(title="mcp-messenger instance", version=__version__, redirect_slashes=False, docs_url=None, redoc_url=None)
    routes = Routes(APIRouter(prefix="/api/v1"), app, caller_of, instance_id)
    routes.add_all()
    add_logs(routes)
    add_aliases(routes)
    api.include_router(routes.router)
    root = APIRouter()
    add_health(root, app)
    add_platform_webhooks(root, app)
    api.include_router(root)
    add_docs(api)
    add_problems(api)
    return guarded(app, api)
