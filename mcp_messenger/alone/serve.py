"""Serves one messenger alone, until it is told to stop."""

import logging
from pathlib import Path

from mcp_messenger.alone.http import program_app
from mcp_messenger.alone.program import running
from mcp_messenger.alone.settings import Alone, account_name
from mcp_messenger.config import Config
from mcp_messenger.instances import classes
from mcp_messenger.net.server import bind, run_server
from mcp_messenger.security import credentials
from mcp_messenger.validation import validated_settings

log = logging.getLogger(__name__)

WELCOME = """{title} alone: {url}/api/v1 (instance {id}, documentation: {url}/docs).
{key} Press Ctrl+C to stop."""


async def serve_alone(config: Config, alone: Alone, provider: str) -> None:
    """Raises InvalidInput for settings that do not fit the messenger, and for a set-up that would let strangers in."""
    cls = await classes.load(provider)
    alone.check(config)
    settings = None if alone.credentials is None else validated_settings(cls.settings_type, provider, alone.credentials)
    listener, config = bind(config)
    # A managed program has its data folder for itself; on a person's computer several accounts share one.
    folder: Path = config.data_dir
    if settings is not None:
        folder /= account_name(provider, credentials.secret_part(settings))
    async with running(config, alone, cls, folder) as program:
        if settings is not None:
            await program.runner.configure(settings, config.public_url)
        key = "Its API key is known by its hash." if program.key.file is None else f"Its API key is in {program.key.file}."
        print(WELCOME.format(title=cls.title, url=config.own_url, id=program.instance_id, key=key), flush=True)  # noqa: T201 - for a person
        await run_server(program_app(program), listener)
