"""Keeps one app connected: reads its events, catches up after an absence, and reports the state of the connection."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from providers.base import Deliver
from providers.errors import Forbidden, LoggedOut, MessengerError, RateLimited, Rejected, Unreachable
from providers.events import Event, MessageReceived, Need, StateChanged
from providers.kit.background import Background
from providers.kit.backoff import PAUSES, Backoff
from providers.kit.bounded import BoundedSet
from providers.kit.delivery import StateReporter
from providers.kit.parts import is_part
from providers.kit.unread import NOT_OF_ITS_FORM, unread
from providers.models import Account
from providers.slack.catchup import CatchUp
from providers.slack.client import SlackClient, organization_of
from providers.slack.errors import refusal, slack_errors
from providers.slack.inbound import Identity, Translator
from providers.slack.interactions import Interactions
from providers.slack.position import Position
from providers.slack.shapes import inner
from providers.slack.socket import LINK_DISABLED, REPLACE, Socket
from providers.states import InstanceState

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_REMEMBERED = 10_000
_VITAL_SCOPE = "chat:write"


@dataclass(frozen=True)
class Timing:
    pauses: tuple[float, ...] = PAUSES
    """Seconds before each further try after trouble."""
    heartbeat_seconds: float = 10
    """Between two pings; without an answer the connection counts as broken."""
    check_seconds: float = 300
    """Between two looks at whether the token still works, where Slack brings the events."""
    stable_seconds: float = 10
    """A connection that lasted so long worked; after shorter ones the pauses grow."""
    position_seconds: float = 30
    overlap_seconds: float = 300
    """Read again after an absence: clocks differ, and a broken connection shows late. Known messages are not reported twice."""
    held_back_seconds: float = 65
    """After Slack said that it drops events for a minute."""
    drain_seconds: float = 60
    """How long a replaced connection may go on bringing what it has."""
    share_pauses: tuple[float, ...] = (0.2, 0.3, 0.5, 1, 1, 2, 2, 3, 5, 5)
    """Between looks at whether a file has become a message."""


class Connection(StateReporter):
    """From start to stop. Without `app_token` Slack brings the events to the webhook, and `receive` takes them.

    `on_stopped(channel, thread)` is called when somebody pressed the stop button of an answer.
    """

    def __init__(
        self,
        client: SlackClient,
        deliver: Deliver,
        translator: Callable[[Identity], Translator],
        interactions: Interactions,
        position: Position,
        app_token: SecretStr | None,
        on_stopped: Callable[[str, str], Coroutine[Any, Any, None]],
        timing: Timing,
    ) -> None:
        super().__init__(deliver)
        self._on_stopped = on_stopped
        self._client = client
        self._make_translator = translator
        self._interactions = interactions
        self._translator: Translator | None = None
        self._position = position
        self._app_token = app_token
        self._timing = timing
        self._seen: BoundedSet[str] = BoundedSet(_REMEMBERED)
        self._turn = asyncio.Lock()
        self._backoff = Backoff(timing.pauses)
        self._pause = 0.0
        self._is_open = False
        self._opened_at: float | None = None
        self._untaken = 0
        """Events that Slack sent, or is known to have dropped, and that are not stored yet."""
        self._missed = False
        self._doubt = asyncio.Event()
        """Set when the token may have been revoked."""
        self._sockets = 0
        self._remark: str | None = None
        self._lost_reach: str | None = None
        self._catching: asyncio.Task[None] | None = None
        self._background = Background()

    async def run(self) -> None:
        """Until cancelled, or until the tokens turn out to be wrong."""
        try:
            self._background.run(self._keep_position())
            while True:
                try:
                    await self.report()
                    if self.state.needs is Need.TOKEN:
                        return
                    await asyncio.sleep(self._pause)
                    await self._live()
                except MessengerError as error:
                    self._note(error)
                except asyncio.CancelledError:
                    if self._is_complete():
                        self._position.advance()
                    raise
                except Exception as error:  # noqa: BLE001  a store that is away for a while must not end the receiving
                    logger.warning("Receiving from Slack was interrupted and begins again: %s", type(error).__name__)
                    self._has_lasted()
                    pause = self._backoff.next()
                    if isinstance(error, NOT_OF_ITS_FORM) and self._is_news():
                        self.state = self._degraded(f"Slack's answer could not be read ({type(error).__name__}); it is asked again.")
                    await asyncio.sleep(pause)
                finally:
                    self._is_open = False
        finally:
            await self._background.stop()

    async def receive(self, payload: Json) -> bool:
        """What Slack brought to the webhook; False while we do not know who we are, and Slack has to bring it again."""
        if self._translator is None:
            return False
        try:
            async with self._turn:
                await self._take(payload)
        except Exception:  # raised again: Slack comes again three times at most, and history has it for longer
            self._missed = True
            self._catch_up()
            raise
        if _is_farewell(payload):
            self._doubt.set()
        return True

    @property
    def account(self) -> Account | None:
        return self._translator.me.account if self._translator is not None else None

    async def _live(self) -> None:
        await self._identify()
        if self._app_token is None:
            await self._opened()
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._doubt.wait(), self._timing.check_seconds)
                self._doubt.clear()
                await self._identify()
        else:
            await self._listen(self._app_token)

    async def _opened(self) -> None:
        self._opened_at = self._now()
        self._pause = 0.0
        self._is_open = True
        await self._show_ready()
        self._catch_up()

    async def _show_ready(self) -> None:
        reason = ". ".join(filter(None, [self._remark, self._lost_reach])) or None
        self.state = StateChanged(state=InstanceState.READY, account=self.account, reason=reason)
        await self.report()

    async def _identify(self) -> None:
        me, scopes = await identify(self._client)
        if scopes and _VITAL_SCOPE not in scopes:
            raise refusal("missing_scope", {"needed": _VITAL_SCOPE})
        if self._translator is None:
            self._translator = self._make_translator(me)

    async def _listen(self, app_token: SecretStr) -> None:
        """Reads one connection after another, as Slack wants them replaced. Raises when it broke off."""
        socket = await self._open_socket(app_token)
        try:
            await self._opened()
            while True:
                reason = await socket.read(self._take_envelope)
                if reason == LINK_DISABLED:
                    raise Forbidden("Slack ended the connection: link_disabled.", hint="Switch Socket Mode on, on the app's page.")
                if reason not in REPLACE:
                    raise Unreachable("The connection to Slack broke.", maybe_sent=False)
                if not self._has_lasted():
                    # Slack itself does not have a connection replaced that was just made.
                    await asyncio.sleep(self._backoff.next())
                replacement = await self._open_socket(app_token)
                self._opened_at = self._now()
                self._background.run(self._drain(socket))
                socket = replacement
                await self._show_ready()
        finally:
            await self._close_socket(socket)

    async def _open_socket(self, app_token: SecretStr) -> Socket:
        socket = await Socket.open(self._client, app_token, self._timing.heartbeat_seconds)
        self._sockets += 1
        others = socket.connections - self._sockets
        self._remark = f"{others} more connections with this app token: Slack gives each event to only one of them" if others > 0 else None
        return socket

    async def _close_socket(self, socket: Socket) -> None:
        self._sockets -= 1
        await socket.close()

    async def _drain(self, socket: Socket) -> None:
        """A connection that is to be replaced still brings what was on its way."""
        try:
            async with asyncio.timeout(self._timing.drain_seconds):
                while await socket.read(self._take_envelope) is not None:
                    pass
        except TimeoutError:
            pass
        finally:
            await self._close_socket(socket)

    async def _take_envelope(self, envelope: Json) -> None:
        """Returns when it is durable, however long the store is away; unless Slack itself is asked for it again, after a stop."""
        payload = inner(envelope, "payload")
        self._untaken += 1
        async with self._turn:
            await self._take_in_the_end(payload)
        self._untaken -= 1
        if _is_farewell(payload):
            await self._identify()

    async def _take_in_the_end(self, payload: Json) -> None:
        backoff = Backoff(self._timing.pauses)
        while True:
            try:
                return await self._take(payload)
            except Exception as error:  # noqa: BLE001  a store that is away for a while must not lose what Slack brought
                logger.warning("An event of Slack could not be stored and is tried again: %s", type(error).__name__)
                await asyncio.sleep(backoff.next())

    async def _take(self, payload: Json) -> None:
        key = str(payload.get("event_id", ""))
        if key and key in self._seen:
            return
        await self._store(await self._readable(payload))
        if payload.get("type") == "app_rate_limited":
            self._background.run(self._read_what_was_held_back())
        event = inner(payload, "event")
        if event.get("type") == "agent_session_stopped" and event.get("thread_ts"):
            self._background.run(self._on_stopped(str(event.get("channel")), str(event["thread_ts"])))
        if key:
            self._seen.add(key)

    async def _store(self, events: Sequence[Event]) -> None:
        """Each message once: two kinds of events may tell of one, and history tells again."""
        fresh = [event for event in events if not (isinstance(event, MessageReceived) and self._is_known(event))]
        if fresh:
            await self._deliver(fresh)
        for event in fresh:
            if isinstance(event, MessageReceived):
                self._seen.add(event.message.id)

    def _is_known(self, event: MessageReceived) -> bool:
        return event.message.id in self._seen or is_part(event.client_id)

    async def _readable(self, payload: Json) -> list[Event]:
        """One payload that cannot be read must not keep back those after it."""
        assert self._translator is not None
        try:
            if not self._translator.me.is_meant_by(payload):
                return self._translator.left_out(str(payload.get("type")), "it is of another workspace that has the app")
            match payload:
                case {"type": "event_callback"}:
                    return await self._translator.events_of(payload["event"])
                case {"command": str()}:
                    return await self._interactions.commanded(payload)
                case _ if self._interactions.knows(payload):
                    return await self._interactions.events_of(payload)
                case _:
                    return self._translator.left_out(str(payload.get("type")), "nothing here is made of it")
        except Rejected as error:
            # Slack does not open the direct messages of the person who used a shortcut.
            logger.warning("A payload of the type %r was left out: %s", payload.get("type"), error.detail)
            return [unread("Slack", _kind_of(payload), error)]
        except NOT_OF_ITS_FORM as error:
            logger.warning("A payload is not of Slack's form and was left out: %s", type(error).__name__)
            return [unread("Slack", _kind_of(payload), error)]

    def _catch_up(self) -> None:
        if self._position.at is None:
            self._position.advance()
        elif self._catching is None or self._catching.done():
            self._catching = self._background.run(self._read_back(self._position.at - self._timing.overlap_seconds))

    async def _read_what_was_held_back(self) -> None:
        """Slack drops an app's events for the rest of a minute that has too many."""
        logger.warning("Slack drops events of this app for a minute; they are read from history.")
        self._untaken += 1
        await asyncio.sleep(self._timing.held_back_seconds)
        self._missed = True
        self._catch_up()
        self._untaken -= 1

    async def _read_back(self, since: float) -> None:
        assert self._translator is not None
        reading = CatchUp(self._client, self._translator, self._store_in_turn)
        backoff = Backoff(self._timing.pauses)
        while True:
            try:
                self._missed = False
                self._lost_reach = await reading.run(since)
                if not self._missed:
                    break
            except Forbidden as error:
                self._lost_reach = error.detail
                break
            except RateLimited as error:
                await asyncio.sleep(error.retry_after)
            except Exception as error:  # noqa: BLE001  whatever is away comes back, and until then nothing is skipped
                logger.warning("Reading what was missed was interrupted and begins again: %s", type(error).__name__)
                await asyncio.sleep(backoff.next())
        if self._lost_reach is not None:
            self._lost_reach = f"Not read back after the absence: {self._lost_reach}"
            logger.warning("%s", self._lost_reach)
            if self._is_open:
                await self._show_ready()

    async def _store_in_turn(self, events: Sequence[Event]) -> None:
        async with self._turn:
            await self._store(events)

    def _is_complete(self) -> bool:
        """Return whether every event up to now is stored."""
        caught_up = self._catching is None or self._catching.done()
        return self._is_open and caught_up and not self._untaken

    async def _keep_position(self) -> None:
        while True:
            await asyncio.sleep(self._timing.position_seconds)
            if self._is_complete():
                self._position.advance()

    def _note(self, error: MessengerError) -> None:
        self._has_lasted()
        self._pause = self._backoff.next(error.retry_after if isinstance(error, RateLimited) else 0)
        words = f"{error.detail} {error.hint or ''}".strip()
        if isinstance(error, LoggedOut | Forbidden):
            self.state = StateChanged(state=InstanceState.ERROR, reason=words, needs=Need.TOKEN, account=self.account)
        elif self._is_news():
            self.state = self._degraded(error.detail)

    def _is_news(self) -> bool:
        """Return whether trouble is to be reported: a single hiccup of a connection that worked is no news."""
        return self._backoff.failures > 1 or self.state.state is not InstanceState.READY

    def _degraded(self, reason: str) -> StateChanged:
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self.account)

    def _has_lasted(self) -> bool:
        """Return whether the connection that ended had worked for a while: then pauses are short again."""
        began, self._opened_at = self._opened_at, None
        if began is None or self._now() - began < self._timing.stable_seconds:
            return False
        self._backoff.reset()
        return True

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def identify(client: SlackClient) -> tuple[Identity, frozenset[str]]:
    """Who we are, and the scopes of the token (none where Slack does not name them)."""
    with slack_errors():
        answer, scopes = await client.who_am_i()
    name = str(answer.get("user") or "")
    account = Account(id=str(answer["user_id"]), name=name, username=name or None)
    organization = organization_of(answer)
    # That of an organization is no workspace's.
    team = answer.get("team_id") if organization is None else None
    me = Identity(account, _text(answer.get("bot_id")), _text(team), organization)
    return me, frozenset(filter(None, scopes.replace(" ", "").split(",")))


def _kind_of(payload: Json) -> str:
    """Return what kind of payload it is, without content: "event_callback message"."""
    return " ".join(str(kind) for kind in (payload.get("type"), inner(payload, "event").get("type")) if kind) or "none"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_farewell(payload: Json) -> bool:
    """The token may not work any more."""
    return str(inner(payload, "event").get("type")) in {"tokens_revoked", "app_uninstalled"}
