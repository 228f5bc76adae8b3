"""A channel of Claude Code: what comes in is pushed into an open session, and a session's questions for permission go to the owner's chat.

The contract is of the host (code.claude.com/docs/en/channels-reference): a capability in the handshake, `notifications/claude/channel` from
here, and `notifications/claude/channel/permission_request` from there. A push is not acknowledged, and gets lost where the host did not load
the server as a channel; so a message counts as dealt with only when somebody answered in its chat or marked it as read, and what does not is
pushed again at the next start, marked as such.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

import anyio

from db import channels, instances
from db import events as log
from db import policy as policies
from db.channels import ChannelPlace
from db.errors import StoreUnavailable
from db.events import EventRow
from db.instances import InstanceRow
from mcp_messenger.api.mcp.pushing import DECIDED, PUSH, Notify, PermissionAsked
from mcp_messenger.delivery.feed import Listener
from mcp_messenger.errors import CursorAhead, CursorExpired, ShuttingDown, quoted
from mcp_messenger.operations.application import App
from mcp_messenger.operations.approvals import until_settled
from mcp_messenger.operations.operation import Operation, Transport
from mcp_messenger.operations.table import BY_NAME
from mcp_messenger.operations.transcript import fenced, message_line, short
from mcp_messenger.operations.views import MessageView
from mcp_messenger.operations.waiting import LONGEST_WAIT, NewMessages, Reacted, Reminder, WaitForMessages
from mcp_messenger.policy.asking import Asked, Call, ask
from mcp_messenger.policy.model import OwnerChat, stored
from mcp_messenger.security.caller import ADMIN, Caller, instance_of, whole_id
from providers.errors import MessengerError
from providers.text import clean, clean_line

logger = logging.getLogger(__name__)

ALL = "*"
"""The name of a channel of all instances; that of one instance is its id."""
MISSED_MAX = 50
"""Messages that are pushed at the start; of earlier ones their number is."""
PAGE = 50
PAGES_MAX = 1000
"""Pages that wait to be dealt with; of a session that never does, the oldest are forgotten."""
RETRY = 5.0
LEAVE_WITHIN = 3.0
ASK_MINUTES = 10
YES = re.compile(r"\W*(?:yes|ok|allow|always)\W*", re.IGNORECASE)
"""A permission and nothing else: "ok, but not this one" is none."""
_WAIT: Operation = BY_NAME["wait_for_messages"]
_META = re.compile(r'[<>"&\r\n]')


class Channel(Listener):
    """One session's channel of some instances, or of all where none is named. `caller` is the session's: what it is pushed, it was shown."""

    def __init__(self, app: App, names: Sequence[str], notify: Notify, caller: Caller) -> None:
        self._app = app
        self._caller = caller
        self._names = names
        self._notify = notify
        self._follow: list[_Followed] = []
        self._news = anyio.Event()

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        """Look again what was dealt with."""
        self._news.set()

    async def run(self) -> None:
        """Push what was missed, and then what comes, until cancelled. Raises NoSuchInstance for a name that is none."""
        database = self._app.database
        await database.started()
        chosen = [str((await instance_of(database, ADMIN, await whole_id(database, ADMIN, name))).id) for name in self._names]
        self._follow = [_Followed(self._app, instance_id, self._notify, self._caller) for instance_id in chosen or [None]]
        self._app.feed.listeners.append(self)
        try:
            async with anyio.create_task_group() as tasks:
                for one in self._follow:
                    tasks.start_soon(one.run)
                await self._confirm()
        finally:
            self._app.feed.listeners.remove(self)
            with anyio.move_on_after(LEAVE_WITHIN, shield=True), suppress(MessengerError):
                for one in self._follow:
                    await one.confirm()

    async def _confirm(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            with suppress(StoreUnavailable):
                for one in self._follow:
                    await one.confirm()

    async def permit(self, asked: PermissionAsked) -> None:
        """Ask the owner in their chat, where there is one, and tell the host what they say; the first answer counts, there or here."""
        found = await self._owned()
        if found is None:
            return
        row, owner = found
        words = [f"A session of Claude Code wants to use its tool {quoted(clean_line(asked.tool_name))}: {clean(asked.description)}"]
        words += [clean(asked.input_preview), "Answer yes or no."]
        approval, _ = await ask(
            self._app.database,
            self._app.vault(),
            Asked(
                operation="channel_permission",
                call=Call({}, rest=asked.request_id, text="\n\n".join(part for part in words if part)),
                rule="channel",
                reason="It is asked at the terminal as well; the first answer counts.",
                asker=f"channel:{asked.request_id}",
                caller=ADMIN,
                user_id=row.user_id,
                instance_id=row.id,
                chat_id=owner.chat_id,
                minutes=ASK_MINUTES,
                kind="question",
            ),
        )
        settled = await until_settled(self._app, approval)
        behavior = _behavior(settled.status, (settled.outcome or {}).get("words"))
        if behavior is not None:
            await self._notify(DECIDED, {"request_id": asked.request_id, "behavior": behavior})

    async def _owned(self) -> tuple[InstanceRow, OwnerChat] | None:
        """Return an instance of the channel whose policy names the owner's chat."""
        for one in self._follow:
            rows = await instances.listing(self._app.database, id=None if one.instance_id is None else UUID(one.instance_id), limit=1000)
            for row in rows:
                owner = stored(await policies.document(self._app.database, row.id)).owner
                if owner is not None:
                    return row, owner
        return None


