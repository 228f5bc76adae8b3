"""The chats and contacts that a platform lists, written down, so that every process can answer from the store."""

from functools import partial

import anyio

from db import chats, history
from db.database import Database
from mcp_messenger.delivery.owned_instance import OwnedInstance
from mcp_messenger.observability.workers import Worker
from providers.base import Provider
from providers.capabilities import Capability
from providers.errors import MessengerError

Listed = tuple[list[tuple[str, str, str, str | None, str | None]], list[tuple[str, str, str | None, str | None, bool, bool]]]
"""Rows of chats and of contacts."""


async def keep(database: Database, owned: OwnedInstance, worker: Worker) -> None:
    """Record them whenever the instance becomes ready. Beside the provider's own work: that may be what brings the answer."""
    await worker.keep(partial(_record, database, owned, worker))


async def _record(database: Database, owned: OwnedInstance, worker: Worker) -> None:
    await owned.became_ready.wait()
    owned.became_ready = anyio.Event()
    try:
        listed = await _list(owned.provider)
    except MessengerError as error:
        # It can send and receive without them.
        await history.record_error(database, owned.row.id, error.code, error.detail)
    else:
        # The platform is not asked again because the store is away.
        await worker.until_done(partial(_store, database, owned, listed))


async def _list(provider: Provider) -> Listed:
    found: dict[str, tuple[str, str, str, str | None, str | None]] = {}
    people: dict[str, tuple[str, str, str | None, str | None, bool, bool]] = {}
    if Capability.CHATS in provider.capabilities:
        found = {chat.id: (chat.id, chat.kind, chat.title, chat.username, chat.phone) for chat in await provider.list_chats()}
    if Capability.CONTACTS in provider.capabilities:
        people = {one.id: (one.id, one.name, one.username, one.phone, one.is_bot, one.is_saved) for one in await provider.list_contacts()}
    return list(found.values()), list(people.values())


async def _store(database: Database, owned: OwnedInstance, listed: Listed) -> None:
    found, people = listed
    if Capability.CHATS in owned.provider.capabilities:
        await chats.upsert(database, owned.row.id, found)
    if Capability.CONTACTS in owned.provider.capabilities:
        await chats.upsert_contacts(database, owned.row.id, people)
