"""Edits and deletions of our own messages. Those of one message are made one after the other, and each is stored before the next one
is made, so that the store ends with what the platform accepted last."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import anyio

from mcp_messenger.delivery.inbound import Inbound, Source
from mcp_messenger.delivery.owned_instance import OwnedInstance
from providers.events import MessageDeleted, MessageEdited
from providers.models import TextFormat


class OwnChanges:
    """Makes them in the process that runs the instance: all of them pass through it."""

    def __init__(self, inbound: Inbound) -> None:
        self._inbound = inbound
        self._turns: dict[tuple[UUID, str], anyio.Lock] = {}

    async def edit(self, owned: OwnedInstance, chat_id: str, message_id: str, text: str, format: TextFormat) -> None:
        """Change the text on the platform, then in the store. Raises what the provider raises, and StoreUnavailable: the edit was made then."""
        async with self._turn(owned.row.id, message_id):
            await owned.provider.edit(chat_id, message_id, text, format)
            await store_edit(self._inbound, owned.row.id, chat_id, message_id, text)

    async def delete(self, owned: OwnedInstance, chat_id: str, message_id: str) -> None:
        """Delete the message on the platform, then in the store. Raises as `edit` does."""
        async with self._turn(owned.row.id, message_id):
            await owned.provider.delete(chat_id, message_id)
            await store_deletion(self._inbound, owned.row.id, chat_id, message_id)

    @asynccontextmanager
    async def _turn(self, instance_id: UUID, message_id: str) -> AsyncGenerator[None]:
        key = instance_id, message_id
        lock = self._turns.setdefault(key, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._turns.pop(key, None)


# Not every platform tells us of our own changes. They are stored whoever runs the instance by now: the platform has them.
async def store_edit(inbound: Inbound, instance_id: UUID, chat_id: str, message_id: str, text: str) -> None:
    """Store an edit that the platform has accepted. Raises StoreUnavailable."""
    edited = MessageEdited(chat_id=chat_id, message_id=message_id, text=text, at=datetime.now(UTC))
    await inbound.deliver(Source(instance_id, None), [edited])


async def store_deletion(inbound: Inbound, instance_id: UUID, chat_id: str, message_id: str) -> None:
    """Store a deletion that the platform has accepted. Raises StoreUnavailable."""
    deleted = MessageDeleted(chat_id=chat_id, message_id=message_id, at=datetime.now(UTC))
    await inbound.deliver(Source(instance_id, None), [deleted])
