"""Writes down where instances stand, with their QR codes sealed."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from db import changes, history
from db.database import Database
from db.json import jsonb
from mcp_messenger.delivery.feed import Feed
from mcp_messenger.security import login_codes
from mcp_messenger.security.vault import Vault
from providers.events import StateChanged
from providers.states import TROUBLE, InstanceState

log = logging.getLogger(__name__)


class States:
    def __init__(self, database: Database, feed: Feed, vault: Callable[[], Vault]) -> None:
        self._database = database
        self._feed = feed
        self._vault = vault

    async def write(self, instance_id: UUID, epoch: int | None, event: StateChanged) -> bool:
        """False: another process holds the instance by now. `epoch` None is for an instance that nobody runs."""
        changed = await changes.change(self._database, changes.STATE, self._params(instance_id, epoch, event))
        if changed is None:
            return False
        in_trouble = event.reason and event.state in TROUBLE
        if in_trouble:
            # Reported again, it is the same state, and one more error.
            await history.record_error(self._database, instance_id, event.state, event.reason or "")
        if changed.event is None:
            return True
        self._feed.wrote([changed.event], has_deliveries=True)
        # The reason of a good state may hold what only the instance's user may see, such as a page's address.
        log.info("state: %s%s", event.state, f" ({event.reason})" if in_trouble else "", extra={"instance_id": str(instance_id)})
        return True

    def _params(self, instance_id: UUID, epoch: int | None, event: StateChanged) -> dict[str, Any]:
        qr = event.qr
        linked = event.state in {InstanceState.AUTHENTICATED, InstanceState.READY}
        return {
            "instance_id": instance_id,
            "epoch": epoch,
            "type": "state",
            "status": event.state,
            "reason": event.reason,
            "needs": event.needs,
            "account": None if event.account is None else jsonb(event.account.model_dump(mode="json", exclude_none=True)),
            "qr_outcome": "used" if linked else "replaced" if qr else "dropped",
            "qr_sequence": qr and qr.sequence,
            "qr_issued_at": qr and qr.issued_at,
            "qr_expires_at": qr and qr.expires_at,
            "qr_sealed": login_codes.sealed(self._vault(), instance_id, event) if qr else None,
            "data": jsonb({"status": event.state, "reason": event.reason, "needs": event.needs, "sequence": qr and qr.sequence}),
        }
