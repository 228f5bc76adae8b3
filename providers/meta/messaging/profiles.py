"""Names of people: deliveries have only their ids."""

import logging

from providers.base import Deliver
from providers.errors import MessengerError
from providers.meta.graph import GraphClient, segment
from providers.meta.recent import Recent
from providers.models import Chat, ChatChanged, ChatKind

logger = logging.getLogger(__name__)


class Profiles:
    """Each person is looked up once, after their first message was stored: a name must not delay it."""

    def __init__(self, graph: GraphClient, fields: str, asked: Recent[bool]) -> None:
        self._graph = graph
        self._fields = fields
        self._asked = asked

    def is_new(self, person: str) -> bool:
        """Once for each."""
        known = person in self._asked
        self._asked.put(person, True)
        return not known

    async def tell(self, person: str, deliver: Deliver) -> None:
        """Many tokens may not see names; then there are none."""
        try:
            profile = await self._graph.get(segment(person), fields=self._fields)
        except MessengerError as error:
            logger.info("No name of a person: %s", error.detail)
            return
        name = profile.get("name") or f"{profile.get('first_name', '')} {profile.get('last_name', '')}".strip()
        try:
            await deliver([ChatChanged(chat=Chat(id=person, kind=ChatKind.PRIVATE, title=name, username=profile.get("username")))])
        except Exception as error:  # noqa: BLE001  whatever the store has, a name is told again after the next start
            logger.warning("A name could not be told: %s", type(error).__name__)
