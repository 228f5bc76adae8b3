"""The connections on which events are posted: every one is checked at the very address it goes to.

aiohttp, since a POST costs it a thirtieth of what it costs httpcore, whose pool looks at each of its connections each time.
"""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp_messenger.errors import FetchRefused
from mcp_messenger.net.network_policy import NetworkPolicy

if TYPE_CHECKING:
    import aiohttp

SECONDS = 15.0
"""For connecting, sending and the whole answer."""
CONNECT_SECONDS = 5.0
"""For one round of a host's addresses."""
KEPT_SECONDS = 4.0
"""Shorter than the 5 s after which common servers close a connection, so that none is closed under a POST."""


@asynccontextmanager
async def connections(policy: NetworkPolicy, *, tls: ssl.SSLContext, at_once: int) -> AsyncGenerator["aiohttp.ClientSession"]:
    """Nothing of an answer is remembered or unpacked, and no proxy is used. Requests raise FetchRefused where the policy says so."""
    import aiohttp

    def checked(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = address
        if reason := policy.refusal(host.partition("%")[0], port):
            raise FetchRefused(
                f"The webhook's host {reason}.",
                hint="Use a public address, or have the operator add the network to MCP_MESSENGER_ALLOW_NETWORKS.",
            )
        return socket.socket(family, kind, protocol)

    # One address after the other: raced, a refusal would pass for an address that does not answer.
    connector = aiohttp.TCPConnector(
        ssl=tls, limit=at_once, keepalive_timeout=KEPT_SECONDS, happy_eyeballs_delay=None, socket_factory=checked, use_dns_cache=False
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=SECONDS, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session
