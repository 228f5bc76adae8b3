"""Whose words an agent was shown: what it reads may steer what it does next."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from db import policy as store
from db.database import Database
from providers import REHEARSAL

AGAIN_AFTER = 10.0
"""Seconds in which it is not written again that a chat's words were shown."""
REMEMBERED = 10_000
NOWHERE = UUID(int=0)
"""In the place of an instance, where nobody can name it."""


@dataclass(frozen=True)
class Words:
    """Words of a chat that an answer shows. `instance_id` None: the one that was asked about."""

    chat_id: str
    instance_id: str | None = None
    incoming: bool = True


class ShownLately:
    """Remembers which shown words this process has recorded, so that not every reading writes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: dict[tuple[str, UUID, str, bool], float] = {}
        self._names: dict[str, None] = {}

    async def adopt(self, database: Database, asker: str, key: str) -> None:
        """Count for a client's name that is new what was shown to the key's other names: by another name nobody forgets a stranger's words."""
        if asker not in self._names:
            await store.adopt(database, asker, key)
            self._names[asker] = None
            for oldest in list(self._names)[: max(0, len(self._names) - REMEMBERED)]:
                del self._names[oldest]

    def news(self, asker: str, chats: Iterable[tuple[UUID, str, bool]]) -> list[tuple[UUID, str, bool]]:
        """Return those that have to be written."""
        now = self._clock()
        return [chat for chat in chats if now - self._at.get((asker, *chat), -AGAIN_AFTER) >= AGAIN_AFTER]

    def written(self, asker: str, chats: Iterable[tuple[UUID, str, bool]]) -> None:
        """Remember that these were written."""
        now = self._clock()
        for chat in chats:
            self._at.pop((asker, *chat), None)
            self._at[asker, *chat] = now
        for oldest in list(self._at)[: max(0, len(self._at) - REMEMBERED)]:
            del self._at[oldest]


async def note_shown(database: Database, lately: ShownLately, asker: str, words: Iterable[Words], instance_id: str | None) -> None:
    """Write down whose words an agent is shown, unless that was done a short while ago."""
    chats: dict[tuple[UUID, str], bool] = {}
    for one in words:
        key = _uuid(one.instance_id or instance_id), one.chat_id
        chats[key] = chats.get(key, False) or one.incoming
    news = lately.news(asker, [(instance, chat, incoming) for (instance, chat), incoming in chats.items()])
    if news:
        await store.show(database, asker, news, rehearsal=REHEARSAL)
        lately.written(asker, news)


def _uuid(text: str | None) -> UUID:
    try:
        return NOWHERE if text is None else UUID(text)
    except ValueError:
        return NOWHERE