def _behavior(status: str, words: str | None) -> Literal["allow", "deny"] | None:
    """Return what the host is told; None: nobody has decided."""
    if status == "answered":
        return "allow" if YES.fullmatch(words or "") else "deny"
    return "deny" if status == "denied" else None


class _Followed:
    """The messages of one instance, or of all (None), as a channel of that name has come to them."""

    def __init__(self, app: App, instance_id: str | None, notify: Notify, caller: Caller) -> None:
        self.instance_id = instance_id
        self._app = app
        self._notify = notify
        self._caller = caller
        self._name = instance_id or ALL
        self._pages: deque[tuple[int, frozenset[int]]] = deque(maxlen=PAGES_MAX)
        """What was pushed and is not known to be dealt with: the cursor after it, and its messages."""
        self._place = ChannelPlace(0, 0)
        self._busy = anyio.Lock()

    async def run(self) -> None:
        while True:
            try:
                await self._run()
            except ShuttingDown:
                return
            except (CursorExpired, CursorAhead) as error:
                await channels.reset(self._app.database, self._name)
                await self._say(f"Some messages may be missing here: {error.detail} catch_up shows what waits.")
            except MessengerError as error:
                logger.warning("a channel waits: %s", error.detail)
                await anyio.sleep(RETRY)

    async def _run(self) -> None:
        now = await log.last(self._app.database)
        known = await channels.get(self._app.database, self._name)
        self._pages.clear()
        self._place = known or ChannelPlace(now, 0)
        if known is None:
            await channels.keep(self._app.database, self._name, self._place)
        cursor = await self._missed(self._place, now)
        while True:
            found = await self._wait(cursor, LONGEST_WAIT)
            await self._push(found, lambda view: {})
            cursor = int(found.cursor)

    async def _wait(self, cursor: int, seconds: float) -> NewMessages:
        """Return what others wrote, as an agent's wait does: what may not wake one is held back, and whose words are shown is noted."""
        args = WaitForMessages(instance_id=self.instance_id, cursor=str(cursor), timeout=seconds, limit=PAGE)
        found: Any = await _WAIT.carry_out(self._app, self._caller, args, transport=Transport.MCP)
        return found

    async def _missed(self, place: ChannelPlace, now: int) -> int:
        """Push what came while no session was open, and what nobody has dealt with; return the cursor after it."""
        cursor, pages = place.confirmed, deque[NewMessages]()
        count = dropped = 0
        while cursor < now:
            found = await self._wait(cursor, 0.0)
            cursor = max(int(found.cursor), cursor)
            if not (found.messages or found.reminders):
                break
            left = await channels.still_open(self._app.database, [int(one.id) for one in found.messages])
            pages.append(found.model_copy(update={"messages": [one for one in found.messages if int(one.id) in left], "reactions": []}))
            count += len(pages[-1].messages)
            while count - len(pages[0].messages) >= MISSED_MAX:
                dropped += len(pages[0].messages)
                count -= len(pages.popleft().messages)
        if dropped:
            await self._say(f"{dropped} messages that came before the following ones are left out here. catch_up shows what waits.")
        for page in pages:
            await self._push(page, lambda view: {"again": "true"} if int(view.id) <= place.pushed else {"missed": "true"})
        return cursor

    async def _push(self, found: NewMessages, marks: Callable[[MessageView], Mapping[str, str]]) -> None:
        for message in found.messages:
            await self._notify(PUSH, _message(message, self.instance_id, marks(message)))
        for reaction in found.reactions:
            await self._notify(PUSH, _reaction(reaction, self.instance_id))
        for reminder in found.reminders:
            await self._notify(PUSH, _reminder(reminder))
        async with self._busy:
            ids = frozenset(int(one.id) for one in found.messages)
            self._pages.append((int(found.cursor), ids))
            await self._keep(ChannelPlace(self._place.confirmed, max(self._place.pushed, *ids, 0)))
        await self.confirm()

    async def confirm(self) -> None:
        """Go on to the first page of which something waits."""
        async with self._busy:
            confirmed = self._place.confirmed
            while self._pages:
                cursor, ids = self._pages[0]
                if ids and await channels.still_open(self._app.database, list(ids)):
                    break
                self._pages.popleft()
                confirmed = max(confirmed, cursor)
            await self._keep(ChannelPlace(confirmed, self._place.pushed))

    async def _keep(self, place: ChannelPlace) -> None:
        if place != self._place:
            await channels.keep(self._app.database, self._name, place)
            self._place = place

    async def _say(self, words: str) -> None:
        await self._notify(PUSH, {"content": words, "meta": {"notice": "true"}})


