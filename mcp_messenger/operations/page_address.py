"""The address of the pages that people open: the server's own, or that of a server for pages alone, which begins when somebody is sent there."""

import anyio

from mcp_messenger.errors import NotAvailable

WITHIN = 20.0


class PageAddress:
    """`url` is that of a server that listens. After `wait_for_need` there is none: `wanted` is set when a page is needed, and then `opened`."""

    def __init__(self, url: str) -> None:
        self._url: str | None = url
        self.wanted = anyio.Event()
        self._is_open = anyio.Event()

    def wait_for_need(self) -> None:
        """Have no address until somebody needs a page."""
        self._url = None

    def opened(self, url: str) -> None:
        """Store where the pages are from now on, without a slash at the end."""
        self._url = url
        self._is_open.set()

    async def url(self) -> str:
        """Return the address without a slash at the end. Raises NotAvailable where no page can be opened here."""
        if self._url is None:
            self.wanted.set()
            with anyio.move_on_after(WITHIN):
                await self._is_open.wait()
        if self._url is None:
            raise NotAvailable("No page can be opened here.", hint="Start a server with 'mcp-messenger serve', and use 'mcp-messenger add' there.")
        return self._url
