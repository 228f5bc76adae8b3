"""What providers deliver, made durable. Deliveries that come together are written together: one commit serves them all."""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

import anyio
from pydantic import TypeAdapter

from db import batches, changes, chat_addresses, early_reports, inbound, outbox
from db.database import Database
from db.early_reports import EarlyReport
from db.errors import StoreUnavailable
from db.json import jsonb
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.errors import Conflict
from mcp_messenger.observability.metrics import Metrics
from mcp_messenger.observability.tracing import carrier, span
from mcp_messenger.observability.workers import Workers
from providers.events import (
    ChatChanged,
    ChatClosed,
    ChatMigrated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    NoticeReceived,
    PollVoted,
    ReactionChanged,
    ReceiptChanged,
    StopRequested,
)
from providers.kit.bounded import BoundedMap
from providers.kit.left_out import LeftOut
from providers.models import Chat, Message

BATCH = 200
IN_CONTENT = {"media", "location", "poll", "contact", "format", "chosen", "mentions_me", "forwarded", "quoted", "thread_title", "album", "standby"}
ECHO_WAITS = 1.0
"""Seconds that a platform's echo waits while the same is stored from its answer; then it is stored by itself, and whoever comes first counts."""
SENDS_KNOWN = 2000
"""Sends whose platform's echo need not be looked up."""
ALIASES_KNOWN = 10_000
"""Aliases that need no look into the store; the others are looked up again."""


_OnMessage = ReceiptChanged | PollVoted | ReactionChanged | MessageEdited | MessageDeleted
"""Reports about one message that the platform may bring before the message itself, or before it answers the call that sent it."""
_REPORT: TypeAdapter[_OnMessage] = TypeAdapter(_OnMessage)


def _early(instance_id: UUID, event: _OnMessage) -> EarlyReport:
    """Return a report as it is kept; its subject is what a later one replaces."""
    match event:
        case ReceiptChanged():
            of = event.status
        case PollVoted() | ReactionChanged():
            of = event.sender_id
        case _:
            of = ""
    return EarlyReport(instance_id, event.message_id, f"{event.type}:{of}", event.model_dump(mode="json"), event.at)


@dataclass(frozen=True)
class Source:
    """Whose events they are. `epoch` is the lease's: None for a delivery that needs none (a platform's webhook)."""

    instance_id: UUID
    epoch: int | None


@dataclass
class _Waiting:
    rows: list[dict[str, Any]]
    done: anyio.Event = field(default_factory=anyio.Event)
    refused: bool = False
    error: Exception | None = None


