"""Takes the events of Discord to the store: in their order, each taken before the next, and after a gap those that were missed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from providers.base import Deliver
from providers.discord.client import DiscordClient
from providers.discord.directory import FORUMS, Directory
from providers.discord.errors import TROUBLE, from_discord, words_of
from providers.discord.ids import message_ref
from providers.discord.inbound import READ_BACK, Translator
from providers.discord.interactions import answer_to
from providers.discord.position import Position
from providers.errors import MessengerError, RateLimited, Rejected
from providers.events import Event, MessageReceived, StateChanged
from providers.kit.bounded import BoundedSet
from providers.kit.delivery import deliver_until_taken
from providers.kit.unread import unread
from providers.text import clean_line

logger = logging.getLogger(__name__)

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""Raised by a translation of what is not of Discord's form."""

Json = dict[str, Any]
Told = tuple[str, Json]
"""An event of the gateway: its kind and what it says."""
T = TypeVar("T")

_CALLBACK = "/interactions/{interaction}/{token}/callback"

# Discord shows the person a failure after 3 s; until then an interaction is answered when it is stored, afterwards all the same.
_ANSWER_SECONDS = 2.0

_PAGE = 100
_BATCH = 100
_WAITING_MAX = 1000
_SAVE_SECONDS = 5.0

# Missed messages are news for as long as Telegram keeps updates for its bots; older ones are history.
_NEWS = timedelta(hours=24)


@dataclass(frozen=True)
class Catching:
    """How much of what was missed is read back."""

    messages: int = 1000
    """Of each channel, from where we stopped."""
    partners: int = 100
    """Private chats that are looked into: Discord does not tell in which there is something new."""


