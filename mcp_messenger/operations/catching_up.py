"""Shows an agent what to look at first: unread, unanswered and mentions over all instances, within a budget of tokens."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import Field

from db import events as log
from db import waiting
from db.messages import MessageRow
from db.waiting import Place, WaitingChat
from mcp_messenger.config import Answers
from mcp_messenger.errors import InvalidInput
from mcp_messenger.operations import cursor as cursors
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import known_beside
from mcp_messenger.operations.operation import Cursor, FromOthers, Input, Output
from mcp_messenger.operations.reach import visible
from mcp_messenger.operations.tokens import tokens_at_most
from mcp_messenger.operations.transcript import chat_heading, fenced, message_line, name, short
from mcp_messenger.operations.views import Beside, MessageView, message_view
from mcp_messenger.policy.shown import Words
from mcp_messenger.security.caller import Caller

CHATS = 100
MOST_OF_CHAT, OF_MANY_CHATS = 10, 3
FEW_CHATS = 5
TEXT = 200
SHORTER = (60, 20)
ENVELOPE = 110
"""Tokens of the answer without its chats."""
OF_INSTANCE = 40


class CatchUp(Input):
    hidden = frozenset({"instance_id", "max_tokens"})

    instance_id: str | None = Field(default=None, max_length=64, description="only this one")
    days: int = Field(default=7, ge=1, le=365, description="how far back")
    max_tokens: int = Field(default=1500, ge=200, le=20_000, description="size of the answer at most")
    cursor: Cursor = None


class ChatToAnswer(Output):
    """`unanswered`: the last word is the other side's."""

    chat_id: str
    title: str = ""
    kind: str = "unknown"
    unread: int = 0
    mentions: int = 0
    unanswered: bool = False
    messages: list[MessageView] = []

    def lines(self) -> list[str]:
        """Return the chat's heading and a line for each message, with its day."""
        marks = [f"{self.unread} unread" if self.unread else "", f"{self.mentions} mentions" if self.mentions else ""]
        marks.append("waits for an answer" if self.unanswered and self.kind == "private" else "")
        said = ", ".join(mark for mark in marks if mark)
        is_stranger = any(one.stranger and one.sender_id is None for one in self.messages)
        heading = chat_heading(self.chat_id, self.title, self.kind, stranger=is_stranger)
        return [f"#{heading}: {said}", *(f"{one.at:%m-%d} {message_line(one, marked=True)}" for one in self.messages)]


class InstanceToAnswer(Output):
    instance_id: str
    provider: str
    account: str | None = None
    chats: list[ChatToAnswer]


class CaughtUp(FromOthers):
    """Mentions first, then private chats that wait for an answer, then the newest. `left_out`: chats for which there was no room.

    `wait_cursor`: what comes in later is after it, for wait_for_messages. `next_cursor` leads to what was left out.
    """

    instances: list[InstanceToAnswer]
    left_out: int = 0
    next_cursor: str | None = None
    wait_cursor: str = "0"

    def transcript(self) -> str:
        """Return headings of accounts and chats, and a line for each message."""
        lines: list[str] = []
        for one in self.instances:
            lines.append(f"# {short(one.instance_id)} {one.provider} {name(one.account or '')}".rstrip())
            lines += [line for chat in one.chats for line in chat.lines()]
        rest = f'{self.left_out} more chats: cursor="{self.next_cursor}".' if self.next_cursor else "Nothing else waits."
        return "\n".join([fenced("\n".join(lines)), f'{rest} What comes later: wait_for_messages with cursor="{self.wait_cursor}".'])

    def words(self) -> Iterable[Words]:
        return [Words(chat.chat_id, one.instance_id) for one in self.instances for chat in one.chats]


async def catch_up(app: App, caller: Caller, args: CatchUp) -> CaughtUp:
    """Return the chats that need a look, within `max_tokens`; the rest is counted in `left_out`, and the next page has it."""
    instance_ids = await visible(app, caller, args.instance_id)
    since = datetime.now(UTC) - timedelta(days=args.days)
    wait_cursor = await log.last(app.database)
    chats = await waiting.waiting_chats(app.database, instance_ids=instance_ids, since=since, before=_place(args.cursor), limit=CHATS)
    each = MOST_OF_CHAT if len(chats) <= FEW_CHATS else OF_MANY_CHATS
    words: defaultdict[tuple[UUID, str], list[MessageRow]] = defaultdict(list)
    for message in await waiting.last_words(app.database, chats, each=each) if chats else ():
        words[message.instance_id, message.chat_id].append(message)
    beside = await known_beside(app, [message for of_chat in words.values() for message in of_chat])
    shown: dict[UUID, InstanceToAnswer] = {}
    room = args.max_tokens - ENVELOPE
    last: WaitingChat | None = None
    for chat in chats:
        head = 0 if chat.instance_id in shown else OF_INSTANCE
        newest = words[chat.instance_id, chat.id][-max(chat.unread, OF_MANY_CHATS) :]
        view, cost = _within(chat, newest, beside, room - head, app.config.answers)
        if view is None:
            break
        of = InstanceToAnswer(instance_id=str(chat.instance_id), provider=chat.provider, account=chat.account, chats=[])
        shown.setdefault(chat.instance_id, of).chats.append(view)
        room -= head + cost
        last = chat
    left_out = (chats[0].total if chats else 0) - sum(len(one.chats) for one in shown.values())
    return CaughtUp(
        instances=list(shown.values()),
        left_out=left_out,
        next_cursor=_cursor(last.place) if last is not None and left_out else None,
        wait_cursor=str(wait_cursor),
    )


def _cursor(place: Place) -> str:
    mentioned, waits, at, id = place
    return f"{mentioned:d}{waits:d}{cursors.encode(at, id)}"


def _place(cursor: str | None) -> Place | None:
    """Return the place that a cursor names. Raises InvalidInput for one that is none of ours."""
    if cursor is None:
        return None
    position = cursors.decode(cursor[2:])
    if position is None or position[0] is None or not set(cursor[:2]) <= {"0", "1"}:
        raise InvalidInput("This cursor is not one of ours.", hint="Give the next_cursor of the page before, or none.")
    return cursor[0] == "1", cursor[1] == "1", position[0], position[1]


def _within(chat: WaitingChat, messages: Sequence[MessageRow], beside: Beside, room: float, answers: Answers) -> tuple[ChatToAnswer | None, float]:
    """The chat with as many of its newest messages as there is room for, and what it costs; None where not even the beginning of one fits."""
    choices = [(messages[first:], TEXT) for first in range(len(messages))] + [(messages[-1:], text_max) for text_max in SHORTER]
    for some, text_max in choices:
        view = _view(chat, some, beside, text_max)
        said = "\n".join(view.lines()) + "\n" if answers == "lines" else json.dumps(view.shown(), ensure_ascii=False)
        cost = tokens_at_most(said)
        if cost <= room:
            return view, cost
    return None, 0


def _view(chat: WaitingChat, messages: Sequence[MessageRow], beside: Beside, text_max: int) -> ChatToAnswer:
    return ChatToAnswer(
        chat_id=chat.id,
        title=chat.title,
        kind=chat.kind,
        unread=chat.unread,
        mentions=chat.mentions,
        unanswered=chat.unanswered,
        messages=[message_view(message, beside, chat=False, text_max=text_max) for message in messages],
    )
