"""How an account is linked: by scanning a QR code, by typing a pairing code, or with an access code."""

import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import anyio

from providers.errors import Forbidden, InvalidRequest, LoggedOut
from providers.events import Need, QrCode, StateChanged
from providers.kit.phones import digits_of
from providers.models import Account
from providers.sandbox.event_queue import EventQueue
from providers.sandbox.people import OWN_ID
from providers.sandbox.settings import ACCESS_CODE_PREFIX, SandboxSettings
from providers.sandbox.world import World
from providers.states import InstanceState

FIRST_QR_LASTS = 60.0
NEXT_QR_LASTS = 20.0
PAIRING_CODE_LASTS = timedelta(seconds=180)
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_NOT_IN_A_CODE = re.compile(r"[^A-Z0-9]")
_PHONE_DIGITS = 7
_PHONE_NUMBER = "+15550199"

Sleep = Callable[[float], Awaitable[None]]


class Login:
    """Owns the state of the instance while it runs. `address` is where the chat page is served, if it is."""

    def __init__(self, world: World, queue: EventQueue, settings: SandboxSettings, *, sleep: Sleep, address: str | None = None) -> None:
        self._world = world
        self._queue = queue
        self._settings = settings
        self._sleep = sleep
        self._address = address
        self._linked = anyio.Event()
        self._word = ""
        self._pairing: tuple[str, str, datetime] | None = None

    async def run(self) -> None:
        self._queue.tell(StateChanged(state=InstanceState.STARTING))
        code = self._settings.access_code
        if code is not None and not code.get_secret_value().startswith(ACCESS_CODE_PREFIX):
            reason = f"The sandbox refused the access code: it does not begin with '{ACCESS_CODE_PREFIX}'."
            self._queue.tell(StateChanged(state=InstanceState.ERROR, reason=reason, needs=Need.TOKEN))
            return
        account = self._world.fact("account")
        if account is not None:
            self._be_ready(Account.model_validate_json(account))
        elif code is not None:
            self._link()
        else:
            await self._link_by_code()

    async def _link_by_code(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show_codes)
            await self._linked.wait()
            tasks.cancel_scope.cancel()

    async def _show_codes(self) -> None:
        sequence = 0
        while not self._linked.is_set():
            lasts = NEXT_QR_LASTS if sequence else FIRST_QR_LASTS
            sequence += 1
            self._word = secrets.token_urlsafe(18)
            now = self._world.now()
            qr = QrCode(content=self._content(), sequence=sequence, issued_at=now, expires_at=now + timedelta(seconds=lasts))
            self._show(qr)
            if self._settings.auto_scan:
                self._link()
                return
            await self._sleep(lasts)

    def _content(self) -> str:
        return f"sandbox:{self._word}" if self._address is None else f"{self._address}/link/{self._word}"

    def _show(self, qr: QrCode) -> None:
        if self._pairing is not None and self._world.now() >= self._pairing[2]:
            self._pairing = None
        code = None if self._pairing is None else self._pairing[0]
        needs = Need.QR if code is None else Need.PAIRING_CODE
        self._queue.tell(StateChanged(state=InstanceState.QR_READY, needs=needs, qr=qr, pairing_code=code))

    def is_current(self, word: str) -> bool:
        """Whether this is the word of the QR code now shown."""
        shown = self._queue.state.qr
        return shown is not None and self._world.now() < shown.expires_at and secrets.compare_digest(word.encode(), self._word.encode())

    def request_pairing_code(self, phone: str) -> str:
        """A code for the chat page, for 180 s. Asked for again, the one before does not work any more."""
        qr = self._waiting_for_scan()
        number = digits_of(phone, _PHONE_DIGITS)
        if number is None:
            raise InvalidRequest("The phone number is not 7 to 15 digits.", hint="Give it with its country code, such as +15550199.")
        code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        code = f"{code[:4]}-{code[4:]}"
        self._pairing = (code, f"+{number}", self._world.now() + PAIRING_CODE_LASTS)
        self._show(qr)
        return code

    def _waiting_for_scan(self) -> QrCode:
        qr = self._queue.state.qr
        if qr is None:
            raise InvalidRequest(f"Nothing to link: it is {self._queue.state.state}.", hint="A linked account must log out first; then start it.")
        return qr

    def scan(self) -> None:
        """The person confirms on the chat page that this device may be linked."""
        self._waiting_for_scan()
        self._link()

    def pair(self, code: str) -> None:
        """The person typed the pairing code."""
        self._waiting_for_scan()
        typed = _NOT_IN_A_CODE.sub("", code.upper())
        if self._pairing is None or self._world.now() >= self._pairing[2]:
            raise Forbidden("No pairing code is valid now.", hint="Ask the instance for a new one.")
        expected, number, _ = self._pairing
        if not secrets.compare_digest(typed.encode(), expected.replace("-", "").encode()):
            raise Forbidden("This is not the pairing code.", hint="Compare it with the one the instance shows.")
        self._link(number)

    def _link(self, phone: str = _PHONE_NUMBER) -> None:
        account = Account(id=OWN_ID, name=self._settings.account_name, username="agent", phone=phone)
        with self._world.change():
            self._world.set_fact("account", account.model_dump_json())
        self._queue.tell(StateChanged(state=InstanceState.AUTHENTICATED, account=account))
        self._be_ready(account)

    def _be_ready(self, account: Account) -> None:
        account = account.model_copy(update={"name": self._settings.account_name})
        self._queue.tell(StateChanged(state=InstanceState.READY, account=account, reason=self._page_hint()))
        self._linked.set()

    def _page_hint(self) -> str | None:
        return None if self._address is None else f"Write as the other side at {self._address}/{self._world.page_token}/"

    def unlink(self, reason: str) -> None:
        """Raises LoggedOut when nobody is logged in."""
        if self._queue.state.state is not InstanceState.READY:
            raise LoggedOut("Nobody is logged in on this sandbox instance.", hint="Call login: it says what it needs.")
        with self._world.change():
            self._world.set_fact("account", None)
        self._queue.tell(StateChanged(state=InstanceState.LOGGED_OUT, reason=reason))
