"""mcp-messenger qr ID: the QR code to log in with, renewed until somebody has scanned it."""

import json
import sys
from typing import Any

import anyio

from mcp_messenger.commands.ps import account_name
from mcp_messenger.commands.server import Server
from mcp_messenger.commands.terminal import qr_code, say
from mcp_messenger.config import Config
from mcp_messenger.errors import ApplicationError, NotAvailable
from providers.text import clean_line

EVERY = 1.0
NO_LOGIN = {
    "stopped": "It is stopped: start it with POST /api/v1/instances/{id}/start.",
    "error": "'mcp-messenger logs {id}' says what is wrong; POST /api/v1/instances/{id}/restart tries again.",
    "logged_out": 'Ask for a new login: POST /api/v1/instances/{id}/process with {{"force_recreate": true}}.',
}
"""What to do in the states in which no code will come."""


async def qr(config: Config, url: str | None, id: str, link: bool, as_json: bool = False) -> None:
    """Return when the instance is logged in, or with `link` when the address of its page is printed. Raises what `log_in` raises."""
    async with Server.at(url, config) as server:
        id = await server.instance_id(id)
        if link:
            page = await server.post(f"/instances/{id}/login-page")
            say(json.dumps(page, indent=2) if as_json else page["url"])
            return
        if as_json:
            say(json.dumps(await _current(server, id), indent=2))
            return
        await log_in(server, id)


async def log_in(server: Server, id: str) -> None:
    """Show the code until the instance is logged in. Raises NotAvailable when it cannot be, by a code."""
    shown: tuple[Any, Any] | None = None
    while True:
        status = await server.get(f"/instances/{id}/auth-status")
        if status["authenticated"]:
            who = account_name(status["account"])
            say("Logged in" + (f" as {clean_line(who)}." if who else "."))
            return
        _refuse_hopeless(id, status)
        code = await _current(server, id)
        if code is not None and (code["sequence"], code["pairing_code"]) != shown:
            shown = code["sequence"], code["pairing_code"]
            _show(code)
        await anyio.sleep(EVERY)


def _refuse_hopeless(id: str, status: dict[str, Any]) -> None:
    state = status["state"]
    reason = clean_line(status["reason"] or "")
    if state in NO_LOGIN:
        raise NotAvailable(f"No code will come: the instance is {state}. {reason}".strip(), hint=NO_LOGIN[state].format(id=id))
    if status["needs"] == "token":
        raise NotAvailable(f"This messenger is logged in to by a token. {reason}".strip(), hint=f"Set it: PUT /api/v1/instances/{id}/credentials.")


async def _current(server: Server, id: str) -> dict[str, Any] | None:
    """None between two codes."""
    try:
        return await server.get(f"/instances/{id}/qr")
    except NotAvailable:
        raise
    except ApplicationError:
        return None


def _show(code: dict[str, Any]) -> None:
    if sys.stdout.isatty():
        say("\x1b[H\x1b[2J")  # the former one must not be scanned
    say(qr_code(code["qr"]))
    # The sandbox has no app: its code is the address of the page that stands in for the phone.
    if code["qr"].startswith(("http://", "https://")):
        say(f"Or open it in a browser: {clean_line(code['qr'])}")
    if code["pairing_code"]:
        say(f"Or type this on the phone: {clean_line(code['pairing_code'])}")
    say(f"Scan it before {code['expires_at']}; a new one comes by itself. Press Ctrl+C to leave.")
