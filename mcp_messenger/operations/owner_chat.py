"""The owner's own chat, where calls that wait are shown and decided: by a button, by 👍 or 👎 on the request, or by "yes abcde" and "no abcde"."""

import logging
import re
from collections import deque
from dataclasses import dataclass
from uuid import UUID

import anyio

from db import approvals as store
from db import instances, messages, pairing
from db import policy as policies
from db.approvals import ApprovalRow
from db.errors import StoreUnavailable
from db.events import EventRow
from db.messages import MessageRow
from mcp_messenger.delivery.feed import Listener
from mcp_messenger.errors import IdempotencyConflict
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import EDITABLE, words_of
from mcp_messenger.operations.deciding import approve_as, deny_as
from mcp_messenger.operations.pairing import CODE_LENGTH as PAIRING_CODE
from mcp_messenger.policy.asking import CODE_LENGTH, LETTERS, unsealed
from mcp_messenger.policy.judging import own_permit
from mcp_messenger.policy.model import OwnerChat, stored
from providers.capabilities import Capability
from providers.errors import MessengerError
from providers.models import ChatKind, Choice, Draft
from providers.text import clean, clean_line

log = logging.getLogger(__name__)

_CODE = rf"(?P<code>[{LETTERS}]{{{CODE_LENGTH},{PAIRING_CODE}}})"
WORD = re.compile(rf"\s*(?P<word>yes|ok|no|always)\s+{_CODE}\s*[.!]?\s*", re.IGNORECASE)
ANSWER = re.compile(rf"\s*(?:(?P<edit>edit)\s+)?{_CODE}\s*:?\s+(?P<words>.+)", re.IGNORECASE | re.DOTALL)
YES, NO = frozenset("👍✅👌"), frozenset("👎❌🚫")
"""Reactions to a request that decide it, in any skin colour."""
HEARD = frozenset({"message", "reaction"})
KEPT_MAX = 10_000


@dataclass(frozen=True)
class Decided:
    """What the owner decided. `message`: the text to send instead; `answer`: to a question."""

    is_yes: bool = True
    always: bool = False
    message: str | None = None
    answer: str | None = None


