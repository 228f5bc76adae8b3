"""Where the server listens, how others reach it, and who may come in."""

import socket
from typing import Any

import httpx

from mcp_messenger.checks.finding import Finding, Verdict, failed, ok, problem, warning
from mcp_messenger.config import PREFIX, Config
from mcp_messenger.errors import InvalidInput
from mcp_messenger.net.fetch import words_of
from providers.text import clean_line

PORT, PUBLIC, KEYS = "port", "public URL", "keys"
SHORTEST_TOKEN = 24
WITHIN = 5.0


def check_port(config: Config, health: dict[str, Any] | None) -> list[Finding]:
    """`health` is what our server says of itself, if one answers."""
    place = f"{config.host}:{config.port}"
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            if health is not None:
                return [ok(PORT, f"{place} is in use by a server of ours.")]
            holder = _holder(config.port)
            return [problem(PORT, f"{place} cannot be used: {error.strerror}{holder}.", "Stop what uses it, or give another with --port.")]
    return [ok(PORT, f"{place} is free.")]


def _holder(port: int) -> str:
    """Who listens there, as far as we may see."""
    import psutil

    try:
        listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port]
        names = {f"{psutil.Process(one.pid).name()} ({one.pid})" for one in listening if one.pid}
    except psutil.Error:
        return ""
    return f", by {', '.join(sorted(map(clean_line, names)))}" if names else ""


async def check_public_url(config: Config) -> list[Finding]:
    url = config.public_url
    if url is None:
        return [ok(PUBLIC, f"None: only platforms that deliver by webhook need {PREFIX}PUBLIC_URL.")]
    if not url.startswith("https://"):
        return [warning(PUBLIC, f"{url} is not https.", "Platforms deliver to https only; put a proxy with a certificate before the server.")]
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=WITHIN) as client:
            answer = await client.get(f"{url}/health")
            known = "version" in answer.json()
    except (httpx.HTTPError, ValueError) as error:
        detail = f"{url} does not answer from here: {words_of(error)}."
        return [warning(PUBLIC, detail, "Start the server, and look at the proxy, its certificate and the name's address.")]
    if not known:
        return [problem(PUBLIC, f"What answers at {url} is not mcp-messenger.", "Let the proxy pass requests on to the server.")]
    return [ok(PUBLIC, f"{url} answers.")]


def check_keys(config: Config) -> list[Finding]:
    try:
        config.check()
    except InvalidInput as error:
        return [failed(KEYS, error)]
    token = config.admin_token
    if token is None:
        return [ok(KEYS, "No admin token: whoever can log in to this computer is the administrator.")]
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        return [
            Finding(KEYS, Verdict.WARNING, f"The admin token is shorter than {SHORTEST_TOKEN} characters.", "Set a long random value in its place.")
        ]
    return [ok(KEYS, "The admin token is set.")]
