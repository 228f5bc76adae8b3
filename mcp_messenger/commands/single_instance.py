"""The application with one instance and its own store: the modes of one messenger, such as telegram-api."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from db import addresses
from mcp_messenger.api.http import HttpApi
from mcp_messenger.app import running
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import PREFIX, Config
from mcp_messenger.config.settings import Setting
from mcp_messenger.errors import InvalidInput
from mcp_messenger.instances import classes
from mcp_messenger.net.server import bind, run_server
from mcp_messenger.operations import instances, lifecycle
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security import credentials
from mcp_messenger.security.caller import ADMIN
from mcp_messenger.validation import validated_settings
from providers.base import Settings

SETTINGS = (
    Setting(
        PREFIX + "CREDENTIALS", "the messenger's settings as a JSON object; or --credentials-file. Telegram: TELEGRAM_BOT_TOKEN, TELEGRAM_BASE_URL"
    ),
)
"""Besides those of config.SETTINGS."""

WELCOME = """{title}: {url}/api/v1 (instance {id}).

  MCP (streamable HTTP)  {url}/mcp
  documentation          {url}/docs
  health                 {url}/health
  API key                {url}/api/v1/current-api-key

Data is in {data}. Press Ctrl+C to stop."""


async def serve_single_instance(config: Config, provider: str, given: Mapping[str, Any]) -> None:
    """Serve the address of one instance, which is made at the first start with these settings.

    Each account has a folder with a store, found again by its secrets; a database that is set for other modes is not touched.
    Raises InvalidInput for settings that do not fit the messenger, and Conflict when the port is taken.
    """
    cls = await classes.load(provider)
    settings = validated_settings(cls.settings_type, provider, given)
    listener, config = bind(config, "--api-port")
    folder = config.data_dir / account_name(provider, credentials.secret_part(settings))
    containers = replace(config.containers, enabled=False, swarm=None)
    config = replace(config, data_dir=folder, database_url=None, direct_database_url=None, ports=None, containers=containers)
    async with running(config, shares=True) as app:
        instance_id = await _instance(app, provider, settings)
        await addresses.claim(app.database, instance_id, config.port, former=await _former_port(app, instance_id))
        asgi = HttpApi(app, only=instance_id)
        welcome = WELCOME.format(title=cls.title, url=config.own_url, id=instance_id, data=folder)
        await run_server(asgi, listener, ends=asgi.end_streams, welcome=partial(say, welcome), proxies=config.trusted_proxies)


async def _former_port(app: App, instance_id: UUID) -> int | None:
    known = (await addresses.of_instances(app.database, [instance_id])).get(instance_id)
    return known and known.tcp_port


async def _instance(app: App, provider: str, settings: Settings) -> UUID:
    """Return the id of the one instance of the store, made where there is none, with these settings, and started."""
    values = settings.model_dump(mode="json", exclude=set(settings.secret_fields())) | credentials.secret_part(settings)
    page = await instances.list_instances(app, ADMIN, instances.ListInstances(limit=1))
    if not page.instances:
        create = instances.CreateInstance(provider=provider, credentials=values, type_instance=["api", "mcp"], runtime="process")
        return UUID((await instances.create_instance(app, ADMIN, create)).instance_id)
    known = page.instances[0]
    of = OfInstance(instance_id=known.id)
    if known.settings != credentials.public_part(settings):
        await instances.update_instance(app, ADMIN, instances.UpdateInstance(instance_id=known.id, credentials=values))
        await lifecycle.restart_instance(app, ADMIN, of)
    else:
        # Whoever starts the program wants it to run, though it was stopped over its API.
        await lifecycle.start_instance(app, ADMIN, of)
    return UUID(known.id)


def account_name(provider: str, secrets: Mapping[str, str]) -> str:
    """Return the name of an account's folder: the same at each start with the same secrets."""
    text = f"{provider}:" + "".join(secrets[name] for name in sorted(secrets))
    return f"{provider}-api-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def settings_from(environ: Mapping[str, str], provider: str, *, given: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """Return the messenger's settings: those `given` on the command line go before those of the file, or of the environment.

    Raises InvalidInput naming what cannot be read.
    """
    text, where = environ.get(PREFIX + "CREDENTIALS", "").strip(), f"{PREFIX}CREDENTIALS"
    if file is not None:
        where = str(file)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{where} cannot be read: {error.strerror}.", hint="Check --credentials-file.") from error
    try:
        found: object = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # Not what is in it: that is secret.
        raise InvalidInput(f"{where} holds no JSON object.", hint='Write it like {"token": "..."}.')
    settings = {**cast("dict[str, Any]", found), **given}
    if provider == "telegram":
        named = {"token": environ.get("TELEGRAM_BOT_TOKEN"), "base_url": environ.get("TELEGRAM_BASE_URL")}
        settings = {**{name: value for name, value in named.items() if value}, **settings}
        if not settings.get("token"):
            raise InvalidInput("No bot token.", hint="Set TELEGRAM_BOT_TOKEN, or give --telegram-bot-token.")
    return settings
