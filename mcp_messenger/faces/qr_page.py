"""The login code where people are: as an SVG, and as a page that renews itself until somebody has logged in. No script, nothing from elsewhere."""

import io
from datetime import UTC, datetime
from html import escape

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from mcp_messenger.caller import Caller
from mcp_messenger.errors import NotReady
from mcp_messenger.faces.rest import Routes
from mcp_messenger.operations import login
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.operations.table import I

SVG = "image/svg+xml"
RENEW_EVERY = 2
"""Seconds."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{renewal}<title>{title}</title>
<style>body{{font:18px system-ui;text-align:center;margin:2rem}}img{{width:min(80vw,22rem);image-rendering:pixelated}}code{{font-size:1.6rem}}</style>
</head><body><h1>{title}</h1>{body}</body></html>"""


def add_qr_page(routes: Routes) -> None:
    code_of, status_of = routes.row("get_qr"), routes.row("get_auth_status")
    assert code_of is not None
    assert status_of is not None

    async def code(caller: Caller, args: OfInstance) -> login.QrAnswer:
        answer = await code_of.carry_out(routes.app, caller, args)
        assert isinstance(answer, login.QrAnswer)
        return answer

    async def svg(request: Request, caller: Caller, args: OfInstance) -> Response:
        return Response(picture((await code(caller, args)).qr), media_type=SVG)

    async def page(request: Request, caller: Caller, args: OfInstance) -> Response:
        status = await status_of.carry_out(routes.app, caller, args)
        assert isinstance(status, login.AuthStatus)
        try:
            return _html("Scan to log in", _to_scan(await code(caller, args)), renews=True)
        except NotReady:
            return _html(f"The instance is {status.state}", _where_it_stands(status), renews=status.state != "ready")

    routes.add(code_of, f"{I}/qr.svg", name="get_qr__svg", answer=svg, media=(SVG,))
    routes.add(code_of, f"{I}/qr-page", name="get_qr__page", answer=page, media=("text/html",))


def picture(content: str) -> bytes:
    """The QR code with the quiet zone that scanners need."""
    import segno

    out = io.BytesIO()
    segno.make(content, error="m").save(out, kind="svg", scale=8, border=4, light="white")
    return out.getvalue()


def _to_scan(code: login.QrAnswer) -> str:
    seconds = max(0, round((code.expires_at - datetime.now(UTC)).total_seconds()))
    pairing = f"<p>or type this code on the phone: <code>{escape(code.pairing_code)}</code></p>" if code.pairing_code else ""
    return f'<img alt="QR code" src="{code.png}">{pairing}<p>Code {code.sequence}, good for {seconds} s; the next one comes by itself.</p>'


def _where_it_stands(status: login.AuthStatus) -> str:
    reason = f"<p>{escape(status.reason)}</p>" if status.reason and not status.authenticated else ""
    return "<p>You are logged in and can close this page.</p>" if status.state == "ready" else f"<p>Needs: {escape(status.needs)}.</p>{reason}"


def _html(title: str, body: str, *, renews: bool) -> Response:
    renewal = f'<meta http-equiv="refresh" content="{RENEW_EVERY}">' if renews else ""
    return HTMLResponse(PAGE.format(title=escape(title), body=body, renewal=renewal), headers={"content-security-policy": POLICY})
