"""SOCKS proxies for clients of aiohttp."""

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp_socks import ProxyConnector
from python_socks import ProxyError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class SocksConnector(ProxyConnector):
    """Raises ClientProxyConnectionError where the proxy refuses or hangs up; the base class raises errors that aiohttp does not know."""

    async def connect(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - of the base class
    ) -> "Connection":
        try:
            return await super().connect(req, traces, timeout)
        except (ProxyError, asyncio.IncompleteReadError) as error:
            raise aiohttp.ClientProxyConnectionError(req.connection_key, OSError(str(error))) from error
