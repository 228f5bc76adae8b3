"""Finds the chat that an address means."""

import re
from dataclasses import dataclass

from db import chat_addresses, chats, contact_names
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
_NUMBER = re.compile(r"(?:\+|00)[\d\s().\-/]{6,30}")
"""A number with its country code: without it, it may be anybody's."""
MAY_BE_NAME = re.compile(r"(?=.*[^\W\d_])[^@#/:+<>|\n]{2,64}")


@dataclass(frozen=True)
class Recipient:
    """The chat, and the thread in it, that an address means. `closed`: why it takes no messages; None where it does, as far as is known."""

    chat_id: str
    thread_id: str | None = None
    kind: ChatKind = ChatKind.UNKNOWN
    closed: str | None = None
    title: str | None = None
    """Of the chat, as far as it was read; None says nothing."""
    about: Situation | None = None
    """The facts that policy needs about the chat, where they were asked for."""


async def recipient(app: App, row: InstanceRow, to: str, judging: Judging | None = None) -> Recipient:
    """Return where a message to `to` will lie: from the store, else from the platform where only that knows, else as it is written.

    `to` may also be a remembered name, or the name of the one chat that has it, if the account has written there. With `judging` the same
    statement reads what policy has to know of the chat. Raises NotFound and InvalidRequest for an address that leads nowhere, InvalidInput for a
    name that is not clear, NotReady where the platform cannot be asked now.
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
        return Recipient(found.chat_id, found.thread_id, ChatKind(found.kind), found.closed, found.title if about is None else None, about)
    # The id of somebody whom the account knows is nobody else's name.
    is_contact = bool(await chats.contacts_of_ids(app.database, row.id, [to]))
    if not is_contact and (chat_id := await _named(app, row, name)) is not None:
        return await recipient(app, row, chat_id, judging)
    if not cls.must_resolve(to):
        if to == name and (chat_id := await _of_contact(app, row, to)) is not None:
            return await recipient(app, row, chat_id, judging)
        return Recipient(to, about=about)
    address = await connected_port(app, row).resolve(to)
    if address.lasting and address.chat_id != to:
        await chat_addresses.join(app.database, row.id, to, address.chat_id, address.thread_id)
    if judging is not None and address.chat_id != to:
        about = await judging.situation(row, address.chat_id)
    return Recipient(address.chat_id, address.thread_id, address.kind, about=about)


async def _named(app: App, row: InstanceRow, name: str) -> str | None:
    """Return the chat that a name means, as it was remembered or as people call themselves; None: nobody has this name.

    Raises InvalidInput where several have it, or one who is a stranger.
    """
    if not MAY_BE_NAME.fullmatch(name):
        return None
    remembered = await contact_names.find(app.database, row.id, name)
    if remembered is not None:
        return remembered
    found = await chat_addresses.named(app.database, row.id, name, limit=CANDIDATES)
    if not found:
        return None
    if len(found) == 1 and (found[0].is_answered or found[0].id == name):
        # Its own id is no name: it was stored since it was looked for.
        return found[0].id
    whose = "several chats" if len(found) > 1 else "a chat to which nothing was sent yet"
    raise InvalidInput(
        f"{quoted(name)} is the name of {whose}: {'; '.join(map(_told_apart, found))}.",
        hint="People choose their names themselves. Give the id of the one that is meant; ask the person you work for where it is not certain. "
        "remember_contact keeps a name for one of them.",
    )


async def _of_contact(app: App, row: InstanceRow, to: str) -> str | None:
    """Return the contact that has a number, in any writing, or a user name, where the messenger makes no address of these; None: nobody has."""
    digits = re.sub(r"\D", "", to).removeprefix("00") if _NUMBER.fullmatch(to) else None
    username = to[1:] if to.startswith("@") and len(to) > 1 else None
    if digits is None and username is None:
        return None
    found = await chat_addresses.of_contact(app.database, row.id, digits=digits, username=username)
    return found[0] if len(found) == 1 and found[0] != to else None


def _told_apart(chat: NamedChat) -> str:
    """Return an id with what tells the chat from others of the same name."""
    parts = [chat.kind, chat.phone or "", f"last message {chat.last_at:%Y-%m-%d}" if chat.last_at else "no message yet"]
    return f"{chat.id} ({', '.join(part for part in parts if part)})"
