"""The guard through which what is at URLs given by users is fetched; delivery/connections.py has that of webhooks.

Host names are resolved once, every address is checked, and the connection goes to a checked address, so a name that changes its
address between the check and the connection gains nothing. TLS still verifies the host name.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO
from pathlib import PurePosixPath
from socket import SOCK_STREAM
from typing import IO, NoReturn, cast

import anyio
import httpcore
import httpx

from mcp_messenger.errors import FetchFailed, FetchRefused, PayloadTooLarge, quoted
from mcp_messenger.net.network_policy import NetworkPolicy
from mcp_messenger.version import __version__
from providers.text import clean_line

MAX_REDIRECTS = 5

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host. Raises OSError when it has none."""


@dataclass(frozen=True)
class Fetched:
    """What a URL gave. `mime` and `name` are only what the other server says."""

    content: bytes = field(repr=False)
    mime: str | None
    name: str | None


RESOLVED_WITHIN = 2.0
CLOSED_HINT = "Use a public address, or have the operator add the network to MCP_MESSENGER_ALLOW_NETWORKS."
WORDLESS = {
    "ConnectTimeout": "it did not answer in time",
    "ReadTimeout": "it did not answer in time",
    "WriteTimeout": "it did not take the request in time",
    "PoolTimeout": "too many connections to it are open",
    "ConnectError": "no connection could be made",
    "ReadError": "the connection broke",
    "WriteError": "the connection broke",
    "CloseError": "the connection broke",
    "RemoteProtocolError": "it broke the connection off",
    "TimeoutError": "it did not answer in time",
}
"""Errors that say nothing themselves, by name: httpx and aiohttp name them alike."""


async def fetch(
    url: str,
    *,
    max_bytes: int,
    seconds: float,
    allow: NetworkPolicy,
    tls: ssl.SSLContext,
    resolve: Resolve | None = None,
    into: IO[bytes] | None = None,
) -> Fetched:
    """What is at `url`, of at most `max_bytes`, within `seconds` in all.

    With `into` it is written there, and the content that is returned is empty.
    Raises FetchRefused where it may not go, FetchFailed where it gets nothing, PayloadTooLarge.
    """
    target = checked_url(url)
    transport = GuardedTransport(allow, tls=tls, resolve=resolve)
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"mcp-messenger/{__version__}"}
    try:
        with anyio.fail_after(seconds):
            async with (
                httpx.AsyncClient(transport=transport, trust_env=False, timeout=seconds, headers=headers) as client,
                _following(client, target) as response,
            ):
                return await _take(response, max_bytes, BytesIO() if into is None else into, keep=into is None)
    except TimeoutError:
        raise FetchFailed(f"{quoted(target.host)} did not send it whole within {seconds:g} s.") from None
    except httpx.HTTPError as error:
        raise FetchFailed(f"{quoted(target.host)} could not be fetched: {words_of(error)}.") from error


async def require_allowed(url: str, allow: NetworkPolicy) -> None:
    """Raise FetchRefused for a URL that nothing would be sent to; a host that has no address now may have one later."""
    target = checked_url(url)
    port = target.port or (443 if target.scheme == "https" else 80)
    addresses: Sequence[str] = ()
    with anyio.move_on_after(RESOLVED_WITHIN), suppress(OSError, UnicodeError):
        addresses = await _resolve(target.host, port)
    for address in addresses:
        refusal = allow.refusal(address.partition("%")[0], port)
        if refusal is not None:
            raise FetchRefused(f"{quoted(target.host)} {refusal}.", hint=CLOSED_HINT)


def words_of(error: Exception) -> str:
    """Return an error of a transport in words, also where it has none itself."""
    said = clean_line(str(error)).rstrip(".")
    return said or WORDLESS.get(type(error).__name__, "the connection failed")


def checked_url(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL (or where it leads from `base`) taken apart, when it is one that could be allowed. Raises FetchRefused."""
    try:
        parts = httpx.URL(url) if base is None else base.join(url)
    except (httpx.InvalidURL, ValueError):
        parts = None
    if parts is None or (parts.port is not None and not 0 < parts.port < 65536):
        raise FetchRefused("This is not a URL.", hint="Write it as https://host/path, with everything else percent-encoded.")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise FetchRefused("Only http and https URLs can be fetched.", hint="Write it as https://host/path.")
    if parts.userinfo:
        raise FetchRefused("A URL may not hold a user name or password.", hint="Use a URL that works without a login.")
    return parts


class GuardedTransport(httpx.AsyncHTTPTransport):
    """For an `httpx.AsyncClient(transport=..., trust_env=False)` that is to reach URLs given by users. Requests raise FetchRefused too."""

    def __init__(self, policy: NetworkPolicy, *, tls: ssl.SSLContext, resolve: Resolve | None = None) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx has no argument for a network backend; the pool made above has not connected anywhere.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0, network_backend=_Guard(policy, resolve)
        )


class _Guard(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: NetworkPolicy, resolve: Resolve | None) -> None:
        self._policy = policy
        self._resolve = resolve or _resolve
        # Checkers see only the empty class httpcore puts in its place where anyio is missing.
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the name is httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._checked_addresses(host, port)
        share = timeout and timeout / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (the name is httpcore's)
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> NoReturn:
        raise FetchRefused("Unix sockets are not reached through URLs.")

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def _checked_addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host name has no address") from error
        for address in addresses:
            if reason := self._policy.refusal(address, port):
                raise FetchRefused(f"{quoted(host)} {reason}.", hint=CLOSED_HINT)
        if not addresses:
            raise httpcore.ConnectError("the host name has no address")
        return addresses


async def _resolve(host: str, port: int) -> Sequence[str]:
    return list(dict.fromkeys(entry[4][0] for entry in await anyio.getaddrinfo(host, port, type=SOCK_STREAM)))


@asynccontextmanager
async def _following(client: httpx.AsyncClient, url: httpx.URL) -> AsyncGenerator[httpx.Response]:
    """The answer at the end of the redirects, each of which goes through the guard again."""
    for _ in range(MAX_REDIRECTS + 1):
        async with client.stream("GET", url, follow_redirects=False) as response:
            if not response.has_redirect_location:
                yield response
                return
            hop = checked_url(response.headers["Location"], url)
        if url.scheme == "https" and hop.scheme == "http":
            raise FetchRefused(f"{quoted(url.host)} redirects from https to http.", hint="Use the URL it leads to, if that is safe.")
        url = hop
    raise FetchFailed(f"{quoted(url.host)} redirects more than {MAX_REDIRECTS} times.")


async def _take(response: httpx.Response, max_bytes: int, file: IO[bytes], *, keep: bool) -> Fetched:
    host = quoted(response.url.host)
    if not response.is_success:
        raise FetchFailed(f"{host} answered {response.status_code}.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed(f"{host} sends only compressed answers.")
    if _announced(response) > max_bytes:
        raise PayloadTooLarge(max_bytes)
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise PayloadTooLarge(max_bytes)
        file.write(chunk)
    return Fetched(_whole(file) if keep else b"", _mime(response), _name(response))


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _announced(response: httpx.Response) -> int:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0


def _mime(response: httpx.Response) -> str | None:
    return clean_line(response.headers.get("Content-Type", "").partition(";")[0]).lower() or None


def _name(response: httpx.Response) -> str | None:
    disposition = Message()
    disposition["Content-Disposition"] = clean_line(response.headers.get("Content-Disposition", "attachment"))
    name = disposition.get_filename() or PurePosixPath(response.url.path).name
    return clean_line(name) or None