class OwnerChats(Listener):
    """Shows what waits in the owner's chat, and takes the owner's word there. Every server does; the store lets one of them be first."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._todo = deque[EventRow](maxlen=KEPT_MAX)
        self._chats: set[tuple[str, str]] = set()
        self._news = anyio.Event()

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        """Keep what concerns approvals, and what is written in an owner's chat."""
        found = [row for row in rows if row.type == "approval" or (row.type in HEARD and (str(instance_id), row.chat_id) in self._chats)]
        if found:
            self._todo += found
            self._news.set()

    async def wait(self) -> None:
        """Return when there is something to do."""
        await self._news.wait()

    async def work(self) -> None:
        """Show what is new, and take the owner's words, in their order."""
        self._news = anyio.Event()
        self._chats = await store.owner_chats(self._app.database)
        while self._todo:
            row = self._todo[0]
            if row.type == "approval" and row.data.get("status") == "pending":
                await self._show(UUID(row.data["approval_id"]))
            elif row.type == "message" and row.message_id is not None:
                await self._hear(row.instance_id, row.message_id)
            elif row.type == "reaction" and row.message_id is not None:
                await self._see(row, row.message_id)
            self._todo.popleft()

    async def _show(self, approval_id: UUID) -> None:
        row = await store.get(self._app.database, approval_id)
        if row is None or row.instance_id is None or row.status != "pending":
            return
        owner = stored(await policies.document(self._app.database, row.instance_id)).owner
        if owner is not None:
            await self._say(owner, notice(self._app, row), f"approval:{row.id}:asked", row.code if row.kind != "question" else None)

    async def _hear(self, instance_id: UUID, message_id: int) -> None:
        """Take a word of the owner."""
        message = await messages.get(self._app.database, instance_id, message_id)
        if message is None or message.outgoing:
            return
        found = WORD.fullmatch(_said(message)) or ANSWER.fullmatch(message.body)
        if found is None:
            return
        row = await store.by_code(self._app.database, found["code"].lower(), instance_id=str(instance_id), chat_id=message.chat_id)
        if row is None:
            return
        given = found.groupdict()
        word, words = (given.get("word") or "").lower(), clean(given.get("words") or "")
        if row.kind == "question" and word != "no":
            decision = Decided(answer=words or word)
        elif word:
            decision = Decided(is_yes=word != "no", always=word == "always")
        elif given.get("edit") and words:
            decision = Decided(message=words)
        else:
            return
        await self._decide(row, OwnerChat(instance_id=str(instance_id), chat_id=message.chat_id), decision)

    async def _see(self, event: EventRow, message_id: int) -> None:
        """Take a reaction of the owner to a request. The account's own, which an agent may set, decides nothing."""
        marks = {emoji[0] for emoji in event.data["emojis"] if emoji}
        if bool(marks & YES) == bool(marks & NO):
            return
        row = await store.by_request(self._app.database, event.instance_id, message_id, sender_id=event.data["sender_id"])
        if row is None or row.kind == "question" or event.chat_id is None:
            return
        owner = OwnerChat(instance_id=str(event.instance_id), chat_id=event.chat_id)
        await self._decide(row, owner, Decided(is_yes=bool(marks & YES)))

    async def _decide(self, row: ApprovalRow, owner: OwnerChat, decision: "Decided") -> None:
        by = f"owner:{owner.instance_id}:{owner.chat_id}"
        try:
            if decision.is_yes:
                await approve_as(self._app, row, by, message=decision.message, answer=decision.answer, always=decision.always)
            else:
                await deny_as(self._app, row, by)
        except StoreUnavailable:
            raise
        except MessengerError as error:
            # Mostly somebody else was first.
            log.info("a word of the owner changed nothing: %s", error, extra={"instance_id": owner.instance_id})
            return
        settled = await store.get(self._app.database, row.id)
        await self._say(owner, f"{row.operation} is {'gone' if settled is None else settled.status} ({row.code}).", f"approval:{row.id}:decided")

    async def _say(self, owner: OwnerChat, text: str, key: str, code: str | None = None) -> None:
        """Send to the owner, once over all servers."""
        row = await instances.get(self._app.database, UUID(owner.instance_id))
        if row is None:
            return
        cls = await classes.load(row.provider)
        choices: tuple[Choice, ...] = ()
        if code is not None and Capability.CHOICES in cls.capabilities:
            choices = (Choice(id=f"yes {code}", title="Yes"), Choice(id=f"no {code}", title="No"))
        draft = Draft(client_id="0", chat_id=owner.chat_id, text=text, choices=choices)
        try:
            permit = own_permit(self._app.judge, row, draft)
            await self._app.outbox.queue(row.id, draft, kind=ChatKind.PRIVATE, idempotency_key=key, permit=permit)
        except IdempotencyConflict:
            return
        await self._app.supervisor.wake_outbox(row.id)


def _said(message: MessageRow) -> str:
    """Return what was written, or which button was pressed."""
    return str(message.content.get("chosen") or message.body)


def notice(app: App, row: ApprovalRow) -> str:
    """Return what the owner is asked."""
    try:
        call = unsealed(app.vault(), row)
    except MessengerError:
        return f"An agent asks for {row.operation}; what it is cannot be read. Answer: no {row.code}"
    name = f'"{clean_line(call.title)}" ' if call.title else ""
    if row.kind == pairing.KIND:
        how = f'Answer "yes {row.code}", "always {row.code}" to trust them too, or "no {row.code}".'
        return f"{name}({row.chat_id}) wrote, and is not known.\n\n{row.reason}\n\n{how}"
    head, text = words_of(app, row)
    if row.kind == "question":
        how = f"Answer: {row.code} and your words"
    else:
        how = f'Answer "yes {row.code}" or "no {row.code}", or react with 👍 or 👎.'
        how += f' "always {row.code}" trusts the chat as well.' if row.chat_id else ""
        how += f' "edit {row.code} …" sends your words instead.' if any(one in call.arguments for one in EDITABLE) else ""
    return "\n\n".join(part for part in (head, text, how) if part)
