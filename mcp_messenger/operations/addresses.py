"""Finds the chat that an address means."""

from dataclasses import dataclass

from db import chat_addresses
from db.instances import InstanceRow
from mcp_messenger.instances import classes
from mcp_messenger.operations.application import App
from mcp_messenger.operations.port import connected_port
from providers.models import ChatKind


@dataclass(frozen=True)
class Recipient:
    """The chat, and the thread in it, that an address means. `closed`: why it takes no messages; None where it does, as far as is known."""

    chat_id: str
    thread_id: str | None = None
    kind: ChatKind = ChatKind.UNKNOWN
    closed: str | None = None


async def recipient(app: App, row: InstanceRow, to: str) -> Recipient:
    """Return where a message to `to` will lie: from the store, else from the platform where only that knows, else as it is written.

    Raises NotFound and InvalidRequest for an address that leads nowhere, NotReady where the platform cannot be asked now.
    """
    cls = await classes.load(row.provider)
    to = cls.address(to)
    found = await chat_addresses.find(app.database, row.id, to)
    if found is not None:
        return Recipient(found.chat_id, found.thread_id, ChatKind(found.kind), found.closed)
    if not cls.must_resolve(to):
        return Recipient(to)
    address = await connected_port(app, row).resolve(to)
    if address.lasting and address.chat_id != to:
        await chat_addresses.join(app.database, row.id, to, address.chat_id, address.thread_id)
    return Recipient(address.chat_id, address.thread_id, address.kind)