class Receiver:
    def __init__(
        self, client: DiscordClient, deliver: Deliver, directory: Directory, position: Position, pauses: tuple[float, ...], catching: Catching
    ) -> None:
        self.translator: Translator | None = None
        """Set before the first event is put."""
        self._client = client
        self._deliver = deliver
        self._directory = directory
        self._position = position
        self._pauses = pauses
        self._catching = catching
        self._waiting: asyncio.Queue[StateChanged | Told] = asyncio.Queue(_WAITING_MAX)
        self._caught_up: BoundedSet[str] = BoundedSet(_WAITING_MAX + catching.messages)
        """Messages that were read back, and may still come as events that waited meanwhile."""
        self._saved_at = 0.0
        self._stored: dict[str, asyncio.Event] = {}
        """Set when the interaction of this id was taken."""
        self._answering: set[asyncio.Task[None]] = set()
        for channel, person in self._position.partners.items():
            directory.meet(channel, person)

    async def put(self, payload: StateChanged | Told) -> None:
        """Wait while too much is waiting: then Discord waits as well, and repeats the rest."""
        if not isinstance(payload, StateChanged) and payload[0] == "INTERACTION_CREATE" and self._directory.sees(payload[1].get("guild_id")):
            stored = self._stored[str(payload[1].get("id"))] = asyncio.Event()
            answering = asyncio.create_task(self._answer(payload[1], stored))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
        await self._waiting.put(payload)

    async def deliver_states(self, states: Sequence[Event]) -> None:
        """Put states between the events, in their order."""
        for state in states:
            if isinstance(state, StateChanged):
                await self.put(state)

    async def until_empty(self) -> None:
        """Return when all that was put has been taken."""
        await self._waiting.join()

    async def run(self) -> None:
        """Hand events over until cancelled."""
        try:
            await self._run()
        finally:
            for answering in self._answering:
                answering.cancel()

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            events: list[Event] = []
            for payload in batch:
                if isinstance(payload, StateChanged):
                    events.append(payload)
                elif payload[0] in {"READY", "GUILD_CREATE"}:
                    await self._hand_over(events)
                    events = []
                    with _readable(payload[0]):
                        await self._catch_up(*payload)
                else:
                    events += await self._read(*payload)
            await self._hand_over(events)
            for payload in batch:
                if not isinstance(payload, StateChanged) and (stored := self._stored.get(str(payload[1].get("id")))) is not None:
                    stored.set()
                self._waiting.task_done()

    async def save(self) -> None:
        """Write down how far was read, for the next start."""
        if self._position.is_changed:
            await asyncio.to_thread(self._position.save, dict(self._directory.partners.items()))

    async def _hand_over(self, events: list[Event]) -> None:
        """Deliver events until they are taken; nothing later goes before."""
        if not events:
            return
        await deliver_until_taken(self._deliver, events, self._pauses)
        for event in events:
            if isinstance(event, MessageReceived):
                channel, message = message_ref(event.message.id)
                self._position.took(channel, int(message))
        now = asyncio.get_running_loop().time()
        if now - self._saved_at > _SAVE_SECONDS:
            self._saved_at = now
            await self.save()

    async def _read(self, kind: str, data: Json) -> list[Event]:
        """Return what an event says. One that cannot be read must not keep back those after it."""
        if not self._directory.sees(data.get("guild_id")) or (kind == "MESSAGE_CREATE" and data.get("id") in self._caught_up):
            return []
        translator = self.translator
        assert translator is not None
        try:
            return await self._surely(lambda: translator.events_of(kind, data)) or []
        except UNREADABLE as error:
            logger.warning("An event %s is not of Discord's form and was left out: %s", kind, type(error).__name__)
            return [unread("Discord", kind, error)]

    async def _answer(self, interaction: Json, stored: asyncio.Event) -> None:
        """Answer an interaction in time, if possible when it is stored: without an answer Discord tells the person that it failed."""
        with _readable("INTERACTION_CREATE"):
            answer = answer_to(interaction)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await stored.wait()
                if answer is not None:
                    await self._client.call("POST", _CALLBACK, interaction=interaction["id"], token=interaction["token"], json=answer)
            except (MessengerError, *TROUBLE) as error:
                logger.info("An interaction was not answered: %s", words_of(error))
        self._stored.pop(str(interaction.get("id")), None)

    async def _catch_up(self, kind: str, data: Json) -> None:
        """Read back: on READY private chats, on GUILD_CREATE the channels and threads of a server, each with its newest message."""
        if kind == "READY":
            for channel in list(self._directory.partners)[::-1][: self._catching.partners]:
                await self._read_back(channel)
        elif self._directory.sees(data.get("id")) and not data.get("unavailable"):
            for channel in self._directory.add_guild(data):
                self._position.begin(channel["id"], datetime.fromisoformat(data["joined_at"]))
                # The newest message of a forum is a post, which is a thread.
                if channel["type"] not in FORUMS and int(channel.get("last_message_id") or 0) > self._position.after(channel["id"]):
                    await self._read_back(channel["id"])

    async def _read_back(self, channel: str) -> None:
        """Deliver the messages that were written since the last one that was taken, oldest first."""
        for _ in range(0, self._catching.messages, _PAGE):
            params = {"after": str(self._position.after(channel)), "limit": str(_PAGE)}
            page: list[Json] | None = await self._surely(lambda params=params: self._page(channel, params))
            if not page:
                return
            page.sort(key=lambda message: int(message["id"]))
            self._caught_up.update(message["id"] for message in page)
            events = [event for message in page for event in await self._missed(message)]
            await self._hand_over(events)
            self._position.took(channel, int(page[-1]["id"]))
            if len(page) < _PAGE:
                return
        logger.warning("More than %s messages were missed in a channel; history has the rest.", self._catching.messages)

    async def _page(self, channel: str, params: dict[str, str]) -> list[Json]:
        return await self._client.call("GET", "/channels/{channel_id}/messages", channel_id=channel, params=params)

    async def _missed(self, message: Json) -> list[Event]:
        place = await self._surely(lambda: self._directory.place(message["channel_id"]))
        guild = {"guild_id": place.guild} if place is not None and place.guild is not None else {}
        events = await self._read(READ_BACK, {**message, **guild})
        is_old = datetime.now(UTC) - _NEWS
        return [
            event.model_copy(update={"backfill": True}) if isinstance(event, MessageReceived) and event.message.at < is_old else event
            for event in events
        ]

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Call again while Discord does not answer. Return None where it refuses, or has not answered for too long."""
        error: MessengerError | None = None
        for pause in (*self._pauses, 0):
            try:
                return await call()
            except MessengerError as refusal:
                error = refusal
            except TROUBLE as trouble:
                error = from_discord(trouble)
                logger.info("Discord was asked in vain: %s", words_of(trouble))
            if isinstance(error, Rejected):
                break
            await asyncio.sleep(max(pause, error.retry_after if isinstance(error, RateLimited) else 0))
        logger.warning("An event of Discord was left out: %s", clean_line(str(error)))
        return None


@contextmanager
def _readable(kind: str) -> Generator[None]:
    """Log what cannot be read: it must not keep back the events after it."""
    try:
        yield
    except UNREADABLE as error:
        logger.warning("An event %s is not of Discord's form and was left out: %s", kind, type(error).__name__)
