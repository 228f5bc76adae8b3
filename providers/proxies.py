"""The way out that the environment names, for clients that do not look there themselves, or take more from there than a proxy."""

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from providers.errors import InvalidRequest

if TYPE_CHECKING:
    import aiohttp

_SOCKS = frozenset({"socks5", "socks5h"})
_KINDS = frozenset({"http", "https"}) | _SOCKS


def proxy_for(url: str) -> str | None:
    """Return the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY for an address; None where there is none, or NO_PROXY names the host.

    Raises InvalidRequest for a kind of proxy that cannot be used: a connection must not go around it.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    if "://" not in proxy:
        return f"http://{proxy}"
    kind = urlsplit(proxy).scheme.lower()
    if kind not in _KINDS:
        variable = f"{parts.scheme.upper()}_PROXY" if proxies.get(parts.scheme) else "ALL_PROXY"
        hint = "Name an HTTP or SOCKS5 proxy there, or the host in NO_PROXY, and restart the server."
        raise InvalidRequest(f"{variable} names a proxy of the kind {kind}, which cannot be used.", hint=hint)
    return proxy


def aiohttp_way_out(url: str, tls: ssl.SSLContext, limit: int) -> "tuple[aiohttp.BaseConnector, str | None, aiohttp.BasicAuth | None]":
    """Return a connector of at most `limit` connections, and the HTTP proxy of `proxy_for` with its login, for a client of aiohttp.

    A SOCKS proxy is in the connector, which asks it for the address of a host, too. Raises InvalidRequest as `proxy_for` does.
    """
    import aiohttp  # costs 0.2 s, and half of the messengers need none

    proxy = proxy_for(url)
    parts = urlsplit(proxy or "")
    if proxy is None or parts.scheme.lower() not in _SOCKS:
        login = aiohttp.BasicAuth(parts.username, parts.password or "") if parts.username else None
        return aiohttp.TCPConnector(ssl=tls, limit=limit), proxy and parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), login
    from providers.socks import SocksConnector  # only where there is such a proxy

    return SocksConnector.from_url(parts._replace(scheme="socks5").geturl(), ssl=tls, limit=limit, rdns=True), None, None
