"""The HTTP server, until a signal stops it."""

from dataclasses import replace
from functools import partial

from mcp_messenger.api.http import HttpApi
from mcp_messenger.api.mcp.server import selected
from mcp_messenger.app import running, stored
from mcp_messenger.commands.client_configuration import http_configuration, stdio_configuration
from mcp_messenger.commands.terminal import say
from mcp_messenger.config import Config
from mcp_messenger.errors import InvalidInput
from mcp_messenger.net.server import bind, run_server
from mcp_messenger.operations.keys import CreateToken, create_user_token
from mcp_messenger.security.caller import ADMIN

WELCOME = """mcp-messenger is running.

  MCP (streamable HTTP)  {url}/mcp
  REST                   {url}/api/v1   documentation: {url}/docs
  health                 {url}/health

For an MCP client that speaks HTTP:
{http}

For one that starts its servers itself, such as Claude Desktop:
{stdio}

Try it:  curl -s {url}/api/v1/instances -H 'Content-Type: application/json' -d '{{"provider": "sandbox", "credentials": {{"auto_scan": true}}}}'
Data is in {data}. Press Ctrl+C to stop."""


async def serve(config: Config) -> None:
    """Raises Conflict when the port is taken."""
    selected(config)
    config.check()
    if config.containers.enabled is None:
        config = replace(config, containers=replace(config.containers, enabled=True))
    listener, config = bind(config)
    async with running(config, shares=True) as app:
        asgi = HttpApi(app)
        welcome = WELCOME.format(
            url=config.own_url,
            http=http_configuration(config.own_url, with_token=config.admin_token is not None),
            stdio=stdio_configuration(),
            data=config.data_dir,
        )
        await run_server(
            asgi, listener, ends=asgi.end_streams, welcome=partial(say, welcome), beside=app.addresses.run, proxies=config.trusted_proxies
        )


async def print_token(config: Config, user: str) -> None:
    """Make a token for a user and print it; it is not stored in the clear. Raises InvalidInput without a user."""
    if not user:
        raise InvalidInput("Whose token?", hint="mcp-messenger token USER")
    async with stored(config) as app:
        answer = await create_user_token(app, ADMIN, CreateToken(user_id=user))
        print(answer.token)  # noqa: T201 - the answer
