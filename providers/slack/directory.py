"""People and channels, asked for when they are first met: reading a whole workspace at the start costs the app its standing."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from providers.errors import Forbidden, LoggedOut, MessengerError, NotFound, RateLimited
from providers.kit.bounded import BoundedMap
from providers.models import Chat, ChatKind, Contact
from providers.slack.client import SlackClient
from providers.slack.errors import slack_errors

Json = dict[str, Any]

_PEOPLE = 5000
_CHATS = 2000
# After an outage or a refusal without a time.
_QUIET_SECONDS = 60.0
# A stranger may name as many people as fit into a message; each that is not known costs a call.
_LOOKED_UP = 30
_UNKNOWN_SECONDS = 600.0


class Directory:
    """What is not known is asked for once, and a refusal is no trouble: the message matters more than the name."""

    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._people: BoundedMap[str, Contact] = BoundedMap(_PEOPLE)
        self._chats: BoundedMap[str, Chat] = BoundedMap(_CHATS)
        self._quiet_until: dict[str, float] = {}
        self._unknown_until: BoundedMap[str, float] = BoundedMap(_PEOPLE)
        """When an id that Slack did not know may be asked for again, in monotonic seconds."""

    async def person(self, id: str) -> Contact:
        known = self._people.get(id)
        if known is None and time.monotonic() >= self._unknown_until.get(id, 0) and (answer := await self._ask("users.info", id, user=id)):
            known = self.learn(answer["user"])
        return known or self.known_person(id)

    async def chat(self, id: str, kind: str = "") -> Chat:
        """`kind` is what the event calls it, for the case that Slack does not tell more."""
        known = self._chats.get(id)
        if known is None and (answer := await self._ask("conversations.info", id, channel=id)):
            known = await self.learn_chat(answer["channel"])
        return known or Chat(id=id, kind=_EVENT_KINDS.get(kind, _kind_of_id(id)))

    async def names(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the names of people and channels by their ids, as far as they are known or can be asked for."""
        ids = list(ids)
        unknown = [id for id in ids if id not in (self._people if id[:1] in _OF_PEOPLE else self._chats)]
        await asyncio.gather(*(self._name(id) for id in unknown[:_LOOKED_UP]))
        names = {id: self._people.get(id, Contact(id=id)).name if id[:1] in _OF_PEOPLE else self._chats.get(id, Chat(id=id)).title for id in ids}
        return {id: name for id, name in names.items() if name}

    async def _name(self, id: str) -> None:
        if id[:1] in _OF_PEOPLE:
            await self.person(id)
        elif time.monotonic() >= self._unknown_until.get(id, 0):
            await self.chat(id)

    def known_person(self, id: str) -> Contact:
        return self._people.get(id) or Contact(id=id, is_bot=id == _SLACKBOT)

    def learn(self, user: Json) -> Contact:
        contact = contact_of(user)
        self._people[contact.id] = contact
        return contact

    async def learn_chat(self, channel: Json) -> Chat:
        chat = chat_of(channel)
        if channel.get("is_im") and not chat.title:
            chat = chat.model_copy(update={"title": (await self.person(channel["user"])).name})
        self._chats[chat.id] = chat
        return chat

    def forget_chat(self, id: str) -> None:
        self._chats.pop(id)

    async def _ask(self, method: str, id: str, **params: str) -> Json | None:
        if time.monotonic() < self._quiet_until.get(method, 0):
            return None
        try:
            with slack_errors():
                return await self._client.call(method, **params)
        except NotFound:
            self._unknown_until[id] = time.monotonic() + _UNKNOWN_SECONDS
            return None
        except MessengerError as error:
            self._quiet_until[method] = time.monotonic() + _quiet_seconds(error)
            return None


def _quiet_seconds(error: MessengerError) -> float:
    match error:
        case RateLimited():
            return error.retry_after
        case Forbidden() | LoggedOut():
            return float("inf")
        case _:
            return _QUIET_SECONDS


def contact_of(user: Json) -> Contact:
    profile: Json = user.get("profile") or {}
    name = profile.get("display_name") or profile.get("real_name") or user.get("real_name") or user.get("name") or ""
    # Slack does not call Slackbot a bot (https://docs.slack.dev/reference/objects/user-object).
    is_bot = user.get("is_bot", False) or user["id"] == _SLACKBOT
    return Contact(id=user["id"], name=name, username=user.get("name"), phone=profile.get("phone") or None, is_bot=is_bot)


def chat_of(channel: Json) -> Chat:
    kind = ChatKind.PRIVATE if channel.get("is_im") else ChatKind.GROUP if channel.get("is_mpim") or channel.get("is_private") else ChatKind.CHANNEL
    return Chat(id=channel["id"], kind=kind, title=channel.get("name") or "")


_SLACKBOT = "USLACKBOT"
_OF_PEOPLE = frozenset({"U", "W"})
_EVENT_KINDS = {"im": ChatKind.PRIVATE, "mpim": ChatKind.GROUP, "group": ChatKind.GROUP, "channel": ChatKind.CHANNEL}


def _kind_of_id(id: str) -> ChatKind:
    return {"D": ChatKind.PRIVATE, "G": ChatKind.GROUP}.get(id[:1], ChatKind.CHANNEL if id[:1] == "C" else ChatKind.UNKNOWN)
