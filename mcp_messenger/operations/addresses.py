"""Finds the chat that an address means."""

import re
from dataclasses import dataclass

from db import chat_addresses
from db.chat_addresses import NamedChat
from db.instances import InstanceRow
from db.policy import Situation
from mcp_messenger.errors import InvalidInput, quoted
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.port import connected_port
from mcp_messenger.policy.judging import Judging
from providers.errors import InvalidRequest
from providers.models import ChatKind

CANDIDATES = 6
_MAY_BE_NAME = re.compile(r"(?=.*[^\W\d_])[^@#/:+<>|\n]{2,64}")


@dataclass(frozen=True)
class Recipient:
    """The chat, and the thread in it, that an address means. `closed`: why it takes no messages; None where it does, as far as is known."""

    chat_id: str
    thread_id: str | None = None
    kind: ChatKind = ChatKind.UNKNOWN
    closed: str | None = None
    about: Situation | None = None
    """What policy has to know of it, where that was asked for."""


async def recipient(app: App, row: InstanceRow, to: str, judging: Judging | None = None) -> Recipient:
    """Return where a message to `to` will lie: from the store, else from the platform where only that knows, else as it is written.

    `to` may also be the name of the one chat that has it, if the account has written there. With `judging` the same statement reads what
    policy has to know of the chat. Raises NotFound and InvalidRequest for an address that leads nowhere, InvalidInput for a name that is
    not clear, NotReady where the platform cannot be asked now.
    """
    cls = await classes.load(row.provider)
    name = to
    try:
        to = cls.address(to)
    except InvalidRequest:
        if (chat_id := await _named(app, row, name)) is None:
            raise
        return await recipient(app, row, chat_id, judging)
    about = None if judging is None else await judging.situation(row, to)
    found = await chat_addresses.find(app.database, row.id, to) if about is None else about
    if found is not None and found.chat_id is not None:
        return Recipient(found.chat_id, found.thread_id, ChatKind(found.kind), found.closed, about)
    if (chat_id := await _named(app, row, name)) is not None:
        return await recipient(app, row, chat_id, judging)
    if not cls.must_resolve(to):
        return Recipient(to, about=about)
    address = await connected_port(app, row).resolve(to)
    if address.lasting and address.chat_id != to:
        await chat_addresses.join(app.database, row.id, to, address.chat_id, address.thread_id)
    if judging is not None and address.chat_id != to:
        about = await judging.situation(row, address.chat_id)
    return Recipient(address.chat_id, address.thread_id, address.kind, about=about)


async def _named(app: App, row: InstanceRow, name: str) -> str | None:
    """Return the chat that a name means; None: nobody has this name. Raises InvalidInput where several have it, or one who is a stranger."""
    if not _MAY_BE_NAME.fullmatch(name):
        return None
    found = await chat_addresses.named(app.database, row.id, name, limit=CANDIDATES)
    if not found:
        return None
    if len(found) == 1 and found[0].is_answered:
        return found[0].id
    whose = "several chats" if len(found) > 1 else "a chat to which nothing was sent yet"
    raise InvalidInput(
        f"{quoted(name)} is the name of {whose}: {'; '.join(map(_told_apart, found))}.",
        hint="People choose their names themselves. Give the id of the one that is meant; ask the person you work for where it is not certain.",
    )


def _told_apart(chat: NamedChat) -> str:
    """Return an id with what tells the chat from others of the same name."""
    parts = [chat.kind, chat.phone or "", f"last message {chat.last_at:%Y-%m-%d}" if chat.last_at else "no message yet"]
    return f"{chat.id} ({', '.join(part for part in parts if part)})"
