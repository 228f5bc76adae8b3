"""The HTTP server, until a signal stops it."""

from dataclasses import replace

import anyio

from db.errors import StoreUnavailable
from mcp_messenger.api.http import HttpApi
from mcp_messenger.api.mcp.server import selected
from mcp_messenger.app import running, stored
from mcp_messenger.commands.client_configuration import http_configuration, stdio_configuration, typed
from mcp_messenger.commands.server_address import noted
from mcp_messenger.commands.terminal import say, working
from mcp_messenger.config import DEFAULT_PORT, PREFIX, Config
from mcp_messenger.errors import InvalidInput
from mcp_messenger.net.gateways import is_in_image
from mcp_messenger.net.server import bind, run_server
from mcp_messenger.operations.application import App
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN
from providers.text import clean_line

WELCOME = """mcp-messenger is running.

  MCP (streamable HTTP)  {url}/mcp
  REST                   {url}/api/v1   documentation: {url}/docs
  health                 {url}/health

For an MCP client that speaks HTTP:
{http}

For one that starts its servers itself, such as Claude Desktop ('{command} clients' has Claude Code, Cursor and VS Code):
{stdio}

Add an account:  {command} add{at}
Try it:  curl -s {url}/api/v1/instances {bearer}-H 'Content-Type: application/json' \\
  -d '{{"provider": "sandbox", "credentials": {{"auto_scan": true}}}}'
Data is in {data}. Press Ctrl+C to stop."""
NOT_YET = """mcp-messenger listens at {url}, and cannot work yet: {reason}
{hint}
It goes on trying, and says when it works. Press Ctrl+C to stop."""
IN_A_CONTAINER = """This is a container, and {host} is reached from inside it alone: a published port such as -p 3000:3000 leads to nothing.
Start it so that it is reached from the computer that it runs on, and from no other:
  docker run -p 127.0.0.1:3000:{port} -e {prefix}HOST=0.0.0.0 -e {prefix}TRUST_GATEWAY=1 -v mcp-messenger:/data IMAGE
or from others too, with a long random value as the token:
  docker run -p 3000:{port} -e {prefix}HOST=0.0.0.0 -e {prefix}ADMIN_TOKEN=TOKEN -v mcp-messenger:/data IMAGE
"""
LOOK_EVERY = 1.0


async def serve(config: Config) -> None:
    """Raises Conflict when the port is taken."""
    selected(config)
    config.check()
    if config.containers.enabled is None:
        config = replace(config, containers=replace(config.containers, enabled=True))
    listener, config = bind(config)
    if config.is_loopback and is_in_image():
        say(IN_A_CONTAINER.format(host=config.host, port=config.port, prefix=PREFIX))
    async with running(config, shares=True) as app:
        asgi = HttpApi(app)
        welcome = WELCOME.format(
            url=config.own_url,
            http=http_configuration(config.own_url, with_token=config.admin_token is not None),
            stdio=stdio_configuration(),
            at="" if config.port == DEFAULT_PORT else f" --url {config.own_url}",
            bearer="" if config.admin_token is None else f'-H "Authorization: Bearer ${PREFIX}ADMIN_TOKEN" ',
            data=config.data_dir,
            command=typed(),
        )
        listens = anyio.Event()
        with noted(config):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_greet, app, listens, welcome)
                ended, beside, proxies = asgi.end_streams, app.addresses.run, config.trusted_proxies
                await run_server(asgi, listener, ends=ended, welcome=listens.set, beside=beside, proxies=proxies)
                tasks.cancel_scope.cancel()


async def _greet(app: App, listens: anyio.Event, welcome: str) -> None:
    """Say that the server runs when it can work; before that, each reason why it cannot, once."""
    await listens.wait()
    said = ""
    while True:
        try:
            with working("The store starts", lambda: app.database.stage):
                await app.database.started()
            say(welcome)
            return
        except StoreUnavailable as error:
            if error.detail != said:
                say(NOT_YET.format(url=app.config.own_url, reason=clean_line(error.detail), hint=clean_line(error.hint or "")))
            said = error.detail
        await anyio.sleep(LOOK_EVERY)


async def print_token(config: Config, user: str, as_json: bool = False) -> None:
    """Make a token for a user and print it; it is not stored in the clear. Raises InvalidInput without a user."""
    if not user:
        raise InvalidInput("Whose token?", hint="mcp-messenger token USER")
    async with stored(config) as app:
        answer = await create_user_token(app, ADMIN, CreateToken(user_id=user))
        say(answer.model_dump_json(indent=2) if as_json else answer.token)
