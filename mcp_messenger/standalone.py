"""One messenger alone: its instance's own REST API."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
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
from mcp_messenger.operations.keys import get_current_api_key
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.serve import bind, run_server
from mcp_messenger.version import __version__

WELCOME = """{provider} alone: {url}/api/v1 (instance {id}, documentation: {url}/docs).
Its API key is in {key_file}. Press Ctrl+C to stop."""
OPEN_PATH = "/api/v1/health"
"""Whether it is alive may be asked without a key."""


async def serve_one(config: Config, provider: str, token: SecretStr | None, base_url: str | None) -> None:
    """Until told to stop. Raises InvalidInput without the token that the messenger needs."""
    await classes.load(provider)
    if provider == "telegram" and token is None:
        raise InvalidInput("No bot token.", hint="Set TELEGRAM_BOT_TOKEN, or give --telegram-bot-token.")
    secret = token.get_secret_value() if token else ""
    credentials = {name: value for name, value in (("token", secret), ("base_url", base_url)) if value}
    account = f"{provider}-api-" + hashlib.sha256(f"{provider}:{secret}".encode()).hexdigest()[:12]
    # A database of others is shared with its manager, and so is the key of its secrets.
    folder = config.data_dir / account
    listener, config = bind(config if config.database_url else replace(config, data_dir=folder))
    async with stored(config) as app:
        instance_id = await _instance(app, provider, account, credentials)
        key = await get_current_api_key(app, ADMIN, OfInstance(instance_id=instance_id))
    key_file = await anyio.to_thread.run_sync(_write_key, folder, key.api_key)
    async with running(replace(config, instance_id=instance_id)) as app:
        print(WELCOME.format(provider=provider, url=config.own_url, id=instance_id, key_file=key_file), flush=True)  # noqa: T201 - for a person
        await run_server(instance_app(app, instance_id, token), listener)


def _write_key(folder: Path, key: str) -> Path:
    """For programs of the same user; a terminal or a container's log would show it to others."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "api.key"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(f"{key}\n")
    return path


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
    api.router.routes += routes.router.routes
    root = APIRouter()
    add_health(root, app)
    add_platform_webhooks(root, app)
    api.router.routes += root.routes
    add_docs(api)
    add_problems(api)
    return guarded(app, api)