class Inbound:
    def __init__(self, database: Database, feed: Feed, metrics: Metrics, workers: Workers) -> None:
        self._database = database
        self._worker = workers.worker("inbound")
        self._feed = feed
        self._metrics = metrics
        self._queue: list[_Waiting] = []
        self._pending = anyio.Event()
        self._aliases: OrderedDict[tuple[UUID, str], str] = OrderedDict()
        self._early: dict[UUID, bool] = {}
        """Whether reports are kept that came before their messages, by instance, as far as this process knows: most have none."""
        self._left_out = LeftOut("the messengers")
        self._settling: dict[tuple[UUID, str], anyio.Event] = {}
        self._known: BoundedMap[tuple[UUID, str], str] = BoundedMap(SENDS_KNOWN)

    async def deliver(self, source: Source, events: Sequence[Event]) -> None:
        """Return when the events are durable, in their order.

        Raises Conflict when another process owns the instance by now, StoreUnavailable when the store cannot be reached. Some may
        have been stored then; giving them again stores none twice.
        """
        messages: list[MessageReceived] = []
        for event in events:
            if isinstance(event, MessageReceived) and event.client_id is None:
                messages.append(event)
                continue
            await self._append(source, messages)
            messages = []
            await self._change(source, event)
        await self._append(source, messages)

    async def _append(self, source: Source, messages: Sequence[MessageReceived]) -> None:
        unique: dict[str, MessageReceived] = {}
        for event in messages:
            unique.setdefault(event.message.id, event)
        if not unique:
            return
        for event in unique.values():
            await self._learn_aliases(source, event.chat, event.message.id)
        with span("receive", instance_id=source.instance_id):
            waiting = _Waiting([message_row(source, event) for event in unique.values()])
            self._queue.append(waiting)
            self._pending.set()
            await waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        if waiting.refused:
            raise _replaced()

    async def _learn_aliases(self, source: Source, chat: Chat, message_id: str | None = None) -> None:
        """File under the chat what comes under its aliases. `message_id` is the message that names them: brought again, it says nothing new."""
        for alias in chat.aliases:
            key = (source.instance_id, alias)
            if self._aliases.get(key) == chat.id:
                continue
            if message_id is not None and await chat_addresses.is_stored(self._database, source.instance_id, message_id):
                continue
            event_id = await chat_addresses.join(self._database, source.instance_id, alias, chat.id)
            if event_id is not None:
                self._feed.grew(event_id)
            self._aliases[key] = chat.id
            if len(self._aliases) > ALIASES_KNOWN:
                self._aliases.popitem(last=False)

    async def run(self) -> None:
        """Write what waits, and while that is being committed collect the next batch; until cancelled."""
        await self._worker.keep(self._write_waiting)

    async def _write_waiting(self) -> None:
        await self._pending.wait()
        self._pending = anyio.Event()
        while self._queue:
            await self._write(self._take())

    def _take(self) -> list[_Waiting]:
        """Return a batch that holds no message twice."""
        taken: list[_Waiting] = []
        seen: set[tuple[str, str]] = set()
        size = 0
        while self._queue and (not taken or size + len(self._queue[0].rows) <= BATCH):
            keys = {(row["instance_id"], row["platform_id"]) for row in self._queue[0].rows}
            if keys & seen:
                break
            seen |= keys
            size += len(keys)
            taken.append(self._queue.pop(0))
        return taken

    async def _write(self, batch: list[_Waiting]) -> None:
        rows = [row for waiting in batch for row in waiting.rows]
        for position, row in enumerate(rows):
            row["position"] = position
        appended: dict[int, inbound.Appended] = {}
        with self._worker.contained() as contained:
            appended = await inbound.append_messages(self._database, rows)
        if contained.error is not None:
            await self._blame(batch, contained.error)
            return
        self._count([row for row in rows if row["position"] in appended and appended[row["position"]].message_id is not None])
        news = sorted((row.event for row in appended.values() if row.event is not None), key=lambda event: event.id)
        self._feed.wrote(news, has_deliveries=any(row.has_deliveries for row in appended.values()))
        with self._worker.contained() as contained:
            await self._book_early([(UUID(row["instance_id"]), row["platform_id"]) for row in rows])
        for waiting in batch:
            waiting.refused = any(row["position"] not in appended for row in waiting.rows)
            # Delivered again, the messages are known, and what came before them is booked.
            waiting.error = contained.error
            waiting.done.set()

    def _count(self, fresh: Sequence[dict[str, Any]]) -> None:
        self._metrics.messages.update((UUID(row["instance_id"]), "received") for row in fresh if not (row["outgoing"] or row["backfill"]))

    async def _blame(self, batch: list[_Waiting], error: Exception) -> None:
        """A row that cannot be stored fails its own delivery, not those it happened to be written with."""
        if len(batch) > 1 and not isinstance(error, StoreUnavailable):
            for waiting in batch:
                await self._write([waiting])
            return
        for waiting in batch:
            waiting.error = error
            waiting.done.set()

    async def _change(self, source: Source, event: Event) -> None:
        if isinstance(event, MessageReceived):
            await self._settle_echo(source, event)
        elif isinstance(event, _OnMessage):
            await self._book(source, event)
        elif isinstance(event, ChatMigrated):
            await self._move(source, event)
        else:
            statement, params = _CHANGES[type(event)](event)
            await self._run(source, event, statement, params)
            if isinstance(event, ChatChanged):
                await self._learn_aliases(source, event.chat)

    async def _move(self, source: Source, event: ChatMigrated) -> None:
        home = await chat_addresses.home(self._database, source.instance_id, event.old_id)
        if home is not None:
            # The old id is a further id of a chat, and that stays where it is.
            if home != event.chat.id:
                await self._learn_aliases(source, Chat(id=home, aliases=(event.chat.id,)))
            return
        params = {**chat_params(event), "old_id": event.old_id, "at": event.at}
        self._announce(event, await chat_addresses.migrate_chat(self._database, self._complete(source, event, params)))
        await self._learn_aliases(source, event.chat)

    async def _run(self, source: Source, event: Event, statement: LiteralString, params: dict[str, Any]) -> int | None:
        return self._announce(event, await changes.change(self._database, statement, self._complete(source, event, params)))

    def _complete(self, source: Source, event: Event, params: dict[str, Any]) -> dict[str, Any]:
        return {"instance_id": source.instance_id, "epoch": source.epoch, "type": event.type, **params}

    def _announce(self, event: Event, changed: changes.Change | None) -> int | None:
        if changed is None:
            raise _replaced()
        if changed.event is None:
            return None
        # Other changes may end what an agent is at, or let it begin.
        self._feed.wrote([changed.event], has_deliveries=changed.has_deliveries or not isinstance(event, _OnMessage))
        return changed.event.id

    async def _settle_echo(self, source: Source, event: MessageReceived) -> None:
        """The platform shows us our own message with our nonce: whatever became of the answer to our call, it went out."""
        nonce = event.client_id or ""
        settled = None
        if nonce.isascii() and nonce.isdecimal() and int(nonce) < 2**63:
            message = event.message
            content = content_of(message)
            if (stored := self._settling.get((source.instance_id, message.id))) is not None:
                with anyio.move_on_after(ECHO_WAITS):
                    await stored.wait()
            if self._known.get((source.instance_id, message.id)) == event.chat.id:
                if content:
                    await outbox.learn_content(self._database, source.instance_id, int(nonce), platform_id=message.id, content=content)
                return
            settled = await outbox.sent(
                self._database,
                source.instance_id,
                int(nonce),
                platform_id=message.id,
                sent_at=message.at,
                content=content,
                chat_id=event.chat.id,
                thread_id=message.thread_id,
            )
        if settled is None:
            # Settled already, and then it is stored; or the nonce is another program's.
            await self._append(source, [event])
        else:
            self._feed.wrote([settled.event], has_deliveries=settled.has_deliveries)
            await self._book_early([(source.instance_id, event.message.id)])

    async def _book(self, source: Source, event: _OnMessage) -> None:
        """Book what is about one message. It can overtake the message, or the answer to the send of it: then it is kept until that is stored.

        That may happen while it is being kept: so it is tried once more afterwards, unless the message is still missing.
        """
        change = _CHANGES[type(event)](event)
        if await self._run(source, event, *change) is not None:
            return
        if not await chat_addresses.is_stored(self._database, source.instance_id, event.message_id):
            report = _early(source.instance_id, event)
            self._early[source.instance_id] = True
            await early_reports.keep(self._database, report)
            if not await chat_addresses.is_stored(self._database, source.instance_id, event.message_id):
                self._left_out.note(event.type, "its message is not stored yet")
                return
            await early_reports.forget(self._database, report)
        if await self._run(source, event, *change) is None:
            self._left_out.note(event.type, "it was so already")

    @contextmanager
    def settling(self, instance_id: UUID, platform_id: str) -> Generator[None]:
        """Have the platform's echo of a send wait while its answer is stored."""
        key, stored = (instance_id, platform_id), anyio.Event()
        self._settling[key] = stored
        try:
            yield
        finally:
            stored.set()
            self._settling.pop(key, None)

    async def settled(self, instance_id: UUID, platform_id: str, *, chat_id: str | None = None) -> None:
        """A message is stored under its platform id: what came too early about it can be booked. `chat_id`: where a send lies, if that is known."""
        if chat_id is not None:
            self._known[instance_id, platform_id] = chat_id
        await self._book_early([(instance_id, platform_id)])

    def owner_changed(self, instance_id: UUID) -> None:
        """Forget what is known of an instance that another process works for, or worked for until now."""
        self._early.pop(instance_id, None)

    async def _book_early(self, messages: Sequence[tuple[UUID, str]]) -> None:
        """Book what came before these messages, named by instance and platform id, were stored."""
        if unknown := {instance_id for instance_id, _ in messages} - self._early.keys():
            having = await early_reports.having(self._database, list(unknown))
            # What was kept meanwhile has said so.
            self._early = {**{instance_id: instance_id in having for instance_id in unknown}, **self._early}
        due = [(instance_id, id) for instance_id, id in messages if self._early.get(instance_id, True)]
        for report in await early_reports.find(self._database, due) if due else ():
            event = _REPORT.validate_python(report.report)
            await self._run(Source(report.instance_id, None), event, *_CHANGES[type(event)](event))
            await early_reports.forget(self._database, report)


