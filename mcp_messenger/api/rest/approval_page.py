"""The page on which a person decides about a call of an agent. Whoever has its address may, once; it ends with the decision.

As the page of the login it has no script. Opening it decides nothing, for programs open links that they find in a chat.
"""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import EDITABLE, ApprovalView, approve_as, by_page, deny_as, view
from mcp_messenger.policy.asking import unsealed
from providers.errors import MessengerError

BY = "page"
STYLE = """
:root { color-scheme: light dark }
body { font: 18px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 36rem; padding: 0 1rem }
h1 { font-size: 1.4rem } dt { opacity: .7 } dd { margin: 0 0 .6rem; overflow-wrap: anywhere }
pre, textarea { box-sizing: border-box; width: 100%; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 1rem; padding: .6rem;
  border: 1px solid GrayText; border-radius: .4rem }
button { font: inherit; padding: .5rem 1rem; margin: 0 .5rem .5rem 0; border-radius: .4rem; border: 1px solid GrayText; min-height: 44px }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'self'"
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "same-origin", "cache-control": "no-store"}
"""Without a referrer of its own site a browser would not say where the form comes from, and the guard would refuse it."""


def approval_page(app: App) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers under /approve/SECRET."""

    async def answer(request: Request) -> Response:
        try:
            row = await by_page(app, request.path_params["secret"])
            shown = view(app, row)
            if request.method == "GET":
                editable = any(name in unsealed(app.vault(), row).arguments for name in EDITABLE)
                return _html("Approve?", _form(shown, editable=editable))
            form = {name: values[0] for name, values in parse_qs((await request.body()).decode(errors="replace")).items()}
            text = form.get("text", "").replace("\r\n", "\n")
            if form.get("decision") == "deny":
                await deny_as(app, row, BY)
            elif shown.kind == "question":
                await approve_as(app, row, BY, answer=text or None)
            else:
                changed = text if text.strip() and text != shown.content.replace("\r\n", "\n") else None
                await approve_as(app, row, BY, message=changed, always=form.get("decision") == "always")
        except MessengerError as error:
            hint = f"<p>{escape(error.hint)}</p>" if error.hint else ""
            return _html("Nothing to decide here", f'<p role="status">{escape(error.detail)}</p>{hint}', status=404)
        return _html("Thank you", '<p role="status">Your decision is kept. This page can be closed.</p>')

    return answer


def _form(shown: ApprovalView, *, editable: bool) -> str:
    facts = {
        "What": shown.operation,
        "To": f"{shown.chat_title} ({shown.chat_id})" if shown.chat_title else shown.chat_id,
        "Why you are asked": shown.reason,
        "Asked by": shown.asked_by,
        "Until": f"{shown.expires_at:%Y-%m-%d %H:%M} UTC",
    }
    known = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    others = {name: value for name, value in shown.arguments.items() if name not in {"to", "question"}}
    details = f"<pre>{escape(json.dumps(others, ensure_ascii=False, indent=1))}</pre>" if others else ""
    is_question = shown.kind == "question"
    words = f"<pre>{escape(shown.content)}</pre>" if shown.content and (is_question or not editable) else ""
    field = ""
    if is_question or editable:
        label = "Your answer" if is_question else "The message; you may change it"
        field = f'<label>{label}<textarea name="text" rows="5">{"" if is_question else escape(shown.content)}</textarea></label>'
    buttons = [("approve", "Answer" if is_question else "Approve"), ("deny", "Deny")]
    if shown.chat_id and not is_question:
        buttons.insert(1, ("always", "Approve, and trust this chat"))
    row = "".join(f'<button name="decision" value="{value}">{label}</button>' for value, label in buttons)
    return f'<dl>{known}</dl>{words}{details}<form method="post">{field}<p>{row}</p></form>'


def _html(title: str, body: str, *, status: int = 200) -> Response:
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(page, status, headers=HEADERS)
