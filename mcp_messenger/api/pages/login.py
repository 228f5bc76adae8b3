"""The login where people are: the QR code as a drawing, the taps on the phone, the time left, and what to do when it is done."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

import anyio
from starlette.requests import Request
from starlette.responses import Response

from db.instances import InstanceRow
from mcp_messenger.api.pages.html import Html, tag
from mcp_messenger.api.pages.layout import document, linked, listed, respond, tag_of, waits
from mcp_messenger.config import NO_ADDRESS
from mcp_messenger.errors import NotReady
from mcp_messenger.operations.application import App
from mcp_messenger.operations.login import QrAnswer, auth_status, get_qr, svg
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.security.caller import Caller
from providers.setup import Setup, setup_of
from providers.states import InstanceState
from providers.words import Words

HELD = 25.0
"""Seconds that a browser may wait for a change."""
LOOK_EVERY = 2.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ = str
"""Marks a text for the catalogues; it is translated where it is shown."""
WORDS = {
    InstanceState.CREATED: _("It has not been started yet."),
    InstanceState.PROCESSING: _("It is starting."),
    InstanceState.STARTING: _("It is starting."),
    InstanceState.QR_READY: _("Waiting for the code to be scanned."),
    InstanceState.AUTHENTICATED: _("Connecting."),
    InstanceState.READY: _("It is connected. You can close this page."),
    InstanceState.DEGRADED: _("It is logged in, and something is not as it should be."),
    InstanceState.STOPPED: _("It is stopped. Start it, and the code comes."),
    InstanceState.ERROR: _("Something went wrong."),
    InstanceState.LOGGED_OUT: _("It was logged out. Ask for a new login, and the code comes."),
}
"""Each state as a person reads it."""

Render = Callable[[], Awaitable[tuple[Html, str]]]


async def current_code(app: App, caller: Caller, row: InstanceRow) -> QrAnswer | None:
    """Return the code that is valid now; None where there is none, or nobody needs it."""
    if auth_status(row).authenticated or not setup_of(row.provider).has_code:
        return None
    try:
        return await get_qr(app, caller, OfInstance(instance_id=str(row.id)))
    except NotReady:
        return None


async def held(app: App, request: Request, instance_id: UUID, render: Render) -> Response:
    """Return a page, or where the browser shows it already, wait for as long as it asks until it has changed; then 304."""
    seen = request.headers.get("if-none-match", "").strip('"')
    deadline = anyio.current_time() + waits(request.headers.get("prefer"), HELD)
    while True:
        async with app.feed.waiter(instance_id) as grown:
            page, mark = await render()
            if mark != seen:
                return respond(page, mark=mark)
            left = deadline - anyio.current_time()
            if left <= 0 or app.feed.ends.is_set():
                return Response(status_code=304, headers={"etag": f'"{mark}"'})
            with anyio.move_on_after(min(LOOK_EVERY, left)):
                await grown.wait()


def account_page(
    words: Words, row: InstanceRow, code: QrAnswer | None, *, takes_phone: bool = False, refusal: str | None = None, webhook: str | None = None
) -> tuple[Html, str]:
    """Return the page of an account that is logging in, or has, and the mark of its content.

    `takes_phone`: a form asks for a pairing code. `refusal` is why that could not be done, `webhook` the address to give to the platform.
    """
    say, setup, status = words.say, setup_of(row.provider), auth_status(row)
    title = say("{0}: logged in") if status.authenticated else say("{0}: log in") if code or setup.has_code else say("{0}: connecting")
    mark = tag_of(words.language, row.status, row.status_reason, row.name, row.account, code and (code.sequence, code.pairing_code), refusal)
    body = [tag("p", f"{say('Account')}: {name_of(row)}", class_="soft")]
    if code is not None:
        body.append(tag("div", _code(words, code), _taps(words, setup, code, takes_phone=takes_phone, refusal=refusal), class_="login coded"))
    state = [tag("p", say(WORDS[InstanceState(row.status)]), role="status", class_="good" if status.authenticated else None)]
    if row.status_reason and row.status != InstanceState.READY:
        state.append(tag("p", row.status_reason, class_="bad" if row.status == InstanceState.ERROR else None))
    body.append(tag("div", *state, class_="panel"))
    if status.authenticated:
        body.append(_next_steps(words, row, setup, webhook))
    return document(words, title.replace("{0}", setup.title), *body, mark=mark), mark


def name_of(row: InstanceRow) -> str:
    """Return an account as a person knows it: by its owner's name for it, its own, or the beginning of its id."""
    account = row.account or {}
    known = row.name or str(account.get("name") or account.get("username") or account.get("phone") or "")
    return f"{known} ({str(row.id)[:8]})" if known else str(row.id)[:8]


