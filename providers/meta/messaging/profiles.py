"""Names of people: deliveries have only their ids."""

import logging

from providers.base import Deliver
from providers.errors import MessengerError
from providers.meta.client import GraphClient, segment
from providers.models import Chat, ChatChanged, ChatKind

logger = logging.getLogger(__name__)


async def tell_name(graph: GraphClient, person: str, fields: str, deliver: Deliver) -> None:
    """After their first message was stored: a name must not delay it. Many tokens may not see names; then there are none."""
    try:
        profile = await graph.get(segment(person), fields=fields)
    except MessengerError as error:
        logger.info("No name of a person: %s", error.detail)
        return
    name = profile.get("name") or f"{profile.get('first_name', '')} {profile.get('last_name', '')}".strip()
    try:
        await deliver([ChatChanged(chat=Chat(id=person, kind=ChatKind.PRIVATE, title=name, username=profile.get("username")))])
    except Exception as error:  # noqa: BLE001  whatever the store has, a name is told again after the next start
        logger.warning("A name could not be told: %s", type(error).__name__)
