"""The login where people are: the QR code as a drawing that scales, and a page that renews it until somebody is logged in.

The page has no script: what runs on this server's pages could call it as its user.
"""

import base64
import hashlib
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mcp_messenger.api.rest.routes import Answer, Routes
from mcp_messenger.errors import NotReady
from mcp_messenger.instances import classes
from mcp_messenger.operations.login import AuthStatus, QrAnswer, svg
from mcp_messenger.operations.operation import Operation, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import Caller, instance_of
from providers.base import Provider
from providers.models import InstanceState

SVG = "image/svg+xml"
PAGE = "text/html"
SANDBOX = "sandbox"
REFRESH = 2
"""Seconds until the page is asked for again."""

STYLE = """
body { font: 18px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 32rem; padding: 0 1rem; text-align: center; color-scheme: light dark }
h1 { font-size: 1.3rem; line-height: 1.3 }
svg { width: min(100%, 24rem); height: auto }
code { font-size: 1.6rem; letter-spacing: .1em }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
WORDS = {
    InstanceState.CREATED: "It has not been started yet.",
    InstanceState.PROCESSING: "It is starting.",
    InstanceState.STARTING: "It is starting.",
    InstanceState.QR_READY: "Waiting for the code to be scanned. The page renews itself.",
    InstanceState.AUTHENTICATED: "Connecting.",
    InstanceState.READY: "You can close this page.",
    InstanceState.DEGRADED: "The connection is disturbed; it is being restored.",
    InstanceState.STOPPED: "It is stopped. Start it, and the code comes.",
    InstanceState.ERROR: "Something went wrong.",
    InstanceState.LOGGED_OUT: "It was logged out. Ask for a new login, and the code comes.",
}
"""Each state as a person reads it."""

POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'"


def drawing(routes: Routes, row: Operation) -> Answer:
    """Of the QR code of `row`, which is get_qr."""

    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        output = await row.carry_out(routes.app, caller, args, transport=Transport.REST)
        assert isinstance(output, QrAnswer)
        return Response(svg(output.qr), media_type=SVG, headers={"content-security-policy": POLICY})

    return answer


def login_page(routes: Routes, row: Operation) -> Answer:
    """Of the state of `row`, which is get_auth_status, with the QR code where there is one."""
    get_qr = BY_NAME["get_qr"]

    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        status = await row.carry_out(routes.app, caller, args, transport=Transport.REST)
        assert isinstance(status, AuthStatus)
        code = await _code(caller, args) if not status.authenticated else None
        messenger = await classes.load((await instance_of(routes.app.database, caller, args.instance_id)).provider)
        return HTMLResponse(page(status, code, messenger), headers={"content-security-policy": POLICY})

    async def _code(caller: Caller, args: Any) -> QrAnswer | None:
        try:
            output = await get_qr.carry_out(routes.app, caller, args, transport=Transport.REST)
        except NotReady:
            return None
        assert isinstance(output, QrAnswer)
        return output

    return answer


def page(status: AuthStatus, code: QrAnswer | None, messenger: type[Provider]) -> str:
    """Return HTML that refreshes itself until somebody is logged in."""
    refresh = "" if status.authenticated else f'<meta http-equiv="refresh" content="{REFRESH}">'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'{refresh}<link rel="icon" href="data:,"><title>{escape(messenger.title)}: login</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(_parts(status, code, messenger))}</main></body></html>"
    )


def _parts(status: AuthStatus, code: QrAnswer | None, messenger: type[Provider]) -> list[str]:
    name = messenger.title
    is_sandbox = messenger.name == SANDBOX
    title = f"{name}: logged in" if status.authenticated else f"{name}: scan this code" if code else f"{name}: there is no QR code now"
    parts = [f"<h1>{escape(title)}</h1>"]
    if code is not None:
        parts.append(f'<div role="img" aria-label="QR code">{svg(code.qr, inline=True)}</div>')
        # The sandbox has no app: its code is the address of the page that stands in for the phone.
        if is_sandbox and code.qr.startswith(("http://", "https://")):
            link = f'<a href="{escape(code.qr)}" target="_blank" rel="noopener noreferrer">chat page</a>'
            parts.append(f"<p>Scan it with a phone, or open the {link} and link this device there.</p>")
        elif not is_sandbox:
            parts.append(f"<p>Scan it with the app of {escape(name)} on the phone.</p>")
        if code.pairing_code:
            parts.append(f"<p>Or type this code on the phone:<br><code>{escape(code.pairing_code)}</code></p>")
    parts.append(f'<p role="status">{WORDS[InstanceState(status.state)]}</p>')
    if status.reason:
        parts.append(f"<p>{escape(status.reason)}</p>")
    return parts
