"""Delivers an account's messages, the changes of them, and calls: each once, also those that the page did not report."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from providers.errors import MessengerError, Unreachable
from providers.events import (
    ChatChanged,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    NoticeReceived,
    PollVoted,
    ReactionChanged,
    ReceiptChanged,
)
from providers.kit.left_out import LeftOut
from providers.kit.unread import unread
from providers.models import ChatKind, MessageKind
from providers.text import clean_line
from providers.whatsappweb import inbound
from providers.whatsappweb.catchup import Missed, ReadBack, read_back
from providers.whatsappweb.client import BridgeEvent, BridgeRefused
from providers.whatsappweb.directory import Ask, Directory
from providers.whatsappweb.echoes import Echoes, Pending
from providers.whatsappweb.governor import Governor
from providers.whatsappweb.ids import kind_of, serialized
from providers.whatsappweb.inbound import Me
from providers.whatsappweb.notices import membership_of, notice_of
from providers.whatsappweb.position import ALL_CHATS, Position
from providers.whatsappweb.settings import WhatsAppWebSettings
from providers.whatsappweb.timing import Timing

logger = logging.getLogger(__name__)

Json = dict[str, Any]


class Arrivals:
    """From the first login to the last. `ask` calls the bridge; `hand_over` delivers events until they are taken."""

    def __init__(
        self,
        ask: Ask,
        hand_over: Callable[[Sequence[Event]], Coroutine[Any, Any, None]],
        folder: Path,
        echoes: Echoes,
        people: Directory,
        settings: WhatsAppWebSettings,
        governor: Governor,
        timing: Timing,
        answer_call: Callable[[str, str], Coroutine[Any, Any, None]],
    ) -> None:
        """`answer_call` writes to the caller of a rejected call: it is given the ids of the call and of the person."""
        self.me: Me | None = None
        self.position = Position(folder)
        self.unread: dict[str, str] = {}
        """Why chats could not be read back, by their titles."""
        self.newest_told = 0
        """The time of the newest message that was reported or found."""
        self.untold = 0
        """How often in a row messages were found that the page had not reported."""
        self._ask = ask
        self._hand_over = hand_over
        self._echoes = echoes
        self._people = people
        self._settings = settings
        self._governor = governor
        self._timing = timing
        self._answer_call = answer_call
        self._tasks: set[asyncio.Task[None]] = set()
        self._left_out = LeftOut("WhatsApp Web")
        self._not_read: set[str] = set()
        """Chats of which it was told that messages in them cannot be read."""
        self._ready_at = 0.0
        self._read_again_at = 0.0

    def begin(self, me: Me) -> None:
        """Take over who is logged in on a page that is ready."""
        self._ready_at = time.time()
        self.me = me
        self.position.begin(me.ids)

    def end(self) -> None:
        """Forget the page."""
        self.me = None
        for task in self._tasks:
            task.cancel()

    @property
    def is_read_again_due(self) -> bool:
        """Whether chats that could not be read back should be tried again."""
        return bool(self.position.behind) and time.monotonic() > self._read_again_at

    def sent(self, pending: Pending, raw: Json) -> None:
        """A send was answered: its message is not news any more."""
        self._echoes.sure(pending, inbound.id_of(raw))
        self.position.add(inbound.id_of(raw), raw["t"])

    async def take(self, event: BridgeEvent) -> None:
        """Deliver an event of the page. Raises one of NOT_OF_ITS_FORM for what cannot be read."""
        data = event.data
        match event.name:
            case "message_create":
                await self._on_message(data["message"])
            case "message_ack":
                await self._on_ack(data["message"], data["ack"])
            case "message_ciphertext_failed":
                await self._on_undecrypted(data["message"])
            case "group_update" | "group_join" | "group_leave" | "group_admin_changed" | "group_membership_request":
                await self._on_group(data["notification"])
            case "call":
                await self._on_call(data["call"])
            case _:
                events = _changes(event)
                if not events:
                    self._left_out.note(event.name, "it says nothing that is new to anybody")
                await self._hand_over(self._as_delivered(events))

    async def _on_message(self, raw: Json) -> None:
        """Deliver a message that the page reports, unless it is known."""
        self.newest_told = max(self.newest_told, raw["t"])
        if self.me is None or inbound.id_of(raw) in self.position:
            return
        if not inbound.is_message(raw):
            self._left_out.note(str(raw.get("type")), "it is a story, or a note of WhatsApp to itself")
            return
        if inbound.is_own(raw) and self._echoes.show(inbound.id_of(raw)) is not None:
            return
        self.untold = 0
        try:
            await self._deliver_message(raw, is_old=False)
        except inbound.NOT_OF_ITS_FORM as error:
            await self.tell_unread("message", error, raw)

    async def _on_undecrypted(self, raw: Json) -> None:
        """Deliver a note in the place of a message whose key has not come. The message follows by itself once it does."""
        if self.me is None:
            return
        note = inbound.undecrypted_of(raw, self.me)
        if note.id not in self.position:
            await self._hand_over([MessageReceived(message=note, chat=await self._people.chat(note.chat_id))])
            self.position.add(note.id, raw["t"])

    async def tell_unread(self, kind: str, error: Exception, raw: Json | None = None) -> None:
        """Deliver that something could not be read. A message is left alone from then on."""
        logger.warning("WhatsApp Web brought an event of the kind %s that could not be read: %s", kind, type(error).__name__)
        await self._hand_over([unread("WhatsApp Web", kind, error)])
        with suppress(*inbound.NOT_OF_ITS_FORM):
            self.position.add(inbound.id_of(raw or {}), int((raw or {})["t"]))

    async def tell(self, code: str, text: str) -> None:
        """Deliver a notice of something that went wrong."""
        await self._hand_over([NoticeReceived(code=code, text=text, at=datetime.now(UTC))])

    async def _on_ack(self, raw: Json, ack: int) -> None:
        """Deliver how far a message got."""
        if ack >= 1:
            await self._settle(raw)
        await self._hand_over(self._as_delivered(inbound.receipt_of(raw, ack)))

    async def _settle(self, raw: Json) -> None:
        """A send whose answer did not come went out after all."""
        pending = self._echoes.settle(inbound.id_of(raw)) if inbound.is_own(raw) else None
        if pending is not None:
            await self._deliver_message(raw, is_old=False, client_id=pending.client_id)

    async def _on_group(self, notification: Json) -> None:
        """Deliver a change of a group, and a notice of it."""
        if self.me is None:
            return
        chat_id = notification["chatId"]
        events = membership_of(notification, self.me)
        if notification["type"] == "subject":
            self._people.rename(chat_id, notification["body"])
            events.append(ChatChanged(chat=await self._people.chat(chat_id)))
        if author := serialized(notification.get("author")):
            await self._people.phone(author)
        notice = notice_of(notification, self.me, self._people.key)
        await self._hand_over([*events, MessageReceived(message=notice, chat=await self._people.chat(chat_id))])

    async def _on_call(self, call: Json) -> None:
        """Deliver a notice of a call; reject the call, and write to the caller, where the instance is set so."""
        if call["fromMe"]:
            self._left_out.note("call", "this side began it, and its end comes as a message")
            return
        notice = inbound.call_of(call)
        is_rejected = self._settings.reject_calls and await self._reject(call, notice.chat_id)
        if self._settings.reject_calls:
            outcome = "It was rejected." if is_rejected else "It could not be rejected."
            notice = notice.model_copy(update={"text": f"{notice.text} {outcome}"})
        await self._hand_over([MessageReceived(message=notice, chat=await self._people.chat(notice.chat_id))])
        if is_rejected and self._settings.reject_calls_message and kind_of(notice.chat_id) is ChatKind.PRIVATE:
            # Beside the events: the send is answered by them.
            task = asyncio.create_task(self._answer_call(str(call["id"]), notice.chat_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reject(self, call: Json, caller: str) -> bool:
        try:
            await self._ask("reject_call", {"id": call["id"], "from": caller})
        except (BridgeRefused, MessengerError) as error:
            logger.warning("A call could not be rejected: %s", clean_line(str(error)))
            return False
        return True

    async def hand_over_own(self, raw: Json) -> None:
        """Deliver a message that this side wrote by itself: as a notice, for nobody has to be woken by it."""
        assert self.me is not None
        message = inbound.message_of(raw, self.me).model_copy(update={"kind": MessageKind.SYSTEM})
        await self._hand_over([MessageReceived(message=message, chat=await self._people.chat(message.chat_id))])

    async def _deliver_message(self, raw: Json, *, is_old: bool, client_id: str | None = None) -> None:
        assert self.me is not None
        message = inbound.message_of(raw, self.me)
        if not message.outgoing or raw.get("ack", 0) >= 1:
            self._governor.taken(self._people.ids(message.chat_id))
        if message.reply_to is not None:
            message = message.model_copy(update={"reply_to": self.position.delivered_as(message.reply_to)})
        title = message.sender_name if kind_of(message.chat_id) is ChatKind.PRIVATE and not message.outgoing else ""
        chat = await self._people.chat(message.chat_id, title=title)
        phone = None if message.sender_id is None else await self._people.phone(message.sender_id)
        sender = inbound.sender_of(message, phone)
        await self._hand_over([MessageReceived(message=message, chat=chat, sender=sender, client_id=client_id, backfill=is_old)])
        self.position.add(message.id, raw["t"])

    async def catch_up(self) -> bool:
        """Deliver messages that were not reported; return whether there was anything new. What cannot be read is tried again later."""
        result, newest = await self._read_back()
        self.newest_told = max(self.newest_told, newest)
        for one in result.found:
            await self._deliver_missed(one)
        for raw in result.undecrypted:
            await self._on_undecrypted(raw)
        await self._tell_not_read(result)
        self.position.read_back(result.behind)
        self.unread = result.words
        self._read_again_at = time.monotonic() + self._timing.read_again
        return any(not one.is_old for one in result.found)

    async def _tell_not_read(self, result: ReadBack) -> None:
        """Deliver which messages were not read back and will not be: once for each chat of this run."""
        for chat_id, error in result.unread:
            if chat_id not in self._not_read:
                self._not_read.add(chat_id)
                await self.tell_unread("message", error)
        for chat_id in result.cut:
            text = f"More messages were missed in the chat {chat_id} than are read back at once. get_messages reads the older ones."
            await self.tell("messages_missed", text)

    async def _read_back(self) -> tuple[ReadBack, int]:
        """Return what was found, and the time of the newest message that the page knows."""
        try:
            chats: list[Json] = await self._ask("chats")
        except (BridgeRefused, Unreachable) as error:
            since = None if self.position.newest is None else self.position.since
            return ReadBack(behind={**self.position.behind, ALL_CHATS: since}, words={"all chats": clean_line(str(error))}), 0
        self._people.note(chats)
        result = await read_back(self._ask, chats, self.position, self._ready_at, self._settings.backfill)
        return result, max(0, *(chat["t"] for chat in chats), 0)

    async def _deliver_missed(self, one: Missed) -> None:
        raw = one.raw
        try:
            if inbound.is_own(raw) and raw.get("ack", 0) < 0:
                return  # the page keeps what WhatsApp refused
            pending = self._echoes.show(inbound.id_of(raw)) if inbound.is_own(raw) else None
            if pending is not None and pending.is_sure is None:
                return  # its answer is still to come
            is_old = one.is_old or datetime.now(UTC).timestamp() - raw["t"] > self._timing.old
            settled = self._echoes.settle(inbound.id_of(raw)) if raw.get("ack", 0) >= 1 else None
            if pending is None or settled is not None:
                await self._deliver_message(raw, is_old=is_old, client_id=settled and settled.client_id)
            await self._hand_over(self._as_delivered(inbound.receipt_of(raw, raw.get("ack"))))
        except inbound.NOT_OF_ITS_FORM as error:
            await self.tell_unread("message", error, raw)

    def _as_delivered(self, events: Sequence[Event]) -> list[Event]:
        """Return events about messages with the ids under which these were delivered."""
        return [
            event.model_copy(update={"message_id": self.position.delivered_as(event.message_id)})
            if isinstance(event, MessageEdited | MessageDeleted | ReactionChanged | ReceiptChanged | PollVoted)
            else event
            for event in events
        ]


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
            return []