def _message(view: MessageView, instance_id: str | None, marks: Mapping[str, str]) -> dict[str, Any]:
    meta = {
        **_place_of(view.instance_id or instance_id, view.chat_id),
        "message_id": view.id,
        "sender": view.sender or "",
        "sender_id": view.sender_id or "",
        "at": view.at.isoformat(timespec="seconds"),
        **{name: "true" for name, is_so in (("stranger", view.stranger), ("file", bool(view.media)), ("mention", view.mentions_me)) if is_so},
        **marks,
    }
    return {"content": fenced(message_line(view, marked=True)), "meta": _plain(meta)}


def _reaction(one: Reacted, instance_id: str | None) -> dict[str, Any]:
    meta = {**_place_of(one.instance_id or instance_id, one.chat_id), "message_id": one.message_id, "sender_id": one.sender_id, "reaction": "true"}
    emojis = " ".join(clean_line(emoji)[:16] for emoji in one.emojis)
    return {"content": f"reacted to your message: {emojis}" if emojis else "took the reaction to your message back", "meta": _plain(meta)}


def _reminder(one: Reminder) -> dict[str, Any]:
    meta = {"instance_id": short(one.instance_id), "reminder": one.scheduled_id, "at": one.at.isoformat(timespec="seconds")}
    return {"content": fenced(one.text), "meta": _plain(meta)}


def _place_of(instance_id: str | None, chat_id: str | None) -> dict[str, str]:
    return {"instance_id": short(instance_id or ""), "chat_id": chat_id or ""}


def _plain(meta: Mapping[str, str]) -> dict[str, str]:
    """Return attributes that cannot end the tag in which the host puts them, without empty ones."""
    return {name: shown for name, value in meta.items() if (shown := _META.sub(" ", clean_line(value)).strip())}
