"""Keeps one bot connected: fetches its updates, or has Telegram bring them, and tells where the connection stands."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from telegram import User, WebhookInfo
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter, TelegramError

from providers.base import Deliver
from providers.events import Event, Need, StateChanged
from providers.kit.backoff import PAUSES, Backoff
from providers.kit.delivery import StateReporter
from providers.kit.json import id_at, object_in, without_nulls
from providers.kit.left_out import LeftOut
from providers.kit.unread import NOT_OF_ITS_FORM
from providers.models import Account
from providers.states import InstanceState
from providers.telegram import business
from providers.telegram.client import BotClient
from providers.telegram.errors import seconds_of
from providers.telegram.inbound import ALLOWED_UPDATES, Reader, UnknownConnection, events_of, notice
from providers.telegram.memory import Memory
from providers.text import clean_line

logger = logging.getLogger(__name__)

Json = dict[str, Any]


def account_of(me: User) -> Account:
    """Return the bot as an account."""
    return Account(id=str(me.id), name=me.full_name, username=me.username)


@dataclass(frozen=True)
class Timing:
    pauses: tuple[float, ...] = PAUSES
    """Seconds before each further try after trouble."""
    poll_seconds: int = 30
    """How long Telegram keeps a request for updates open."""
    idle_seconds: float = 1.0
    """At least, between two requests of which the first brought nothing new: some servers answer at once instead of waiting."""
    check_seconds: float = 60
    """Between two looks at how Telegram gets on with our webhook."""


class Connection(StateReporter):
    """From start to stop. `webhook` is the address and the secret; None where updates are fetched."""

    def __init__(self, bot: BotClient, deliver: Deliver, webhook: tuple[str, str] | None, timing: Timing, memory: Memory) -> None:
        super().__init__(deliver)
        self._bot = bot
        self._webhook = webhook
        self._timing = timing
        self._memory = memory
        self._account: Account | None = None
        self._is_open = False
        self._offset = 0
        self._last_page: list[int | None] = []
        """The numbers of the updates that came last."""
        self._backoff = Backoff(timing.pauses)
        self._pause = 0.0
        self._in_conflict = False
        self._noted: list[Event] = []
        self._left_out = LeftOut("Telegram")
        self.hears_groups = True
        """Whether the bot gets all messages of its groups, as far as Telegram has said."""

    def note(self, event: Event) -> None:
        """Have an event delivered soon that a call of ours brought to light."""
        self._noted.append(event)

    async def run(self) -> None:
        """Until cancelled, or until the token turns out to be wrong."""
        while True:
            try:
                await self.report()
                if self.state.needs is Need.TOKEN:
                    return
                await asyncio.sleep(self._pause)
                self.state = await self._step()
                self._backoff.reset()
                self._pause, self._in_conflict = 0.0, False
            except TelegramError as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001  a store that is away for a while must not end the receiving
                logger.warning("Receiving from Telegram was interrupted and begins again where it was: %s", type(error).__name__)
                pause = self._backoff.next()
                if isinstance(error, NOT_OF_ITS_FORM) and self._is_news():
                    self.state = self._degraded(f"Telegram's answer could not be read ({type(error).__name__}); it is asked again.")
                await asyncio.sleep(pause)

    async def receive(self, update: Json) -> bool:
        """An update that Telegram brought; False while we do not know who we are, and Telegram has to bring it again."""
        if self._account is None:
            return False
        await self._take([update], self._account)
        return True

    async def _step(self) -> StateChanged:
        if noted := list(self._noted):
            await self._deliver(noted)
            del self._noted[: len(noted)]
        if not self._is_open:
            await self._open()
        elif self._webhook is None:
            await self._fetch()
        else:
            await asyncio.sleep(self._timing.check_seconds)
            if trouble := self._trouble_of(await self._bot.get_webhook_info(), self._webhook[0]):
                return self._degraded(trouble)
        return StateChanged(state=InstanceState.READY, account=self._account)

    async def _open(self) -> None:
        me = await self._bot.get_me()
        if self._webhook is None:
            await self._bot.delete_webhook()
        else:
            address, secret = self._webhook
            await self._bot.set_webhook(address, secret_token=secret, allowed_updates=ALLOWED_UPDATES)
        self._account = account_of(me)
        self.hears_groups = me.can_read_all_group_messages is not False
        self._is_open = True

    async def _fetch(self) -> None:
        """One page. Asking with the next offset is what confirms it, and that happens only after it was delivered."""
        assert self._account is not None
        # After an outage a quick look tells that it is over; in a conflict only a long one tells that the other side is gone.
        wait = 0 if self._backoff.failures and not self._in_conflict else self._timing.poll_seconds
        clock = asyncio.get_running_loop().time
        began = clock()
        fetched = await self._bot.get_raw_updates(offset=self._offset, wait_seconds=wait, allowed_updates=ALLOWED_UPDATES)
        updates = [without_nulls(update) for update in fetched]
        if updates:
            await self._take(updates, self._account)
            self._offset = updates[-1]["update_id"] + 1
        page = [update.get("update_id") for update in updates]
        if page == self._last_page and wait:
            await asyncio.sleep(self._timing.idle_seconds - (clock() - began))
        self._last_page = page

    async def _take(self, updates: list[Json], me: Account) -> None:
        for update in updates:
            if poll_id := id_at(update, "poll_answer", "poll_id") or id_at(update, "poll", "id"):
                await self._memory.until_known(poll_id)
        await self._meet(updates)
        reader = Reader(me, self._memory)
        events = [event for update in updates for event in self._readable(update, reader)]
        if events:
            await self._deliver(events)
        presses = [press for update in updates if (press := id_at(update, "callback_query", "id"))]
        await asyncio.gather(*map(self._stop_spinner, presses))

    def _readable(self, update: Json, reader: Reader) -> list[Event]:
        """Return the events of an update. One that cannot be read must not keep back those after it, and becomes a notice."""
        kinds = ", ".join(kind for kind in update if kind != "update_id")
        try:
            events = events_of(update, reader)
        except UnknownConnection:
            words = f"Telegram brought an update of the type {kinds} over a business connection that it does not know any more."
            return [notice("business_connection", f"{words} The person has disconnected the bot from their chats.")]
        except NOT_OF_ITS_FORM as error:
            logger.warning("Update %s is not of Telegram's form and was left out: %s", update.get("update_id"), type(error).__name__)
            return [notice("unread_update", f"Telegram brought an update of the type {kinds} that could not be read ({type(error).__name__}).")]
        if not events:
            self._left_out.note(kinds, "it says nothing that is new to anybody")
        return events

    async def _meet(self, updates: list[Json]) -> None:
        """Ask for the connections that come without a report of what the person allows, such as after a loss of the data folder."""
        told = {id_at(update, "business_connection", "id") for update in updates}
        for id in {business.connection_id_in(update) for update in updates} - told - {None}:
            if id is not None and self._memory.connection(id) is None:
                # One that was ended meanwhile is refused, and must not keep back the updates of all others.
                with suppress(BadRequest, Forbidden):
                    found = await self._bot.get_business_connection(id)
                    self._memory.keep_connection(business.connection_of(found.to_dict()))

    async def _stop_spinner(self, press: str) -> None:
        """The pressed button waits for this; Telegram refuses it for a press of long ago."""
        try:
            await self._bot.answer_callback_query(press)
        except TelegramError as error:
            logger.info("A pressed button was not answered: %s", clean_line(str(error)))

    def _trouble_of(self, info: WebhookInfo, address: str) -> str | None:
        if info.url != address:
            return "The webhook of this bot was changed elsewhere. Restart the instance to take it back."
        recently = datetime.now(UTC) - timedelta(seconds=2 * self._timing.check_seconds + 1)
        if info.pending_update_count and info.last_error_date is not None and info.last_error_date > recently:
            return f"Telegram cannot deliver to {address}: {info.last_error_message}"
        return None

    def _degraded(self, reason: str) -> StateChanged:
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._account)

    def _note(self, error: TelegramError) -> None:
        self._in_conflict = isinstance(error, Conflict)
        self._pause = self._backoff.next(seconds_of(error) if isinstance(error, RetryAfter) else 0)
        words = clean_line(str(error))
        if isinstance(error, InvalidToken):
            reason = f"Telegram does not know this token: {words}. Set the one that @BotFather shows."
            self.state = StateChanged(state=InstanceState.ERROR, reason=reason, needs=Need.TOKEN)
        elif isinstance(error, BadRequest):
            self.state = StateChanged(state=InstanceState.ERROR, reason=f"Telegram refused: {words}", account=self._account)
        elif self._in_conflict or self._is_news():
            self.state = self._degraded(words)

    def _is_news(self) -> bool:
        """Return whether trouble is to be reported: a single hiccup of a connection that worked is no news."""
        return self._backoff.failures > 1 or self.state.state is not InstanceState.READY


def parse_update(body: bytes) -> Json | None:
    """Return the update in a webhook call; None when it is none."""
    update = object_in(body)
    return update if update is not None and "update_id" in update else None
