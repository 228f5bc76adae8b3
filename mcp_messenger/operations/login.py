"""Logging an instance in: QR codes, pairing codes, and what it waits for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pydantic import Field

from db import history
from db.instances import InstanceRow
from mcp_messenger.errors import NotReady
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import OfInstance, Output
from mcp_messenger.operations.port import port
from mcp_messenger.security import login_codes
from mcp_messenger.security.caller import Caller, instance_of
from providers.capabilities import Capability
from providers.events import Need
from providers.states import InstanceState


class QrAnswer(Output):
    """`png` is a data URI of the picture of `qr`."""

    hidden = frozenset({"png"})

    instance_id: str
    status: str
    qr: str = Field(repr=False)
    png: str = Field(default="", repr=False)
    sequence: int
    issued_at: datetime
    expires_at: datetime
    pairing_code: str | None = Field(default=None, repr=False)

    def pictures(self) -> tuple[tuple[bytes, str], ...]:
        return ((png(self.qr), "image/png"),)


async def get_qr(app: App, caller: Caller, args: OfInstance) -> QrAnswer:
    """Return the QR code that is valid now. Raises NotReady where there is none."""
    row = await instance_of(app.database, caller, args.instance_id)
    code = await history.current_qr(app.database, row.id)
    current = None if code is None or code.expires_at <= datetime.now(UTC) else login_codes.unsealed(app.vault(), row.id, code)
    if code is None or current is None:
        raise NotReady(args.instance_id, InstanceState(row.status), f"There is no QR code now: the instance is {row.status}.")
    return QrAnswer(
        instance_id=str(row.id),
        status=row.status,
        qr=current.qr,
        png=png_data_uri(current.qr),
        sequence=code.sequence,
        issued_at=code.issued_at,
        expires_at=code.expires_at,
        pairing_code=current.pairing_code,
    )


def png_data_uri(content: str) -> str:
    """Return the picture of a QR code as a data URI."""
    import base64

    return "data:image/png;base64," + base64.b64encode(png(content)).decode()


def png(content: str) -> bytes:
    """The QR code as a picture, with the quiet zone that scanners need."""
    import io

    import segno

    out = io.BytesIO()
    segno.make(content, error="m").save(out, kind="png", scale=6, border=4)
    return out.getvalue()


def svg(content: str, *, inline: bool = False) -> str:
    """The same as a drawing, without styles and scripts; `inline` as a part of a page."""
    import io

    import segno

    out = io.BytesIO()
    # Browsers scale what has a viewBox; white beneath, for pages that are dark.
    segno.make(content, error="m").save(
        out, kind="svg", border=4, light="#fff", omitsize=True, xmldecl=not inline, svgns=not inline, svgclass=None, lineclass=None, nl=False
    )
    return out.getvalue().decode()


class RequestPairingCode(OfInstance):
    phone: str = Field(pattern=r"^\+?[0-9][0-9 ()-]{4,24}$", description="the account's number with its country code")


class PairingCode(Output):
    """To be typed on the phone that has the account."""

    pairing_code: str = Field(repr=False)


async def request_pairing_code(app: App, caller: Caller, args: RequestPairingCode) -> PairingCode:
    """Ask the platform for a code to type on the phone. Raises Unsupported, NotReady."""
    row = await instance_of(app.database, caller, args.instance_id)
    digits = "".join(character for character in args.phone if character.isdigit())
    return PairingCode(pairing_code=await (await port(app, row, Capability.PAIRING_CODE)).request_pairing_code(digits))


class AccountAnswer(Output):
    instance_id: str
    provider: str
    account: dict[str, Any]


async def get_account(app: App, caller: Caller, args: OfInstance) -> AccountAnswer:
    """Return who the instance is on the platform. Raises NotReady where nobody has ever logged in."""
    row = await instance_of(app.database, caller, args.instance_id)
    if row.account is None:
        raise NotReady(args.instance_id, InstanceState(row.status), "This instance has not been logged in yet.")
    return AccountAnswer(instance_id=str(row.id), provider=row.provider, account=row.account)


class AuthStatus(Output):
    """`authenticated`: the messenger knows the account by this login. `next_step` says what to do, or to ask a person for."""

    instance_id: str
    state: str
    authenticated: bool
    account: dict[str, Any] | None = None
    needs: str
    reason: str | None = None
    next_step: str = ""


async def get_auth_status(app: App, caller: Caller, args: OfInstance) -> AuthStatus:
    """Return whether the instance is logged in, and what it waits for."""
    return auth_status(await instance_of(app.database, caller, args.instance_id))


NEW_LOGIN = "login"
"""The need of an account that was logged out."""
SETTING = "Do not ask for the token in this chat: the person sets it with PUT /api/v1/instances/{instance_id}/credentials, then call login."
STEPS: Mapping[InstanceState, str] = MappingProxyType(
    {
        InstanceState.CREATED: "Call login: it starts the account.",
        InstanceState.PROCESSING: "It is starting. Call login: it waits for it.",
        InstanceState.STARTING: "It is starting. Call login: it waits for it.",
        InstanceState.QR_READY: "Call login, and have a person scan the code that it shows.",
        InstanceState.AUTHENTICATED: "It is logged in and connecting. Call login: it waits for it.",
        InstanceState.READY: "",
        InstanceState.DEGRADED: "The connection is disturbed and is being restored; sends wait until then.",
        InstanceState.STOPPED: "Call login: it starts the account.",
        InstanceState.ERROR: "Call login: it tries again, and says what is wrong.",
        InstanceState.LOGGED_OUT: "Call login: it begins a new login, for which a person scans a code or gives a new token.",
    }
)
"""What comes next in each state."""


def auth_status(row: InstanceRow) -> AuthStatus:
    """Return an instance's login as callers see it. Whoever could not be asked yet who they are is not logged in."""
    state = InstanceState(row.status)
    is_known = row.account is not None and row.needs == Need.NOTHING
    authenticated = state in {InstanceState.AUTHENTICATED, InstanceState.READY} or (state is InstanceState.DEGRADED and is_known)
    needs = NEW_LOGIN if state is InstanceState.LOGGED_OUT and row.needs == Need.NOTHING else row.needs
    return AuthStatus(
        instance_id=str(row.id),
        state=row.status,
        authenticated=authenticated,
        account=row.account if authenticated else None,
        needs=needs,
        reason=row.status_reason,
        next_step=SETTING.format(instance_id=row.id) if needs == Need.TOKEN else STEPS[state],
    )
