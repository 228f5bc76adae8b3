"""The login code as a drawing and as a page, for callers who may see it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mcp_messenger.api.pages.html import Html
from mcp_messenger.api.pages.login import account_page, current_code, held
from mcp_messenger.api.rest.routes import Answer, app_of
from mcp_messenger.operations.account_pages import require_code
from mcp_messenger.operations.login import QrAnswer, svg
from mcp_messenger.operations.operation import Operation, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.security.caller import Caller, instance_of
from providers.words import words_for

SVG = "image/svg+xml"
PAGE = "text/html"
DRAWING_POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"


def drawing(row: Operation) -> Answer:
    """Return what answers with the QR code of `row`, which is get_qr, as a drawing."""

    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        output = await row.carry_out(app_of(request), caller, args, transport=Transport.REST)
        assert isinstance(output, QrAnswer)
        return Response(svg(output.qr), media_type=SVG, headers={"content-security-policy": DRAWING_POLICY})

    return answer


def login_page(row: Operation) -> Answer:
    """Return what answers with the page of `row`, which is get_auth_status, to callers who may see the code."""

    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        app = app_of(request)
        instance = await instance_of(app.database, caller, args.instance_id)
        require_code(instance.provider)
        await BY_NAME["get_qr"].require_scope(app, caller)
        words = words_for(request.headers.get("accept-language"))

        async def render() -> tuple[Html, str]:
            now = await instance_of(app.database, caller, args.instance_id)
            return account_page(words, now, await current_code(app, caller, now))

        return await held(app, request, instance.id, render)

    return answer
