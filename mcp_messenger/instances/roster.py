"""The chats and contacts that a platform lists, written down, so that every process can answer from the store."""

import logging

import anyio

from db import chats, history
from db.database import Database
from db.errors import StoreUnavailable
from mcp_messenger.delivery.owned_instance import OwnedInstance
from providers.errors import MessengerError
from providers.models import Capability

log = logging.getLogger(__name__)


async def keep(database: Database, owned: OwnedInstance) -> None:
    """Whenever the instance becomes ready. Beside the provider's own work: that may be what brings the answer."""
    while True:
        await owned.became_ready.wait()
        owned.became_ready = anyio.Event()
        try:
            await _record(database, owned)
        except StoreUnavailable as error:
            log.warning("chats not recorded: %s", error, extra={"instance_id": str(owned.row.id)})
        except MessengerError as error:
            await history.record_error(database, owned.row.id, error.code, error.detail)
        except Exception:
            # It can send and receive all the same.
            log.exception("chats not recorded", extra={"instance_id": str(owned.row.id)})


async def _record(database: Database, owned: OwnedInstance) -> None:
    provider, instance_id = owned.provider, owned.row.id
    if Capability.CHATS in provider.capabilities:
        found = {chat.id: (chat.id, chat.kind, chat.title, chat.username, chat.phone) for chat in await provider.list_chats()}
        await chats.upsert(database, instance_id, list(found.values()))
    if Capability.CONTACTS in provider.capabilities:
        people = {one.id: (one.id, one.name, one.username, one.phone, one.is_bot) for one in await provider.list_contacts()}
        await chats.upsert_contacts(database, instance_id, list(people.values()))