def _replaced() -> Conflict:
    return Conflict("Another process runs this instance now.")


def content_of(message: Message) -> dict[str, Any]:
    """Return the content of a message besides its text, as it is stored."""
    return message.model_dump(mode="json", include=IN_CONTENT, exclude_defaults=True, exclude_none=True)


def message_row(source: Source, event: MessageReceived) -> dict[str, Any]:
    """One message as `append_messages` takes it."""
    message, chat, sender = event.message, event.chat, event.sender
    return {
        "instance_id": str(source.instance_id),
        "epoch": source.epoch,
        "chat_id": chat.id,
        "platform_id": message.id,
        "outgoing": message.outgoing,
        "sender_id": message.sender_id,
        "sender_name": message.sender_name or (sender.name if sender else ""),
        "kind": message.kind,
        "body": message.text,
        "reply_to": message.reply_to,
        "thread_id": message.thread_id,
        "content": content_of(message),
        "raw": message.raw or None,
        "sent_at": message.at.isoformat(),
        "backfill": event.backfill,
        "chat_kind": chat.kind,
        "chat_title": chat.title,
        "chat_username": chat.username,
        "chat_phone": chat.phone,
        "contact_name": sender.name if sender else None,
        "contact_username": sender.username if sender else None,
        "contact_phone": sender.phone if sender else None,
        "contact_is_bot": sender.is_bot if sender else False,
        "trace": carrier() or None,
    }


