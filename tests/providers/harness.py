"""What the contract needs from a messenger's far end, and a `deliver` that remembers."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar
from uuid import uuid4

import anyio
import pytest
from pydantic import TypeAdapter

from providers.base import Provider, Settings
from providers.capabilities import Capability
from providers.events import Event, MessageReceived, StateChanged
from providers.models import Contact, Draft, Location, MediaKind, Poll, Upload
from providers.states import InstanceState
from tests.waiting import PATIENCE

E = TypeVar("E", bound=Event)
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
PICTURE = Upload(kind=MediaKind.IMAGE, content=PNG, mime="image/png", name="dot.png")


@dataclass(frozen=True)
class Seen:
    """A message of ours as the platform holds it. What a platform does not hold stays at its default."""

    text: str = ""
    reply_to: str | None = None
    reaction: str | None = None
    """Ours."""
    deleted: bool = False
    read: bool = False
    """By us, where it is the other side's message."""
    file: bytes | None = None
    location: Location | None = None
    poll: Poll | None = None
    contact: Contact | None = None
    thread_id: str | None = None
    pinned: bool = False
    forwarded: bool = False


class Harness(ABC):
    """One account on the platform, or on its stand-in, and somebody on the other side. Ids are as the provider gives them."""

    settings: Settings
    chat_id: str
    """A private chat that exists, or that writing to it opens."""
    person_id: str
    """Who writes in it."""
    companion: ClassVar[str] = "no-such-person"
    """Somebody else, whom a new group may be made with."""
    unknown_chat_id: str = "no-such-chat"
    reports: ClassVar[frozenset[type[Event]]] = frozenset()
    """Which acts of the other side the platform reports: MessageEdited, MessageDeleted, ReactionChanged, ReceiptChanged."""

    lacking: frozenset[Capability] = frozenset()
    """What this account cannot use of the provider's capabilities."""
    joins_by_link: ClassVar[bool] = False
    """Whether nobody can be added to a group: people join by its link."""
    is_saved: ClassVar[bool] = False
    """Whether the account has the other side in its address book."""
    reaches_out: ClassVar[bool] = True
    """Whether the provider itself opens connections to the platform."""

    @abstractmethod
    def create(self) -> Provider:
        """The same account and data folder each time: the second one is the instance after a restart of the program."""

    async def log_in(self, provider: Provider) -> None:  # noqa: B027  most need no person
        """What a person does after `start`; nothing where a token is enough."""

    @abstractmethod
    async def write(self, text: str, *, reply_to: str | None = None, upload: Upload | None = None) -> str:
        """The other side writes in `chat_id`, whether or not a provider is running. Returns the message's id."""

    async def write_misshapen(self, text: str) -> str:
        """The other side writes, and one part of the message beside its text has a form that the platform never gave it. Returns its id."""
        raise NotImplementedError

    async def edit(self, message_id: str, text: str) -> None:
        """The other side edits its message."""
        raise NotImplementedError

    async def delete(self, message_id: str) -> None:
        """The other side deletes its message."""
        raise NotImplementedError

    async def react(self, message_id: str, emoji: str | None) -> None:
        """The other side reacts to a message."""
        raise NotImplementedError

    async def choices(self, message_id: str) -> dict[str, str]:
        """What the other side may pick under a message of ours: titles by id."""
        raise NotImplementedError

    async def choose(self, message_id: str, choice_id: str) -> None:
        """The other side picks one."""
        raise NotImplementedError

    async def thread(self) -> str:
        """A thread in `chat_id`."""
        raise NotImplementedError

    @abstractmethod
    async def seen(self, message_id: str) -> Seen:
        """What the platform holds; of somebody else's message, `reaction` and `read` are what we did to it."""

    async def refuse_second_send(self) -> None:
        """The platform takes the next message of ours and refuses the one after it."""
        raise NotImplementedError

    async def bring_nothing(self) -> None:
        """The platform tells of something that is news to nobody here."""
        raise NotImplementedError

    async def bring_strange(self) -> None:
        """The platform brings things of a form that it has never had, and that nobody can read."""
        raise NotImplementedError

    async def previewed(self) -> str | None:
        """What the other side sees of a growing answer in `chat_id`; None where there is none."""
        raise NotImplementedError

    @property
    def archivable(self) -> str:
        """A chat that may be archived."""
        return self.chat_id

    async def is_archived(self) -> bool:
        """Whether that chat is in the archive."""
        raise NotImplementedError

    async def join(self, group_id: str) -> None:
        """The other side joins a group by its link."""
        raise NotImplementedError

    async def ask_to_join(self, group_id: str) -> None:
        """The other side asks to be let into a group."""
        raise NotImplementedError

    @property
    def asker_id(self) -> str:
        """The id under which the other side asks to be let in."""
        return self.person_id

    async def has_control(self) -> bool:
        """Whether the account's application is the one that answers in `chat_id`."""
        raise NotImplementedError

    async def is_typing(self) -> bool:
        """Whether the other side sees us typing in `chat_id`."""
        raise NotImplementedError


class Inbox:
    """A `deliver` that keeps what it took, and can be told to refuse the next events of a kind."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refused: list[Event] = []
        self._refusals = 0
        self._refused_kind: type[Event] = MessageReceived
        self._called = anyio.Event()

    def refuse(self, times: int, kind: type[Event] = MessageReceived) -> None:
        self._refusals, self._refused_kind = times, kind

    async def deliver(self, events: Sequence[Event]) -> None:
        assert events
        for event in events:
            assert EVENT.validate_json(EVENT.dump_json(event)) == event
        refused = self._refusals > 0 and any(isinstance(event, self._refused_kind) for event in events)
        (self.refused if refused else self.events).extend(events)
        self._called.set()
        self._called = anyio.Event()
        if refused:
            self._refusals -= 1
            raise ConnectionError("The store is down.")

    async def wait(self, kind: type[E], wanted: Callable[[E], bool] = lambda event: True, *, refused: bool = False) -> E:
        """The first event of that kind that was taken (or refused), whether it was here before or is still to come."""
        with anyio.fail_after(PATIENCE):
            while True:
                for event in self.refused if refused else self.events:
                    if isinstance(event, kind) and wanted(event):
                        return event
                await self._called.wait()

    async def message(self, text: str) -> MessageReceived:
        return await self.wait(MessageReceived, lambda event: event.message.text == text)

    async def state(self, state: InstanceState) -> StateChanged:
        return await self.wait(StateChanged, lambda event: event.state is state)

    def states(self) -> list[InstanceState]:
        return [event.state for event in self.events if isinstance(event, StateChanged)]


@dataclass(frozen=True)
class Running:
    harness: Harness
    provider: Provider
    inbox: Inbox

    def need(self, capability: Capability) -> None:
        if capability not in self.provider.capabilities:
            pytest.skip(f"{self.provider.name} does not declare {capability}")

    def draft(self, text: str = "", **fields: object) -> Draft:
        return Draft.model_validate({"client_id": uuid4().hex, "chat_id": self.harness.chat_id, "text": text, **fields})


async def run(harness: Harness, inbox: Inbox) -> Provider:
    provider = harness.create()
    await provider.start(inbox.deliver)
    await harness.log_in(provider)
    await inbox.state(InstanceState.READY)
    return provider
