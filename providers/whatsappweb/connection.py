"""Keeps one account's WhatsApp Web running: starts the bridge, and starts it again when it ends or stops being of use."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from providers.base import Deliver
from providers.errors import LoggedOut, MessengerError, Unreachable
from providers.events import (
    ChatChanged,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PollVoted,
    ReactionChanged,
    ReceiptChanged,
    StateChanged,
)
from providers.kit.backoff import jittered
from providers.kit.delivery import StateReporter, deliver_until_taken
from providers.models import ChatKind, InstanceState, MessageKind
from providers.text import clean_line
from providers.whatsappweb import inbound
from providers.whatsappweb.catchup import Missed, ReadBack, read_back
from providers.whatsappweb.client import Bridge, BridgeEvent, BridgeRefused
from providers.whatsappweb.directory import Directory
from providers.whatsappweb.echoes import Echoes, Pending
from providers.whatsappweb.governor import Governor
from providers.whatsappweb.ids import kind_of, serialized
from providers.whatsappweb.inbound import Me
from providers.whatsappweb.login import Login
from providers.whatsappweb.machine import Machine
from providers.whatsappweb.notices import membership_of, notice_of
from providers.whatsappweb.position import ALL_CHATS, Position
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

_MISSING_NAMED = 5
_UPGRADE = "Upgrade the bridge, or run an earlier version with the setting web_version."
_LOADING = "Logged in. WhatsApp Web is loading the account's chats."
# The states of the socket that mean a login, by the states of the instance in which they do: a page is PAIRING at its start, too.
_LINKED_FROM = {"PAIRING": (InstanceState.QR_READY,), "CONNECTED": (InstanceState.QR_READY, InstanceState.STARTING)}

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
        self.me: Me | None = None
        self._machine = machine
        self._folder = folder
        self._take_events = deliver
        self._settings = settings
        self._governor = governor
        self._timing = timing
        self._answer_call = answer_call
        self._rest = Rest(settings, timing)
        self._ready = asyncio.Event()
        self._missing: tuple[str, ...] = ()
        self._version = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._position = Position(folder)
        self._login = Login()
        self._bridge: Bridge | None = None
        self._reason: str | None = None
        self._logging_out = False
        self._starts: deque[float] = deque()
        self._heard = 0.0
        self._ready_at = 0.0
        self._loading_since: float | None = None
        self._offline_since: float | None = None
        self._is_offline = False
        self._read_again_at = 0.0
        self._unread: dict[str, str] = {}
        self._newest_told = 0
        self._untold = 0
        self._trouble = ""

    # What others ask of it.

    @property
    def bridge(self) -> Bridge:
        """Of a page that is logged in. Raises LoggedOut and Unreachable."""
        if self.me is None and self.state.state in {InstanceState.QR_READY, InstanceState.LOGGED_OUT, InstanceState.ERROR}:
            raise LoggedOut(f"This WhatsApp instance is not logged in; it is {self.state.state}.", hint="get_auth_status says what it needs.")
        if self._bridge is None or self.me is None:
            raise Unreachable("WhatsApp Web is being started.", maybe_sent=False, hint="Try again in a minute.")
        return self._bridge

    @property
    def is_suspended(self) -> bool:
        """Whether the browser was stopped because nobody used it, and is not back yet. There is a login."""
        return self._rest.is_suspended

    async def awake(self) -> None:
        """Note that the account is used; start a suspended browser, and return when it is ready. Raises Unreachable."""
        self._rest.used()
        if not self._rest.is_suspended:
            return
        try:
            async with asyncio.timeout(self._timing.wake):
                await self._ready.wait()
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
        self._logging_out = True
        try:
            await self.ask("logout")
        except Unreachable as error:
            if not error.maybe_sent:
                self._logging_out = False
                raise
        except BridgeRefused as refusal:
            # The page goes away with the login, in the middle of its answer.
            logger.info("Logging out of WhatsApp Web: %s", clean_line(refusal.words))

    def sent(self, pending: Pending, raw: Json) -> None:
        """A send was answered: its message is not news any more."""
        self.echoes.sure(pending, inbound.id_of(raw))
        self._position.add(inbound.id_of(raw), raw["t"])

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
        self._reason, self.me = None, None
        self._ready.clear()
        self._heard = self._loading_since = time.monotonic()
        self._offline_since, self._is_offline = None, False
        self._untold, self._trouble = 0, ""
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
            self._bridge, self.me = None, None
            for task in (watch, *self._tasks):
                task.cancel()
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
                self._ready.clear()
                self._rest.begin()
                self._bridge.close()

    def _may_rest(self) -> bool:
        is_well = self.state.state is InstanceState.READY or (self._missing and not self._position.behind and not self._is_offline)
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
        self._position.forget()
        self._governor.logged_out()
        self.people = Directory(self.ask)
        if self._logging_out:
            await self.report(StateChanged(state=InstanceState.LOGGED_OUT, reason="Logged out by this side."))
            return None
        await self.report(StateChanged(state=InstanceState.LOGGED_OUT, reason=_UNLINKED))
        await self.report(StateChanged(state=InstanceState.STARTING, reason=_UNLINKED))
        return 0

    # What the bridge tells.

    async def _take(self, event: BridgeEvent) -> None:
        """An event that cannot be read must not keep back those after it."""
        self._heard = time.monotonic()
        try:
            await self._on(event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("An event %s is not of WhatsApp's form and was left out: %s", event.name, type(error).__name__)
        except (MessengerError, BridgeRefused) as error:
            logger.warning("An event %s could not be followed: %s", event.name, clean_line(str(error)))

    async def _on(self, event: BridgeEvent) -> None:
        data = event.data
        match event.name:
            case "qr" | "code" | "passkey" | "state" | "authenticated" | "progress" | "trouble" | "pulse":
                await self._on_login(event.name, data)
            case "ready":
                await self._on_ready(data)
            case "modules":
                await self._on_modules(tuple(data["missing"]))
            case "sending":
                self.echoes.named(data["client_id"], data["message_id"])
            case "message_create":
                await self._on_message(data["message"])
            case "message_ack":
                await self._on_ack(data["message"], data["ack"])
            case "group_update" | "group_join" | "group_leave" | "group_admin_changed":
                await self._on_group(data["notification"])
            case "call":
                await self._on_call(data["call"])
            case _:
                await self._hand_over(self._as_delivered(_changes(event)))

    async def _on_login(self, name: str, data: Json) -> None:
        match name:
            case "qr":
                self._rest.over()
                self._loading_since = None
                await self.report(self._login.qr(data["content"]))
            case "code":
                await self.report(self._login.pairing_code(data["code"]))
            case "passkey":
                await self.report(self._login.passkey())
            case "authenticated":
                self._loading_since = time.monotonic()
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

    async def _on_ready(self, data: Json) -> None:
        payload = data["me"]
        self._loading_since = None
        self._ready_at = time.time()
        self.me = Me(payload["id"], payload["lid"], payload["name"] or "")
        self._missing, self._version = tuple(data["missing"]), str(data["version"])
        if self._missing:
            logger.warning("WhatsApp Web %s lacks what the bridge uses: %s", self._version, ", ".join(self._missing))
        self._governor.logged_in()
        await self.report(self._usable())
        self._rest.started()
        self._ready.set()
        await self._catch_up()

    async def _on_modules(self, missing: tuple[str, ...]) -> None:
        self._missing = missing
        if self.state.state in {InstanceState.READY, InstanceState.DEGRADED} and not self._is_offline:
            await self.report(self._usable())

    def _usable(self) -> StateChanged:
        """Return the state of a page that is logged in: degraded as long as messages are missing."""
        account = None if self.me is None else self.me.account
        if not self._position.behind and not self._missing:
            return StateChanged(state=InstanceState.READY, reason=f"WhatsApp Web {self._version}.", account=account)
        if not self._position.behind:
            lacking = ", ".join(self._missing[:_MISSING_NAMED])
            reason = f"WhatsApp Web {self._version} has changed and lacks {lacking}: some things will fail. {_UPGRADE}"
            return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=account)
        chats = "; ".join(f"{title} ({words})" for title, words in self._unread.items()) or f"{len(self._position.behind)} chats"
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
            self._loading_since = time.monotonic()
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
        elif self._position.behind and time.monotonic() > self._read_again_at:
            await self._catch_up()
        elif self.echoes.overdue(self._timing.echo):
            await self._useless("it does not show what it sends")
        elif pulse["newest"] > self._newest_told and await self._catch_up():
            self._untold += 1  # once may be a coincidence: its event can be under way
            if self._untold > 1:
                await self._useless("it holds messages that it did not tell of")

    async def _useless(self, reason: str) -> None:
        await self.report(StateChanged(state=InstanceState.DEGRADED, reason=f"WhatsApp Web is started again: {reason}."))
        self.restart(reason)

    # Messages.

    async def _on_message(self, raw: Json) -> None:
        self._newest_told = max(self._newest_told, raw["t"])
        if self.me is None or not inbound.is_message(raw) or inbound.id_of(raw) in self._position:
            return
        if inbound.is_own(raw) and self.echoes.show(inbound.id_of(raw)) is not None:
            return
        self._untold = 0
        await self._deliver_message(raw, is_old=False)

    async def _on_ack(self, raw: Json, ack: int) -> None:
        if ack >= 1:
            await self._settle(raw)
        await self._hand_over(self._as_delivered(inbound.receipt_of(raw, ack)))

    async def _settle(self, raw: Json) -> None:
        """A send whose answer did not come went out after all."""
        pending = self.echoes.settle(inbound.id_of(raw)) if inbound.is_own(raw) else None
        if pending is not None:
            await self._deliver_message(raw, is_old=False, client_id=pending.client_id)

    async def _on_group(self, notification: Json) -> None:
        if self.me is None:
            return
        chat_id = notification["chatId"]
        events = membership_of(notification, self.me)
        if notification["type"] == "subject":
            self.people.rename(chat_id, notification["body"])
            events.append(ChatChanged(chat=await self.people.chat(chat_id)))
        if author := serialized(notification.get("author")):
            await self.people.phone(author)
        notice = notice_of(notification, self.me, self.people.key)
        await self._hand_over([*events, MessageReceived(message=notice, chat=await self.people.chat(chat_id))])

    async def _on_call(self, call: Json) -> None:
        if call["fromMe"]:
            return
        notice = inbound.call_of(call)
        if self._settings.reject_calls:
            await self.ask("reject_call", {"id": call["id"], "from": notice.chat_id})
            notice = notice.model_copy(update={"text": f"{notice.text} It was rejected."})
        await self._hand_over([MessageReceived(message=notice, chat=await self.people.chat(notice.chat_id))])
        if self._settings.reject_calls and self._settings.reject_calls_message and kind_of(notice.chat_id) is ChatKind.PRIVATE:
            # Beside the events: the send is answered by them.
            task = asyncio.create_task(self._answer_call(str(call["id"]), notice.chat_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def hand_over_own(self, raw: Json) -> None:
        """Deliver a message that this side wrote by itself: as a notice, for nobody has to be woken by it."""
        assert self.me is not None
        message = inbound.message_of(raw, self.me).model_copy(update={"kind": MessageKind.SYSTEM})
        await self._hand_over([MessageReceived(message=message, chat=await self.people.chat(message.chat_id))])

    async def _deliver_message(self, raw: Json, *, is_old: bool, client_id: str | None = None) -> None:
        assert self.me is not None
        message = inbound.message_of(raw, self.me)
        if not message.outgoing or raw.get("ack", 0) >= 1:
            self._governor.taken(self.people.ids(message.chat_id))
        if message.reply_to is not None:
            message = message.model_copy(update={"reply_to": self._position.delivered_as(message.reply_to)})
        title = message.sender_name if kind_of(message.chat_id) is ChatKind.PRIVATE and not message.outgoing else ""
        chat = await self.people.chat(message.chat_id, title=title)
        phone = None if message.sender_id is None else await self.people.phone(message.sender_id)
        sender = inbound.sender_of(message, phone)
        await self._hand_over([MessageReceived(message=message, chat=chat, sender=sender, client_id=client_id, backfill=is_old)])
        self._position.add(message.id, raw["t"])

    async def _catch_up(self) -> bool:
        """Deliver messages that were not reported; return whether there was anything new. What cannot be read is tried again later."""
        result, newest = await self._read_back()
        self._newest_told = max(self._newest_told, newest)
        for one in result.found:
            await self._deliver_missed(one)
        was_behind = bool(self._position.behind)
        self._position.read_back(result.behind)
        self._unread = result.words
        self._read_again_at = time.monotonic() + self._timing.read_again
        if (result.behind or was_behind) and self.state.state in {InstanceState.READY, InstanceState.DEGRADED} and not self._is_offline:
            await self.report(self._usable())
        return any(not one.is_old for one in result.found)

    async def _read_back(self) -> tuple[ReadBack, int]:
        """Return what was found, and the time of the newest message that the page knows."""
        try:
            chats: list[Json] = await self.ask("chats")
        except (BridgeRefused, Unreachable) as error:
            since = None if self._position.newest is None else self._position.since
            return ReadBack(behind={**self._position.behind, ALL_CHATS: since}, words={"all chats": clean_line(str(error))}), 0
        self.people.note(chats)
        result = await read_back(self.ask, chats, self._position, self._ready_at, self._settings.backfill)
        return result, max(0, *(chat["t"] for chat in chats), 0)

    async def _deliver_missed(self, one: Missed) -> None:
        raw = one.raw
        try:
            if inbound.is_own(raw) and raw.get("ack", 0) < 0:
                return  # the page keeps what WhatsApp refused
            pending = self.echoes.show(inbound.id_of(raw)) if inbound.is_own(raw) else None
            if pending is not None and pending.is_sure is None:
                return  # its answer is still to come
            is_old = one.is_old or datetime.now(UTC).timestamp() - raw["t"] > self._timing.old
            settled = self.echoes.settle(inbound.id_of(raw)) if raw.get("ack", 0) >= 1 else None
            if pending is None or settled is not None:
                await self._deliver_message(raw, is_old=is_old, client_id=settled and settled.client_id)
            await self._hand_over(self._as_delivered(inbound.receipt_of(raw, raw.get("ack"))))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("A missed message is not of WhatsApp's form and was left out: %s", type(error).__name__)

    def _as_delivered(self, events: Sequence[Event]) -> list[Event]:
        """Return events about messages with the ids under which these were delivered."""
        return [
            event.model_copy(update={"message_id": self._position.delivered_as(event.message_id)})
            if isinstance(event, MessageEdited | MessageDeleted | ReactionChanged | ReceiptChanged | PollVoted)
            else event
            for event in events
        ]

    # Delivery.

    async def _hand_over(self, events: Sequence[Event]) -> None:
        """Deliver events until they are taken: WhatsApp does not bring them a second time."""
        await deliver_until_taken(self._take_events, events, _DELIVERY_PAUSES)


def _changes(event: BridgeEvent) -> list[Event]:
    """Return the changes of messages that an event tells of."""
    data = event.data
    match event.name:
        case "message_edit":
            return inbound.edit_of(data["message"], data["body"])
        case "message_revoke_everyone":
            return inbound.deletion_of(data["message"])
        case "message_reaction":
            return inbound.reaction_of(data["reaction"])
        case "vote_update":
            return inbound.vote_of(data["vote"])
        case _:
            logger.debug("bridge: %s", event.name)
            return []
