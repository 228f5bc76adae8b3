"""Chats by their ids, and who hides behind a @lid. Both are asked for when first needed, and kept."""

import logging
from typing import Any, Protocol

from providers.errors import MessengerError
from providers.models import Chat, ChatKind
from providers.text import clean_line
from providers.whatsappweb.client import BridgeRefused
from providers.whatsappweb.ids import kind_of, phone_of

logger = logging.getLogger(__name__)

Json = dict[str, Any]


class Ask(Protocol):
    async def __call__(self, op: str, args: Json | None = None) -> Any: ...


class Directory:
    """`ask` calls the bridge. Asking WhatsApp for many aliases at once looks like a robot, so each is asked for alone and once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._titles: dict[str, str] = {}
        self._phones: dict[str, str | None] = {}

    def note(self, chats: list[Json]) -> None:
        self._titles |= {chat["id"]: chat["title"] or "" for chat in chats}

    def knows(self, chat_id: str) -> bool:
        return chat_id in self._titles

    def rename(self, chat_id: str, title: str) -> None:
        self._titles[chat_id] = title

    async def chat(self, chat_id: str, *, title: str = "") -> Chat:
        """`title` where WhatsApp has none."""
        if chat_id not in self._titles:
            found = await self._try("chat", {"chat_id": chat_id})
            self._titles[chat_id] = (found or {}).get("title") or title
        kind = kind_of(chat_id)
        phone = await self.phone(chat_id) if kind is ChatKind.PRIVATE else None
        return Chat(id=chat_id, kind=kind, title=self._titles[chat_id], phone=phone)

    async def phone(self, id: str) -> str | None:
        """The number behind an id, where WhatsApp tells it."""
        if not id.endswith("@lid"):
            return phone_of(id)
        if id not in self._phones:
            found = await self._try("aliases", {"id": id})
            self._phones[id] = phone_of((found or {}).get("pn"))
        return self._phones[id]

    async def _try(self, op: str, args: Json) -> Json | None:
        try:
            return await self._ask(op, args)
        except (BridgeRefused, MessengerError) as error:
            logger.info("WhatsApp did not tell about a chat: %s", clean_line(str(error)))
            return None