def _code(words: Words, code: QrAnswer) -> Html:
    say = words.say
    parts = [tag("div", Html(svg(code.qr, inline=True)), role="img", aria_label=say("QR code"))]
    # The sandbox has no app: its code is the address of the page that stands in for the phone.
    if code.qr.startswith(("http://", "https://")):
        parts.append(tag("a", say("Open the chat page"), href=code.qr, target="_blank", rel="noopener noreferrer", class_="button", id="chat-page"))
        if urlsplit(code.qr).hostname in LOOPBACK:
            parts.append(tag("p", say("The code leads to this computer: a phone cannot reach it. Use the link."), class_="soft"))
    left = max(0, round((code.expires_at - datetime.now(UTC)).total_seconds()))
    counted = say("A new code comes in {0}.")
    parts.append(tag("p", counted.replace("{0}", f"{left // 60}:{left % 60:02}"), data_left=left, data_words=counted, class_="soft"))
    return tag("div", *parts, class_="panel code")


def _taps(words: Words, setup: Setup, code: QrAnswer, *, takes_phone: bool, refusal: str | None) -> Html:
    say = words.say
    parts = [tag("h2", say("What to do")), listed(words, setup.scan)]
    if code.pairing_code:
        parts += [tag("h2", say("Or type this code")), tag("p", code.pairing_code, class_="pair"), listed(words, setup.pair)]
    elif takes_phone and setup.pair:
        label = tag("label", say("The phone's number, with its country code"), for_="phone")
        field = tag("input", id="phone", name="phone", type="tel", autocomplete="tel", required=True, placeholder="+15550100")
        form = tag("form", label, tag("p", field), tag("button", say("Show a code to type")), method="post")
        parts.append(tag("details", tag("summary", say("Without a camera: type a code instead")), form, id="by-phone"))
    if refusal:
        parts.append(tag("p", refusal, class_="bad", role="alert"))
    return tag("div", *parts, class_="panel")


def unreached(words: Words) -> str:
    """Return what is to be done before a messenger can bring anything to a webhook's address that is none yet."""
    return words.say(
        "The messenger has to reach it from the internet: whoever runs this server sets MCP_MESSENGER_PUBLIC_URL to the address that it has there."
    )


def _next_steps(words: Words, row: InstanceRow, setup: Setup, webhook: str | None) -> Html:
    say = words.say
    steps = [linked(say(setup.then))] if setup.then else []
    # The sandbox's page goes on being of use.
    page = row.status_reason or ""
    if row.provider == "sandbox" and (at := page.find("http")) >= 0:
        steps.append(tag("a", say("Open the chat page"), href=page[at:].split()[0].rstrip("."), target="_blank", rel="noopener noreferrer"))
    if webhook is not None:
        steps.append(tag("span", f"{say('The address of the webhook')}: ", tag("code", webhook)))
        if webhook.startswith(NO_ADDRESS):
            steps.append(tag("span", unreached(words)))
    steps.append(tag("span", say("Say to your agent: “What is new on {0}?”").replace("{0}", setup.title)))
    return tag("div", tag("h2", say("What comes next")), tag("ul", *(tag("li", step) for step in steps)), class_="panel")
