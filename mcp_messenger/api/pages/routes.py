"""Where the pages are. They are opened by the secret in their address, so no caller is asked for."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_messenger.api.pages.accounts import account_pages
from mcp_messenger.api.pages.approval import approval_page
from mcp_messenger.operations.account_pages import ADD, LOGIN
from mcp_messenger.operations.application import App
from mcp_messenger.operations.deciding import PAGE


def page_routes(app: App) -> list[Route]:
    """Return the routes of all pages."""
    pages = {PAGE: approval_page, ADD: account_pages, LOGIN: account_pages}
    return [Route(f"{path}/{{secret}}", _endpoint(app, page), methods=["GET", "POST"]) for path, page in pages.items()]


def _endpoint(app: App, page: Callable[[App, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    # A function, for what is none is an ASGI application to a route.
    handle = partial(page, app)

    async def endpoint(request: Request) -> Response:
        return await handle(request)

    return endpoint
