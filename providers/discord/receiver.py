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
from providers.discord.errors import TROUBLE, from_discord, no_answer, words_of
from providers.discord.ids import message_ref
from providers.discord.inbound import READ_BACK, TRANSLATED, Translator
from providers.discord.interactions import answer_to
from providers.discord.position import Position
from providers.errors import MessengerError, RateLimited, Rejected
from providers.events import ChatClosed, Event, MessageReceived, StateChanged
from providers.kit.bounded import BoundedSet
from providers.kit.delivery import deliver_until_taken
from providers.kit.left_out import LeftOut
from providers.kit.unread import NOT_OF_ITS_FORM, unread
from providers.text import clean_line

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Told = tuple[str, Json]
"""An event of the gateway: its kind and what it says."""
T = TypeVar("T")

_TAKEN = frozenset({"READY", "GUILD_CREATE"}) | TRANSLATED
"""The kinds of events of which something is made."""

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
        self._left_out = LeftOut("Discord")
        self._waiting: asyncio.Queue[StateChanged | Told] = asyncio.Queue(_WAITING_MAX)
        self._caught_up: BoundedSet[str] = BoundedSet(_WAITING_MAX + catching.messages)
        """Messages that were read back, and may still come as events that waited meanwhile."""
        self._saved_at = 0.0
        self._stored: dict[str, asyncio.Event] = {}
        """Set when the interaction of this id was taken."""
        self._answering: set[asyncio.Task[None]] = set()
        self.reach_changed = asyncio.Event()
        """Set when `lost_reach` may be another than before."""
        self._not_read: dict[str, str] = {}
        """Why the last look into a channel failed, in Discord's words."""
        for channel, person in self._position.partners.items():
            directory.meet(channel, person)

    async def put(self, payload: StateChanged | Told) -> None:
        """Wait while too much is waiting: then Discord waits as well, and repeats the rest."""
        if not isinstance(payload, StateChanged) and not isinstance(payload[1], dict):  # pyright: ignore[reportUnnecessaryIsInstance] - as it came
            self._left_out.note(payload[0], "it holds nothing that can be read")
            return
        if not isinstance(payload, StateChanged) and payload[0] not in _TAKEN:
            self._left_out.note(payload[0], "nothing here is made of it")
            return
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
            try:
                await self._take(batch)
            except Exception as error:  # noqa: BLE001  a fault in one batch must not end the receiving of all that follows
                logger.warning("Events of Discord were left out: %s", type(error).__name__)
                await self._hand_over([unread("Discord", ", ".join(_kinds_in(batch)), error)])
            for payload in batch:
                if not isinstance(payload, StateChanged) and (stored := self._stored.get(str(payload[1].get("id")))) is not None:
                    stored.set()
                self._waiting.task_done()

    async def _take(self, batch: Sequence[StateChanged | Told]) -> None:
        events: list[Event] = []
        for payload in batch:
            if isinstance(payload, StateChanged):
                events.append(payload)
            elif payload[0] in {"READY", "GUILD_CREATE"}:
                await self._hand_over(events)
                events = []
                try:
                    await self._catch_up(*payload)
                except NOT_OF_ITS_FORM as error:
                    logger.warning("An event %s is not of Discord's form and was left out: %s", payload[0], type(error).__name__)
                    events.append(unread("Discord", payload[0], error))
            else:
                events += await self._read(*payload)
        await self._hand_over(events)

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
        if not self._directory.sees(data.get("guild_id")):
            self._left_out.note(kind, "it is of another server than guild_id")
            return []
        if kind == "MESSAGE_CREATE" and data.get("id") in self._caught_up:
            return []
        translator = self.translator
        assert translator is not None
        try:
            events = await self._surely(lambda: translator.events_of(kind, data))
        except MessengerError as error:
            logger.warning("An event %s of Discord was left out: %s", kind, clean_line(str(error)))
            return [unread("Discord", kind, error)]
        except NOT_OF_ITS_FORM as error:
            logger.warning("An event %s is not of Discord's form and was left out: %s", kind, type(error).__name__)
            return [unread("Discord", kind, error)]
        if not events:
            self._left_out.note(kind, "it says nothing that is new to anybody")
        return events

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
            is_new = not self._directory.is_expected(data["id"])
            channels = self._directory.add_guild(data)
            if is_new:
                # Invited again, it may write where it was taken out before.
                now = datetime.now(UTC)
                await self._hand_over([ChatClosed(chat_id=chat, reason=None, at=now) for chat in self._directory.chats_of(data["id"])])
            for channel in channels:
                self._position.begin(channel["id"], datetime.fromisoformat(data["joined_at"]))
                # The newest message of a forum is a post, which is a thread.
                if channel["type"] not in FORUMS and int(channel.get("last_message_id") or 0) > self._position.after(channel["id"]):
                    await self._read_back(channel["id"])

    async def _read_back(self, channel: str) -> None:
        """Deliver the messages that were written since the last one that was taken, oldest first."""
        for _ in range(0, self._catching.messages, _PAGE):
            params = {"after": str(self._position.after(channel)), "limit": str(_PAGE)}
            try:
                page = await self._surely(lambda params=params: self._page(channel, params))
            except MessengerError as error:
                self._not_read[channel] = clean_line(error.detail)
                self.reach_changed.set()
                logger.warning("What was missed in a channel was not read back: %s", self._not_read[channel])
                return
            if self._not_read.pop(channel, None) is not None:
                self.reach_changed.set()
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
        guild: Json = {}
        with suppress(MessengerError):
            place = await self._surely(lambda: self._directory.place(message["channel_id"]))
            guild = {} if place.guild is None else {"guild_id": place.guild}
        events = await self._read(READ_BACK, {**message, **guild})
        is_old = datetime.now(UTC) - _NEWS
        return [
            event.model_copy(update={"backfill": True}) if isinstance(event, MessageReceived) and event.message.at < is_old else event
            for event in events
        ]

    @property
    def lost_reach(self) -> str | None:
        """What could not be read back after an absence, in Discord's words; None where nothing is known to be missing."""
        if not self._not_read:
            return None
        return f"Not read back after an absence, in {len(self._not_read)} channels: {next(iter(self._not_read.values()))}"

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call again while Discord does not answer. Raises MessengerError where it refuses, or has not answered for too long."""
        error: MessengerError = no_answer("none at all")
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
        raise error


def _kinds_in(batch: Sequence[StateChanged | Told]) -> list[str]:
    """Return the kinds of the events in a batch, each once."""
    return list(dict.fromkeys(payload[0] for payload in batch if not isinstance(payload, StateChanged)))


@contextmanager
def _readable(kind: str) -> Generator[None]:
    """Log what cannot be read: it must not keep back the events after it."""
    try:
        yield
    except NOT_OF_ITS_FORM as error:
        logger.warning("An event %s is not of Discord's form and was left out: %s", kind, type(error).__name__)
