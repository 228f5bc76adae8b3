"""Shows an agent what to look at first: unread, unanswered and mentions over all instances, within a budget of tokens."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import Field

from db import waiting
from db.messages import MessageRow
from db.waiting import WaitingChat
from mcp_messenger.operations.application import App
from mcp_messenger.operations.messages import known_beside
from mcp_messenger.operations.operation import FromOthers, Input, Output
from mcp_messenger.operations.reach import visible
from mcp_messenger.operations.views import Beside, MessageView, message_view
from mcp_messenger.policy.judging import Words
from mcp_messenger.security.caller import Caller

CHATS = 100
EACH = 3
TEXT = 200
ENVELOPE = 60
"""Tokens of the answer without its chats."""
OF_INSTANCE = 40


class CatchUp(Input):
    hidden = frozenset({"instance_id"})

    instance_id: str | None = Field(default=None, max_length=64, description="only this one")
    days: int = Field(default=7, ge=1, le=365, description="how far back")
    max_tokens: int = Field(default=1500, ge=200, le=20_000, description="size of the answer at most")


class ChatToAnswer(Output):
    """`unanswered`: the last word is the other side's."""

    chat_id: str
    title: str = ""
    kind: str = "unknown"
    unread: int = 0
    mentions: int = 0
    unanswered: bool = False
    messages: list[MessageView] = []


class InstanceToAnswer(Output):
    instance_id: str
    provider: str
    chats: list[ChatToAnswer]


class CaughtUp(FromOthers):
    """Mentions first, then private chats that wait for an answer, then the newest. `left_out`: chats for which there was no room."""

    instances: list[InstanceToAnswer]
    left_out: int = 0

    def words(self) -> Iterable[Words]:
        return [Words(chat.chat_id, one.instance_id) for one in self.instances for chat in one.chats]


async def catch_up(app: App, caller: Caller, args: CatchUp) -> CaughtUp:
    """Return the chats that need a look, within `max_tokens`; the rest is counted in `left_out`."""
    instance_ids = await visible(app, caller, args.instance_id)
    since = datetime.now(UTC) - timedelta(days=args.days)
    chats = await waiting.waiting_chats(app.database, instance_ids=instance_ids, since=since, limit=CHATS)
    words: defaultdict[tuple[UUID, str], list[MessageRow]] = defaultdict(list)
    for message in await waiting.last_words(app.database, chats, each=EACH) if chats else ():
        words[message.instance_id, message.chat_id].append(message)
    beside = await known_beside(app, [message for of_chat in words.values() for message in of_chat])
    shown: defaultdict[tuple[str, str], list[ChatToAnswer]] = defaultdict(list)
    room = args.max_tokens - ENVELOPE
    for chat in chats:
        of = str(chat.instance_id), chat.provider
        head = 0 if of in shown else OF_INSTANCE
        view, cost = _within(chat, words[chat.instance_id, chat.id], beside, room - head)
        if view is not None:
            shown[of].append(view)
            room -= head + cost
    return CaughtUp(
        instances=[InstanceToAnswer(instance_id=instance_id, provider=provider, chats=views) for (instance_id, provider), views in shown.items()],
        left_out=(chats[0].total if chats else 0) - sum(map(len, shown.values())),
    )


def _within(chat: WaitingChat, messages: Sequence[MessageRow], beside: Beside, room: float) -> tuple[ChatToAnswer | None, float]:
    """The chat with as many of its newest messages as there is room for, and what it costs; None where not even one fits."""
    for first in range(len(messages)):
        view = _view(chat, messages[first:], beside)
        cost = tokens_at_most(json.dumps(view.shown(), ensure_ascii=False))
        if cost <= room:
            return view, cost
    return None, 0


def _view(chat: WaitingChat, messages: Sequence[MessageRow], beside: Beside) -> ChatToAnswer:
    return ChatToAnswer(
        chat_id=chat.id,
        title=chat.title,
        kind=chat.kind,
        unread=chat.unread,
        mentions=chat.mentions,
        unanswered=chat.unanswered,
        messages=[message_view(message, beside, chat=False, text_max=TEXT) for message in messages],
    )


def tokens_at_most(text: str) -> int:
    """More than any of today's tokenizers makes of it: a few letters make a token, digits and signs nearly one each, rare scripts several."""
    weights = (_weight(character) for character in text)
    return math.ceil(sum(weights))


def _weight(character: str) -> float:
    if character.isascii():
        return 0.4 if character.isalpha() or character == " " else 0.7
    if character < "\u0800":
        return 0.8
    return 1.5 if character < "\U00010000" else 4.0
