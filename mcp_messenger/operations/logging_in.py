"""Logs an account in: starts the instance, shows the code that a person scans, and waits until it is done or cannot be done."""

from datetime import UTC, datetime

import anyio
from pydantic import Field

from db import history
from db.instances import InstanceRow
from mcp_messenger.errors import ShuttingDown
from mcp_messenger.operations.account_pages import get_login_page
from mcp_messenger.operations.application import App
from mcp_messenger.operations.lifecycle import ProcessInstance, process_instance, restart_instance, start_instance
from mcp_messenger.operations.login import AuthStatus, auth_status, png
from mcp_messenger.operations.operation import OfInstance
from mcp_messenger.progress import doing
from mcp_messenger.security import login_codes
from mcp_messenger.security.caller import Caller, instance_of
from providers.events import Need
from providers.setup import setup_of
from providers.states import InstanceState

START_WITHIN = 90.0
"""Seconds that an account is given to show its code, or to be ready: a browser may have to start."""
LONGEST_WAIT = 300.0
ENDS = frozenset({InstanceState.READY, InstanceState.DEGRADED, InstanceState.ERROR, InstanceState.LOGGED_OUT, InstanceState.STOPPED})
AFRESH = frozenset({InstanceState.LOGGED_OUT})
AGAIN = frozenset({InstanceState.ERROR})
IDLE = frozenset({InstanceState.CREATED, InstanceState.STOPPED})


class Login(OfInstance):
    wait: float = Field(default=0.0, ge=0, le=LONGEST_WAIT, description="seconds to wait for the person, once you have shown them the code")


class LoginAnswer(AuthStatus):
    """`next_step` says what to do or to tell the person. The code is beside it as a picture, until `expires_at`."""

    hidden = frozenset({"qr"})

    qr: str = Field(default="", repr=False)
    page: str | None = Field(default=None, repr=False)
    """The address of a page that shows the code, for a person."""
    link: str | None = Field(default=None, repr=False)
    """The address that the code opens, where it is one."""
    pairing_code: str | None = Field(default=None, repr=False)
    expires_at: datetime | None = None

    def pictures(self) -> tuple[tuple[bytes, str], ...]:
        return ((png(self.qr), "image/png"),) if self.qr else ()


async def login(app: App, caller: Caller, args: Login) -> LoginAnswer:
    """Start the instance where it does not run, with a new login where it was logged out, and wait for its code or for the end of the login.

    Returns as soon as there is a code that was not there before, and with `wait` when it was scanned or has changed, or the time is over.
    Raises NoSuchInstance, and what starting raises.
    """
    row = await instance_of(app.database, caller, args.instance_id)
    state = InstanceState(row.status)
    shown = (await _code(app, row))[1] if state is InstanceState.QR_READY and args.wait else None
    before = None
    if state in AFRESH:
        await process_instance(app, caller, ProcessInstance(instance_id=args.instance_id, force_recreate=True))
    elif state in AGAIN and row.desired == "running":
        await restart_instance(app, caller, args)
    elif state in IDLE | AGAIN:
        before = state if state in IDLE else None
        await start_instance(app, caller, args)
    deadline = anyio.current_time() + (args.wait if shown is not None else max(args.wait, START_WITHIN))
    while True:
        async with app.feed.waiter(row.id) as grown:
            row = await instance_of(app.database, caller, args.instance_id)
            answer = await _answer(app, caller, row, shown)
            is_settled = answer.state in ENDS and answer.state != before
            if is_settled or answer.qr or anyio.current_time() >= deadline:
                return answer
            doing(f"The account is {answer.state}{f': {row.status_reason}' if row.status_reason else ''}")
            before = None if answer.state not in IDLE else before
            if app.feed.ends.is_set():
                raise ShuttingDown("This server stops before the login is over.", hint="Call login again in a few seconds.")
            with anyio.move_on_after(deadline - anyio.current_time()):
                await grown.wait()


async def _code(app: App, row: InstanceRow) -> tuple[login_codes.Codes | None, int | None, datetime | None]:
    """Return the code that is valid now, its number and its end; None: there is none."""
    code = await history.current_qr(app.database, row.id)
    if code is None or code.expires_at <= datetime.now(UTC):
        return None, None, None
    return login_codes.unsealed(app.vault(), row.id, code), code.sequence, code.expires_at


async def _answer(app: App, caller: Caller, row: InstanceRow, shown: int | None) -> LoginAnswer:
    """Return how the login is. A code with the number `shown` is not shown again."""
    status = auth_status(row)
    code, number, expires_at = (await _code(app, row)) if status.state == InstanceState.QR_READY else (None, None, None)
    is_new = code is not None and number != shown
    if status.needs == Need.TOKEN:
        where = " ".join(ask.where for ask in setup_of(row.provider).asks if ask.secret and ask.required)
        status = status.model_copy(update={"next_step": f"{status.next_step} {where}".strip()})
    answer = LoginAnswer.model_validate(status.model_dump())
    if code is None:
        return answer
    if not is_new:
        return answer.model_copy(update={"next_step": "Nobody has scanned the code yet. Call login with wait again, or ask the person."})
    page = (await get_login_page(app, caller, OfInstance(instance_id=str(row.id)))).url
    link = code.qr if _is_address(code.qr) else None
    return answer.model_copy(
        update={"qr": code.qr, "page": page, "link": link, "pairing_code": code.pairing_code, "expires_at": expires_at, "next_step": _taps(row)}
    )


def _taps(row: InstanceRow) -> str:
    """Return what to tell the person who is to scan the code."""
    taps = " ".join(setup_of(row.provider).scan)
    return f"Show the person the code, or the page, which renews it. Tell them: {taps} Then call login with wait: 120."


def _is_address(code: str) -> bool:
    return code.startswith(("http://", "https://"))
