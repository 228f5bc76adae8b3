"""What is open with a key: it ends with the key, wherever that is revoked."""

from collections import defaultdict
from uuid import UUID

import anyio

from db import access_keys
from db.database import Database


class Held:
    """Requests that are being answered, by the id of their key. Wake-ups are hints; the store is asked as often as without them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: defaultdict[UUID, set[anyio.CancelScope]] = defaultdict(set)
        self._keys: dict[anyio.CancelScope, UUID] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key_id: UUID, hold: anyio.CancelScope, seconds: float | None) -> None:
        """End it when the key is revoked, and in so many seconds, when the key expires."""
        self._open[key_id].add(hold)
        self._keys[hold] = key_id
        if seconds is not None:
            hold.deadline = min(hold.deadline, anyio.current_time() + seconds)

    def remove(self, hold: anyio.CancelScope) -> None:
        """Forget what has ended."""
        key_id = self._keys.pop(hold, None)
        if key_id is not None:
            self._open[key_id].discard(hold)
            if not self._open[key_id]:
                del self._open[key_id]

    def end(self, key_id: str) -> None:
        """End what is open with a key. Anybody may send such a wake-up: one that names no key is for none."""
        try:
            holds = self._open.get(UUID(key_id), ())
        except ValueError:
            return
        for hold in list(holds):
            hold.cancel()

    async def look(self) -> None:
        """End what is open with keys that are not valid any more."""
        if self._open:
            for key_id in await access_keys.ended(self._database, list(self._open)):
                self.end(str(key_id))
