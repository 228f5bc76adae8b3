"""Finds the chat that an address means."""

from dataclasses import dataclass

from db import chat_addresses
from db.instances import InstanceRow
from db.policy import Situation
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.port import connected_port
from mcp_messenger.policy.judging import Judging
from providers.models import ChatKind


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

    With `judging` the same statement reads what policy has to know of the chat.
    Raises NotFound and InvalidRequest for an address that leads nowhere, NotReady where the platform cannot be asked now.
    """
    cls = await classes.load(row.provider)
    to = cls.address(to)
    about = None if judging is None else await judging.situation(row, to)
    found = await chat_addresses.find(app.database, row.id, to) if about is None else about
    if found is not None and found.chat_id is not None:
        return Recipient(found.chat_id, found.thread_id, ChatKind(found.kind), found.closed, about)
    if not cls.must_resolve(to):
        return Recipient(to, about=about)
    address = await connected_port(app, row).resolve(to)
    if address.lasting and address.chat_id != to:
        await chat_addresses.join(app.database, row.id, to, address.chat_id, address.thread_id)
    if judging is not None and address.chat_id != to:
        about = await judging.situation(row, address.chat_id)
    return Recipient(address.chat_id, address.thread_id, address.kind, about=about)