def chat_params(event: ChatChanged | ChatMigrated) -> dict[str, Any]:
    chat = event.chat
    return {
        "chat_id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "username": chat.username,
        "phone": chat.phone,
        "data": jsonb({"old_id": event.old_id} if isinstance(event, ChatMigrated) else {}),
    }


def _edited(event: MessageEdited) -> tuple[LiteralString, dict[str, Any]]:
    content = event.model_dump(mode="json", include={"media", "location", "poll", "format"}, exclude_none=True)
    return changes.EDIT, {"message_id": event.message_id, "text": event.text, "content": jsonb(content), "at": event.at}


def _deleted(event: MessageDeleted) -> tuple[LiteralString, dict[str, Any]]:
    return changes.DELETE, {"chat_id": event.chat_id, "message_id": event.message_id, "at": event.at}


def _reacted(event: ReactionChanged) -> tuple[LiteralString, dict[str, Any]]:
    emojis = list(event.emojis)
    return changes.REACT, {
        "chat_id": event.chat_id,
        "message_id": event.message_id,
        "sender_id": event.sender_id,
        "emojis": emojis,
        "data": jsonb({"sender_id": event.sender_id, "emojis": emojis}),
    }


def _receipt(event: ReceiptChanged) -> tuple[LiteralString, dict[str, Any]]:
    error = None
    if event.status == "failed":
        error = {"code": event.code or "rejected", "message": event.detail} | ({"hint": event.hint} if event.hint else {})
    return changes.RECEIPT, {
        "chat_id": event.chat_id,
        "message_id": event.message_id,
        "status": event.status,
        "error": None if error is None else jsonb(error),
        "data": jsonb({"status": event.status, **(error or {})}),
    }


def _chat(event: ChatChanged) -> tuple[LiteralString, dict[str, Any]]:
    return changes.CHAT, chat_params(event)


def _voted(event: PollVoted) -> tuple[LiteralString, dict[str, Any]]:
    options = list(event.options)
    vote = {"name": event.sender_name, "options": options} | ({} if event.count is None else {"count": event.count})
    return changes.VOTE, {
        "message_id": event.message_id,
        "sender_id": event.sender_id,
        "vote": jsonb(vote),
        "data": jsonb({"sender_id": event.sender_id, **vote}),
    }


def _closed(event: ChatClosed) -> tuple[LiteralString, dict[str, Any]]:
    params = {"chat_id": event.chat_id, "reason": event.reason, "at": event.at, "data": jsonb({"reason": event.reason})}
    return (changes.CHAT_OPENED if event.reason is None else changes.CHAT_CLOSED), params


def _stopped(event: StopRequested) -> tuple[LiteralString, dict[str, Any]]:
    data = event.model_dump(mode="json", include={"thread_id", "sender_id"}, exclude_none=True)
    return changes.STOP, {"chat_id": event.chat_id, "thread_id": event.thread_id, "reason": batches.STOPPED, "data": jsonb(data)}


def _notice(event: NoticeReceived) -> tuple[LiteralString, dict[str, Any]]:
    data = {"code": event.code, "text": event.text, "is_error": event.is_error}
    return changes.NOTICE, {**data, "data": jsonb(data)}


_CHANGES: dict[type, Any] = {
    MessageEdited: _edited,
    MessageDeleted: _deleted,
    ReactionChanged: _reacted,
    ReceiptChanged: _receipt,
    ChatChanged: _chat,
    PollVoted: _voted,
    ChatClosed: _closed,
    StopRequested: _stopped,
    NoticeReceived: _notice,
}
