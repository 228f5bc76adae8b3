"""How much each user may have. The administrator's own calls are not counted: who sets the limits need not be held to them."""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from db import quotas as store
from db.database import Database
from mcp_messenger.config.quotas import OF_BYTES, Quota, shown_most
from mcp_messenger.errors import QuotaExceeded
from mcp_messenger.security.caller import Caller

KEPT = 10.0
"""Seconds after which a limit that another server has set counts here."""
USERS_KEPT = 10_000


class Quotas:
    """Knows the limits, and counts what a user holds of this server."""

    def __init__(self, database: Database, defaults: Mapping[Quota, int | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._defaults = defaults
        self._clock = clock
        self._own: dict[str, tuple[float, Mapping[str, int | None]]] = {}
        self._held: Counter[tuple[str, Quota]] = Counter()

    async def most(self, user_id: str, kind: Quota) -> int | None:
        """Return a user's limit; None: without."""
        own = await self.own(user_id)
        return own[kind] if kind in own else self._defaults[kind]

    async def own(self, user_id: str) -> Mapping[str, int | None]:
        """Return the limits that were set for a user."""
        known = self._own.get(user_id)
        if known is None or known[0] < self._clock():
            if len(self._own) >= USERS_KEPT:
                self._own.clear()
            known = self._own[user_id] = self._clock() + KEPT, await store.of_user(self._database, user_id)
        return known[1]

    def forget(self, user_id: str) -> None:
        """Read a user's limits again."""
        self._own.pop(user_id, None)

    def held(self, user_id: str, kind: Quota) -> int:
        """Return how much a user holds of this server."""
        return self._held[user_id, kind]

    async def require(self, caller: Caller, kind: Quota, used: int, more: int = 1) -> None:
        """Raise QuotaExceeded where a user who has `used` may not have so much more."""
        if not caller.user_id:
            return
        most = await self.most(caller.user_id, kind)
        if most is not None and used + more > most:
            raise exceeded(caller.user_id, kind, used, most)

    async def take(self, caller: Caller, kind: Quota, count: int = 1) -> None:
        """Count what a user holds of this server from now on. Raises QuotaExceeded."""
        if not caller.user_id:
            return
        # Counted before anything is awaited: several that come at once are several.
        self._held[caller.user_id, kind] += count
        try:
            await self.require(caller, kind, self._held[caller.user_id, kind] - count, count)
        except BaseException:
            self.give(caller, kind, count)
            raise

    def give(self, caller: Caller, kind: Quota, count: int = 1) -> None:
        """Count it no longer."""
        if caller.user_id:
            self._held[caller.user_id, kind] -= count
            if self._held[caller.user_id, kind] <= 0:
                del self._held[caller.user_id, kind]

    @asynccontextmanager
    async def holding(self, caller: Caller, kind: Quota, count: int = 1) -> AsyncGenerator[None]:
        """Count it meanwhile. Raises QuotaExceeded."""
        await self.take(caller, kind, count)
        try:
            yield
        finally:
            self.give(caller, kind, count)


def exceeded(user_id: str, kind: Quota, used: int, most: int) -> QuotaExceeded:
    """Return the refusal of what would be more than a user may have."""
    has = f"{used / 2**20:,.0f} MB" if kind in OF_BYTES else f"{used:,}"
    return QuotaExceeded(user_id, kind, has, shown_most(kind, most))
