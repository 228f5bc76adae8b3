"""Chats by their ids, and the two ids of a person: the number and the lid. Each is asked for when it is first needed, alone, and kept.

Asking WhatsApp for many at once looks like a robot.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from providers.errors import MessengerError
from providers.models import Chat, ChatKind
from providers.text import clean_line
from providers.whatsappweb.client import BridgeRefused
from providers.whatsappweb.ids import is_person, kind_of, phone_of

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_NOBODY_SECONDS = 3600


class Ask(Protocol):
    async def __call__(self, op: str, args: Json | None = None) -> Any: ...


@dataclass(frozen=True)
class Person:
    """The ids of somebody on WhatsApp. `chat_id` is the one under which the page has a chat; None where it has none."""

    pn: str | None
    lid: str | None
    chat_id: str | None

    @property
    def ids(self) -> tuple[str, ...]:
        """The number first."""
        return tuple(id for id in (self.pn, self.lid) if id is not None)


class Directory:
    """`ask` calls the bridge."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._titles: dict[str, str] = {}
        self._phones: dict[str, str | None] = {}
        self._others: dict[str, str] = {}
        self._nobody: dict[str, float] = {}

    def forget(self) -> None:
        """Forget what was known to the login that ended."""
        for known in (self._titles, self._phones, self._others, self._nobody):
            known.clear()

    def note(self, chats: list[Json]) -> None:
        """Take over what the page lists."""
        for chat in chats:
            self._titles[chat["id"]] = chat["title"] or ""
            self._pair(chat["id"], chat["alias"])

    def knows(self, chat_id: str) -> bool:
        """Whether there is a chat under this id or the person's other one."""
        return chat_id in self._titles or self._others.get(chat_id) in self._titles

    def ids(self, id: str) -> frozenset[str]:
        """Return every id that is known of a person or a chat."""
        return frozenset({id, self._others.get(id, id)})

    def key(self, id: str) -> str:
        """Return one id for a person, whichever of the two is given: the number where it is known."""
        return self._others.get(id, id) if id.endswith("@lid") else id

    def rename(self, chat_id: str, title: str) -> None:
        """Take over a new title."""
        self._titles[chat_id] = title

    async def chat(self, chat_id: str, *, title: str = "") -> Chat:
        """Return a chat; `title` counts where WhatsApp has none. A chat under a lid has the number as its alias, never the other way round."""
        if chat_id not in self._titles:
            found = await self._try("chat", {"chat_id": chat_id})
            self._titles[chat_id] = (found or {}).get("title") or title
        kind = kind_of(chat_id)
        phone = await self.phone(chat_id) if kind is ChatKind.PRIVATE else None
        other = self._others.get(chat_id) if chat_id.endswith("@lid") else None
        return Chat(id=chat_id, aliases=(other,) if other else (), kind=kind, title=self._titles[chat_id], phone=phone)

    async def phone(self, id: str) -> str | None:
        """Return the number behind an id; None where WhatsApp does not tell it."""
        if not id.endswith("@lid"):
            return phone_of(id)
        if id in self._others:
            return phone_of(self._others[id])
        if id not in self._phones:
            found = await self._try("person", {"id": id, "ask": True}) or {}
            self._pair(found.get("lid"), found.get("pn"))
            self._phones[id] = phone_of(found.get("pn"))
        return self._phones[id]

    async def person(self, id: str, look_up: Callable[[], None]) -> Person | None:
        """Return who is behind an id, by the registered number; None: nobody on WhatsApp.

        `look_up` is called before WhatsApp is asked, and raises where it may not be. Raises BridgeRefused and MessengerError.
        """
        if not is_person(id) or self._clock() < self._nobody.get(id, 0.0):
            return None
        payload: Json = await self._ask("person", {"id": id, "ask": False})
        if not payload["known"]:
            look_up()
            payload = await self._ask("person", {"id": id, "ask": True})
        if not payload["exists"]:
            self._nobody[id] = self._clock() + _NOBODY_SECONDS
            return None
        self._pair(payload["lid"], payload["pn"])
        return Person(payload["pn"], payload["lid"], payload["chat"])

    def _pair(self, one: str | None, other: str | None) -> None:
        if one and other:
            self._others |= {one: other, other: one}

    async def _try(self, op: str, args: Json) -> Json | None:
        try:
            return await self._ask(op, args)
        except (BridgeRefused, MessengerError) as error:
            logger.info("WhatsApp did not tell about a chat: %s", clean_line(str(error)))
            return None
