"""The whole MCP server of the application, for every transport."""

from mcp_messenger.api.mcp.at_client import named
from mcp_messenger.api.mcp.resources import add_completion, add_media, add_prompts, add_resources
from mcp_messenger.api.mcp.server import Authenticate, MessengerServer
from mcp_messenger.api.mcp.subscriptions import Changes
from mcp_messenger.operations.application import App


def whole_server(app: App, authenticate: Authenticate, cls: type[MessengerServer] = MessengerServer) -> tuple[MessengerServer, Changes]:
    """Return a server of this class with tools, resources and prompts; `run` of the second must run while the first serves."""
    server = cls(app, authenticate)
    authenticate = named(authenticate)
    add_resources(server, app, authenticate)
    add_media(server, app, authenticate)
    add_completion(server, app, authenticate)
    add_prompts(server)
    changes = Changes(app, authenticate)
    changes.serve(server)
    app.feed.listeners.append(changes)
    return server, changes
