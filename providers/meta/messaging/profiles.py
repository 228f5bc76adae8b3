"""Names of people: deliveries have only their ids."""

import asyncio
import logging
from collections.abc import Collection

from providers.base import Deliver
from providers.errors import MessengerError
from providers.events import ChatChanged
from providers.kit.background import Background
from providers.kit.bounded import BoundedMap
from providers.meta.client import GraphClient, segment
from providers.models import Chat, ChatKind, Contact

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a message waits for the name of its sender; Meta waits longer for its answer."""


class Names:
    """The names of people, each looked up once. Many tokens may not see names; then there are none."""

    def __init__(self, fields: str) -> None:
        self._fields = fields
        self._people: BoundedMap[str, Contact | None] = BoundedMap()

    def of(self, person: str) -> Contact | None:
        """Return the person as far as known; None where no name is."""
        return self._people.get(person)

    async def look_up(self, people: Collection[str], graph: GraphClient, deliver: Deliver, background: Background) -> None:
        """Return when the names of these people are known or cannot be seen, at the latest after `PATIENCE`; a late name changes the chat."""
        strangers = [person for person in people if person not in self._people]
        late = asyncio.Event()
        for person in strangers:
            self._people[person] = None
        if strangers:
            tasks = [background.run(self._ask(person, graph, deliver, late)) for person in strangers]
            await asyncio.wait(tasks, timeout=PATIENCE)
            late.set()

    async def _ask(self, person: str, graph: GraphClient, deliver: Deliver, late: asyncio.Event) -> None:
        try:
            profile = await graph.get(segment(person), fields=self._fields)
        except MessengerError as error:
            logger.info("No name of a person: %s", error.detail)
            return
        name = profile.get("name") or f"{profile.get('first_name', '')} {profile.get('last_name', '')}".strip()
        found = self._people[person] = Contact(id=person, name=name, username=profile.get("username"))
        if not late.is_set():
            return
        try:
            await deliver([ChatChanged(chat=Chat(id=person, kind=ChatKind.PRIVATE, title=found.name, username=found.username))])
        except MessengerError as error:
            # The next message of the person has the name.
            logger.warning("A name could not be delivered: %s", error.code)
