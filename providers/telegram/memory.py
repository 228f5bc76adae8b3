"""Things that Telegram says once and refers to later: the message and the options of a poll, the whole id of a choice."""

import asyncio
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from providers.events import PollVoted
from providers.kit.bounded import BoundedMap
from providers.kit.state_file import StateFile
from providers.telegram.business import BusinessConnection
from providers.telegram.people import name_of, title_of

Json = dict[str, Any]

MAX_DATA = 64
"""Bytes that the data of a button may have."""
_LONG = "~"
_CHOICES, _POLLS, _CONNECTIONS = 5000, 1000, 1000


@dataclass(frozen=True)
class KnownPoll:
    """A poll of ours. `options` are its texts by their persistent ids, in their order."""

    message_id: str
    options: dict[str, str]

    def texts(self, answer: Json) -> tuple[str, ...]:
        """Return the texts of the options in a PollAnswer."""
        ids: list[str] = answer.get("option_persistent_ids", [])
        texts = list(self.options.values())
        if ids and all(id in self.options for id in ids):
            return tuple(self.options[id] for id in ids)
        numbers: list[int] = answer["option_ids"]
        return tuple(texts[number] for number in numbers if number < len(texts))


class Memory:
    """The newest choices, polls and business connections. They are on the disk, so that a button of last month still says which choice it is."""

    def __init__(self, folder: Path) -> None:
        self._file = StateFile(folder / "telegram.json", "The choices and polls that were sent, and the connections")
        self._choices: BoundedMap[str, str] = BoundedMap(_CHOICES)
        self._polls: BoundedMap[str, KnownPoll] = BoundedMap(_POLLS)
        self._connections: BoundedMap[str, BusinessConnection] = BoundedMap(_CONNECTIONS)
        """By the person who made it."""
        self._is_read = False
        self._asking = 0
        self._asked = asyncio.Event()
        self._asked.set()

    @contextmanager
    def asking(self) -> Generator[None]:
        """Send a poll inside: a vote may be there before Telegram has answered which message the poll became."""
        self._asking += 1
        self._asked.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._asked.set()

    async def until_known(self, poll_id: str) -> None:
        """Return when the poll is known, or none is being sent any more."""
        if self.poll(poll_id) is None:
            await self._asked.wait()

    def data_for(self, choice_id: str) -> str:
        """Return the data of a choice's button: the id itself, or a short name for it where it is too long."""
        if len(choice_id.encode()) <= MAX_DATA:
            return choice_id
        self._read()
        data = _LONG + hashlib.sha256(choice_id.encode()).hexdigest()[: MAX_DATA - 1]
        if data not in self._choices:
            self._choices[data] = choice_id
            self._write()
        return data

    def choice(self, data: str) -> str:
        """Return the id of the choice whose button has this data."""
        self._read()
        return self._choices.get(data, data)

    def keep_poll(self, poll: Json, message_id: str) -> None:
        """Remember a poll that was sent, or that has other options now."""
        self._read()
        known = KnownPoll(message_id, {str(option.get("persistent_id", number)): option["text"] for number, option in enumerate(poll["options"])})
        if self._polls.get(poll["id"]) != known:
            self._polls[poll["id"]] = known
            self._write()

    def poll(self, poll_id: str) -> KnownPoll | None:
        """Return the poll of this id; None where it is none of ours, or is forgotten."""
        self._read()
        return self._polls.get(poll_id)

    def keep_connection(self, connection: BusinessConnection) -> None:
        """Remember a person's connection as it is now."""
        self._read()
        if self._connections.get(connection.owner_id) != connection:
            self._connections[connection.owner_id] = connection
            self._write()

    def connection(self, id: str) -> BusinessConnection | None:
        """Return the connection of this id; None where it is not known."""
        self._read()
        return next((one for one in self._connections.values() if one.id == id), None)

    def connection_of(self, owner_id: str) -> BusinessConnection | None:
        """Return the connection of a person; None where it is not known."""
        self._read()
        return self._connections.get(owner_id)

    def chat_id_in(self, message: Json) -> str:
        """Return our id of the chat of a message that the bot sent."""
        connection = self.connection(message.get("business_connection_id", ""))
        chat: int = message["chat"]["id"]
        return str(chat) if connection is None else connection.chat_id(chat)

    def _read(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        held = self._file.load() or {}
        try:
            for data, choice_id in held.get("choices", {}).items():
                self._choices[str(data)] = str(choice_id)
            for poll_id, poll in held.get("polls", {}).items():
                self._polls[str(poll_id)] = KnownPoll(str(poll["message_id"]), {str(id): str(text) for id, text in poll["options"].items()})
            for one in held.get("connections", []):
                rights = frozenset(map(str, one["rights"]))
                self._connections[str(one["owner_id"])] = BusinessConnection(
                    str(one["id"]), str(one["owner_id"]), str(one["owner_name"]), bool(one["is_enabled"]), rights
                )
        except (AttributeError, KeyError, TypeError) as error:
            self._file.unreadable(error)

    def _write(self) -> None:
        polls = {id: {"message_id": poll.message_id, "options": poll.options} for id, poll in self._polls.items()}
        connections = [{**vars(one), "rights": sorted(one.rights)} for one in self._connections.values()]
        self._file.try_save({"choices": dict(self._choices.items()), "polls": polls, "connections": connections})


def vote_of(answer: Json, poll: KnownPoll, at: datetime) -> PollVoted:
    """Return one person's answer in a poll."""
    who = answer.get("user") or answer["voter_chat"]
    name = name_of(who) if "user" in answer else title_of(who)
    return PollVoted(
        chat_id=poll.message_id.rpartition(":")[0],
        message_id=poll.message_id,
        sender_id=str(who["id"]),
        sender_name=name,
        options=poll.texts(answer),
        at=at,
    )


def sums_of(state: Json, poll: KnownPoll, at: datetime) -> list[PollVoted]:
    """Return the number of votes for each option, where nobody says who gave them, and where the poll is over."""
    if not state["is_anonymous"] and not state["is_closed"]:
        return []
    chat_id = poll.message_id.rpartition(":")[0]
    return [
        PollVoted(
            chat_id=chat_id,
            message_id=poll.message_id,
            sender_id=option["text"],
            options=(option["text"],),
            count=option["voter_count"],
            at=at,
        )
        for option in state["options"]
    ]
