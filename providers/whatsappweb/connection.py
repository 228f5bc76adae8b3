"""Keeps one account's WhatsApp Web running: starts the bridge, and starts it again when it ends or stops being of use."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from providers.base import Deliver
from providers.errors import LoggedOut, MessengerError, Unreachable
from providers.events import Event, StateChanged
from providers.kit.backoff import jittered
from providers.kit.delivery import StateReporter, deliver_until_taken
from providers.states import InstanceState
from providers.text import clean_line
from providers.whatsappweb.arrivals import Arrivals
from providers.whatsappweb.client import UNREAD_LINE, Bridge, BridgeEvent, BridgeRefused
from providers.whatsappweb.directory import Directory
from providers.whatsappweb.echoes import Echoes
from providers.whatsappweb.governor import Governor
from providers.whatsappweb.inbound import NOT_OF_ITS_FORM, Me
from providers.whatsappweb.login import Login
from providers.whatsappweb.machine import Machine
from providers.whatsappweb.rest import SUSPENDED, Rest
from providers.whatsappweb.settings import WhatsAppWebSettings
from providers.whatsappweb.timing import Timing

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# WhatsApp's states of the socket in which starting again cannot help, and what can.
_HOPELESS = {
    "TOS_BLOCK": "WhatsApp has blocked this number for breaking its terms of service. Open WhatsApp on the phone and ask for a review.",
    "SMB_TOS_BLOCK": "WhatsApp has blocked this business number for breaking its terms of service. Open WhatsApp on the phone and ask for a review.",
    "DEPRECATED_VERSION": "WhatsApp Web does not take this version any more. Update mcp-messenger.",
    "PROXYBLOCK": "WhatsApp blocks the network of this machine.",
}
_CONFLICT = "WhatsApp Web of this login was opened somewhere else. It is taken back in a while."
_UNLINKED = "This device was unlinked on the phone. Log in again."
_UNLINKED_AT_ONCE = (
    "This device was unlinked as soon as it was ready, by WhatsApp itself or on the phone. Log in again; where that repeats, wait for a day, "
    "and see whether the phone shows a warning."
)

_LOST = (
    "The login is not there any more: its browser was killed before it had written it, or it was ended on the phone meanwhile. Log in again; on "
    "the phone, remove what is left of it under Linked devices."
)

_MISSING_NAMED = 5
_UPGRADE = "Upgrade the bridge, or run an earlier version with the setting web_version."
_LOADING = "Logged in. WhatsApp Web is loading the account's chats."
# The states of the socket that mean a login, by the states of the instance in which they do: a page is PAIRING at its start, too.
_LINKED_FROM = {"PAIRING": (InstanceState.QR_READY,), "CONNECTED": (InstanceState.QR_READY, InstanceState.STARTING)}

# Kept until it is known who is logged in.
_AFTER_LOGIN = frozenset(
    {"message_ciphertext_failed", "group_update", "group_join", "group_leave", "group_admin_changed", "group_membership_request", "call"}
)

_DELIVERY_PAUSES = (0.2, 1, 5, 15, 30)


class Connection(StateReporter):
    """From start to stop. `run` ends by itself only when a person is needed."""

    def __init__(
        self,
        machine: Machine,
        folder: Path,
        deliver: Deliver,
        settings: WhatsAppWebSettings,
        governor: Governor,
        timing: Timing,
        answer_call: Callable[[str, str], Coroutine[Any, Any, None]],
    ) -> None:
        """`answer_call` writes to the caller of a rejected call: it is given the ids of the call and of the person."""
        super().__init__(self._hand_over)
        self.echoes = Echoes()
        self.people = Directory(self.ask)
        self.arrivals = Arrivals(self.ask, self._hand_over, folder, self.echoes, self.people, settings, governor, timing, answer_call)
        self._machine = machine
        self._folder = folder
        self._take_events = deliver
        self._settings = settings
        self._governor = governor
        self._timing = timing
        self._rest = Rest(settings, timing)
        self._woken = asyncio.Event()
        """The page is ready, or shows a code."""
        self._logged_out = asyncio.Event()
        self._missing: tuple[str, ...] = ()
        self.lost: dict[str, list[str]] = {}
        """Parts of WhatsApp Web that are missing, by the capabilities that need them."""
        self._early: list[BridgeEvent] = []
        self._version = ""
        self._login = Login()
        self._is_linked = False
        """Whether a phone has taken this side as its device since the last code."""
        self._bridge: Bridge | None = None
        self._reason: str | None = None
        self._logging_out = False
        self._starts: deque[float] = deque()
        self._heard = 0.0
        self._ready_at = float("-inf")
        self._loading_since: float | None = None
        self._offline_since: float | None = None
        self._is_offline = False
        self._trouble = ""

    # What others ask of it.

    @property
    def me(self) -> Me | None:
        """Who is logged in; None while no page is."""
        return self.arrivals.me

    @property
    def bridge(self) -> Bridge:
        """Of a page that is logged in. Raises LoggedOut and Unreachable."""
        if self.me is None and self.state.state in {InstanceState.QR_READY, InstanceState.LOGGED_OUT, InstanceState.ERROR}:
            raise LoggedOut(f"This WhatsApp instance is not logged in; it is {self.state.state}.", hint="Call login: it says what it needs.")
        if self._bridge is None or self.me is None:
            raise Unreachable("WhatsApp Web is being started.", maybe_sent=False, hint="Try again in a minute.")
        return self._bridge

    @property
    def is_suspended(self) -> bool:
        """Whether the browser was stopped because nobody used it, and is not back yet. There is a login."""
        return self._rest.is_suspended

    async def awake(self) -> None:
        """Note that the account is used; start a suspended browser, and return when it is ready or asks for a login. Raises Unreachable."""
        self._rest.used()
        if not self._rest.is_suspended:
            return
        try:
            async with asyncio.timeout(self._timing.wake):
                await self._woken.wait()
        except TimeoutError:
            raise Unreachable("WhatsApp Web was suspended and is being started.", maybe_sent=False, hint="Try again in a minute.") from None

    async def ask(self, op: str, args: Json | None = None) -> Any:
        """Raises BridgeRefused and MessengerError."""
        return await self.bridge.call(op, args, seconds=self._timing.call)

    async def request_pairing_code(self, phone: str) -> str:
        """Raises BridgeRefused and Unreachable. The code also arrives as a state."""
        if self._bridge is None:
            raise Unreachable("WhatsApp Web is being started.", maybe_sent=False, hint="Try again in a minute.")
        return await self._bridge.call("pairing_code", {"phone": phone}, seconds=self._timing.call)

    async def logout(self) -> None:
        """Unlink this device, and return when it is. Raises Unreachable where WhatsApp Web does not confirm that."""
        self._logging_out = True
        try:
            async with asyncio.timeout(self._timing.logout):
                await self._ask_to_log_out()
                await self._logged_out.wait()
        except MessengerError:
            self._logging_out = False
            raise
        except TimeoutError:
            hint = "See on the phone, under Linked devices, whether this one is still there; then log out again, or remove it there."
            raise Unreachable("WhatsApp Web did not confirm that this device is unlinked.", maybe_sent=True, hint=hint) from None

    async def _ask_to_log_out(self) -> None:
        try:
            await self.ask("logout")
        except BridgeRefused as refusal:
            # The page goes away with the login, in the middle of its answer.
            logger.info("Logging out of WhatsApp Web: %s", clean_line(refusal.words))
        except Unreachable as error:
            # So does the bridge.
            if not error.maybe_sent:
                raise

    def restart(self, reason: str) -> None:
        """The page is of no use any more."""
        logger.warning("WhatsApp Web is started again: %s", reason)
        self._reason = self._reason or reason
        if self._bridge is not None:
            self._bridge.close()

    # Its life.

    async def run(self) -> None:
        """Until cancelled, or until a person is needed."""
        try:
            await self.report(StateChanged(state=InstanceState.STARTING))
            while (pause := await self._one_run()) is not None:  # noqa: ASYNC110  nothing tells when it would work again
                await asyncio.sleep(pause)
        except Exception:  # the top of the provider: its state says that it broke
            logger.exception("The connection to WhatsApp Web broke down.")
            await self.report(StateChanged(state=InstanceState.ERROR, reason="The connection broke down; its log says why. Restart the instance."))

    async def _one_run(self) -> float | None:
        """One life of the bridge. Seconds until the next; None when there is to be none."""
        self._reason = None
        self._woken.clear()
        self._heard = self._loading_since = time.monotonic()
        self._offline_since, self._is_offline = None, False
        self.arrivals.untold, self._trouble = 0, ""
        self._login.page_loaded()
        self.echoes.forgive()
        try:
            bridge = self._bridge = await Bridge.start(self._machine, self._folder, self._timing.pulse, self._settings.web_version)
        except OSError as error:
            return await self._after(f"not started: {error}")
        watch = asyncio.create_task(self._watch())
        reason = "it ended without a word"
        try:
            async for event in bridge.events():
                if event.name == "exit":
                    reason = event.data["reason"]
                else:
                    await self._take(event)
        finally:
            self._bridge = None
            self.arrivals.end()
            watch.cancel()
            await bridge.stop()
        return await self._after(reason if reason == "logged_out" else self._reason or reason)

    async def _watch(self) -> None:
        """Looks from outside: a page or a process that hangs does not say so."""
        while True:
            await asyncio.sleep(self._timing.pulse)
            now = time.monotonic()
            if now - self._heard > self._timing.silence:
                self._kill("it gave no sign of life")
            elif self._loading_since is not None and now - self._loading_since > self._timing.loading:
                state = "the login" if self.state.state is InstanceState.AUTHENTICATED else "its start"
                trouble = f"; the library says: {self._trouble}" if self._trouble else ""
                self._kill(f"WhatsApp Web did not become ready within {self._timing.loading:g} s after {state}{trouble}")
            elif self._may_rest() and self._bridge is not None and self._reason is None:
                self._reason = SUSPENDED
                self._woken.clear()
                self._rest.begin()
                self._bridge.close()

    def _may_rest(self) -> bool:
        is_well = self.state.state is InstanceState.READY or (self._missing and not self.arrivals.position.behind and not self._is_offline)
        return self.me is not None and bool(is_well) and not self.echoes.are_pending and self._rest.is_due

    def _kill(self, reason: str) -> None:
        self._reason = reason
        if self._bridge is not None:
            self._bridge.kill()

    async def _after(self, reason: str) -> float | None:
        """What the end of the bridge means."""
        logger.info("WhatsApp Web ended: %s", clean_line(reason))
        state = reason.removeprefix("disconnected: ")
        if reason == SUSPENDED:
            await self.report(StateChanged(state=InstanceState.READY, reason=self._rest.words(), account=self.state.account))
            await self._rest.until_woken()
            return 0
        self._rest.over()
        if reason == "logged_out":
            return await self._after_logout()
        if state in _HOPELESS:
            await self.report(StateChanged(state=InstanceState.ERROR, reason=f"{_HOPELESS[state]} ({state})"))
            return None
        now = time.monotonic()
        self._starts.append(now)
        while self._starts[0] < now - self._timing.restart_window:
            self._starts.popleft()
        if len(self._starts) > self._timing.restarts:
            words = f"WhatsApp Web ended {len(self._starts)} times in a row, last: {reason}. Restart the instance when the cause is gone."
            await self.report(StateChanged(state=InstanceState.ERROR, reason=words))
            return None
        is_conflict = state == "CONFLICT"
        words = _CONFLICT if is_conflict else f"WhatsApp Web is started again: {reason}"
        await self.report(StateChanged(state=InstanceState.DEGRADED, reason=words))
        pauses = self._timing.pauses
        return jittered(pauses[-1] if is_conflict else pauses[min(len(self._starts), len(pauses)) - 1])

    async def _after_logout(self) -> float | None:
        self.arrivals.position.forget()
        self._governor.logged_out()
        self.people.forget()
        self._early.clear()
        self._is_linked, self._login.reason = False, None
        if self._logging_out:
            await self.report(StateChanged(state=InstanceState.LOGGED_OUT, reason="Logged out by this side."))
            self._logged_out.set()
            return None
        reason = _UNLINKED_AT_ONCE if time.monotonic() - self._ready_at < self._timing.fresh else _UNLINKED
        await self.report(StateChanged(state=InstanceState.LOGGED_OUT, reason=reason))
        await self.report(StateChanged(state=InstanceState.STARTING, reason=reason))
        return 0

    # What the bridge tells.

    async def _take(self, event: BridgeEvent) -> None:
        """An event that cannot be read must not keep back those after it."""
        self._heard = time.monotonic()
        if self.me is None and event.name in _AFTER_LOGIN:
            self._early.append(event)
            return
        try:
            await self._on(event)
        except (*NOT_OF_ITS_FORM, MessengerError, BridgeRefused) as error:
            await self.arrivals.tell_unread(event.name, error)

    async def _on(self, event: BridgeEvent) -> None:
        data = event.data
        match event.name:
            case "started":
                pass  # it is a sign of life
            case "qr" | "code" | "passkey" | "state" | "authenticated" | "progress" | "trouble" | "pulse":
                await self._on_login(event.name, data)
            case "ready":
                await self._on_ready(data)
            case "modules":
                await self._on_modules(data)
            case "sending":
                self.echoes.named(data["client_id"], data["message_id"])
            case _ if event.name == UNREAD_LINE:
                await self._on_unread_line(data["error"])
            case _:
                await self.arrivals.take(event)

    async def _on_login(self, name: str, data: Json) -> None:
        match name:
            case "qr":
                self._rest.over()
                self._loading_since = None
                self._note_lost_login()
                await self.report(self._login.qr(data["content"]))
                self._woken.set()
            case "code":
                await self.report(self._login.pairing_code(data["code"]))
            case "passkey":
                await self.report(self._login.passkey())
            case "authenticated":
                self._is_linked, self._loading_since = True, time.monotonic()
                if self.state.state not in {InstanceState.DEGRADED, InstanceState.AUTHENTICATED} and not self._rest.is_suspended:
                    await self.report(StateChanged(state=InstanceState.AUTHENTICATED, reason=_LOADING))
            case "state":
                await self._on_socket(data["state"])
            case "progress":
                await self._on_progress(data["percent"])
            case "trouble":
                self._trouble = clean_line(data["words"])
            case _:
                await self._on_pulse(data)

    def _note_lost_login(self) -> None:
        """A code is asked for though nobody has logged out. What is known of messages is kept, for it may be the same account again."""
        if self._is_linked or self.arrivals.position.newest is not None:
            self._is_linked = False
            self._login.reason = _LOST
            self._governor.logged_out()
            self.people.forget()
            self._early.clear()

    async def _on_ready(self, data: Json) -> None:
        payload = data["me"]
        self._loading_since = None
        self._ready_at = time.monotonic()
        self._login.reason, self._logging_out = None, False
        self.arrivals.begin(Me(payload["id"], payload["lid"], payload["name"] or ""))
        self._self_test(data)
        self._version = str(data["version"])
        if self._missing:
            logger.warning("WhatsApp Web %s lacks what the bridge uses: %s", self._version, ", ".join(self._missing))
        self._governor.logged_in()
        await self.report(self._usable())
        self._rest.started()
        self._woken.set()
        await self._catch_up()
        early, self._early = self._early, []
        for event in early:
            await self._take(event)

    async def _on_unread_line(self, error: str) -> None:
        """A message is read back; for anything else it can only be said that it is missing."""
        if self.me is not None and not await self._catch_up():
            await self.arrivals.tell_unread(f"line ({error})", ValueError())

    def _self_test(self, data: Json) -> None:
        self._missing, self.lost = tuple(data["missing"]), data.get("lost") or {}

    async def _on_modules(self, data: Json) -> None:
        self._self_test(data)
        if self.state.state in {InstanceState.READY, InstanceState.DEGRADED} and not self._is_offline:
            await self.report(self._usable())

    def _usable(self) -> StateChanged:
        """Return the state of a page that is logged in: degraded as long as messages are missing."""
        account = None if self.me is None else self.me.account
        if not self.arrivals.position.behind and not self._missing:
            return StateChanged(state=InstanceState.READY, reason=f"WhatsApp Web {self._version}.", account=account)
        if not self.arrivals.position.behind:
            lacking = ", ".join(self._missing[:_MISSING_NAMED])
            reason = f"WhatsApp Web {self._version} has changed and lacks {lacking}: some things will fail. {_UPGRADE}"
            return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=account)
        chats = "; ".join(f"{title} ({words})" for title, words in self.arrivals.unread.items()) or f"{len(self.arrivals.position.behind)} chats"
        reason = f"Messages could not be read back from {chats}. It is tried again; all else works."
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=account)

    async def _on_progress(self, percent: object) -> None:
        """The page goes on loading the account, and may take as long again."""
        if self.me is None and self.state.state is InstanceState.AUTHENTICATED:
            self._loading_since = time.monotonic()
            await self.report(StateChanged(state=InstanceState.AUTHENTICATED, reason=f"{_LOADING.removesuffix('.')}: {percent} %."))

    async def _on_socket(self, socket: str) -> None:
        if socket == "UNPAIRED_IDLE":
            self._login.idle()
        if self.me is None and self.state.state in _LINKED_FROM.get(socket, ()):
            self._is_linked, self._loading_since = True, time.monotonic()
            await self.report(StateChanged(state=InstanceState.AUTHENTICATED, reason=_LOADING))
        if socket == "CONNECTED":
            self._offline_since = None
        elif self._offline_since is None:
            self._offline_since = time.monotonic()

    async def _on_pulse(self, pulse: Json) -> None:
        if self._reason is not None:
            return
        await self._on_socket(pulse["state"])
        if self.me is None:
            return
        if self._offline_since is not None and time.monotonic() - self._offline_since > self._timing.offline:
            self._is_offline = True
            await self.report(
                StateChanged(state=InstanceState.DEGRADED, reason=f"WhatsApp Web has no connection ({pulse['state']}).", account=self.me.account)
            )
        elif self._offline_since is None and self._is_offline:
            self._is_offline = False
            await self.report(self._usable())
            await self._catch_up()
        elif self.arrivals.is_read_again_due:
            await self._catch_up()
        elif self.echoes.overdue(self._timing.echo):
            await self._useless("it does not show what it sends")
        elif pulse["newest"] > self.arrivals.newest_told and await self._catch_up():
            self.arrivals.untold += 1  # once may be a coincidence: its event can be under way
            if self.arrivals.untold > 1:
                await self._useless("it holds messages that it did not tell of")

    async def _useless(self, reason: str) -> None:
        await self.report(StateChanged(state=InstanceState.DEGRADED, reason=f"WhatsApp Web is started again: {reason}."))
        self.restart(reason)

    async def _catch_up(self) -> bool:
        """Deliver messages that were not reported; return whether there was anything new."""
        was_behind = bool(self.arrivals.position.behind)
        is_new = await self.arrivals.catch_up()
        is_behind = bool(self.arrivals.position.behind)
        if (is_behind or was_behind) and self.state.state in {InstanceState.READY, InstanceState.DEGRADED} and not self._is_offline:
            await self.report(self._usable())
        return is_new

    # Delivery.

    async def _hand_over(self, events: Sequence[Event]) -> None:
        """Deliver events until they are taken: WhatsApp does not bring them a second time."""
        await deliver_until_taken(self._take_events, events, _DELIVERY_PAUSES)
