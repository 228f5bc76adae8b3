"""Keeps one bot connected to the gateway, and reports the state of the connection."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from discord.errors import ConnectionClosed, HTTPException
from discord.errors import RateLimited as TooFast
from discord.gateway import ReconnectWebSocket
from yarl import URL

from providers.discord.client import DiscordClient
from providers.discord.directory import Directory, person_of
from providers.discord.errors import TOKEN_HINT, TROUBLE, words_of
from providers.discord.gateway import INTENTS, MESSAGE_CONTENT, SESSION_ENDS, SESSION_STAYS, Gateway, Session
from providers.discord.inbound import Translator
from providers.discord.receiver import Catching, Receiver, Told
from providers.discord.settings import DiscordSettings
from providers.errors import LoggedOut, MessengerError, RateLimited
from providers.events import Need, StateChanged
from providers.kit.backoff import PAUSES, Backoff, jittered
from providers.kit.delivery import StateReporter
from providers.models import Account
from providers.states import InstanceState

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_PORTAL = "https://discord.com/developers/applications"

# Either allows the content of messages: for bots of few servers, and for reviewed ones.
_CONTENT_FLAGS = 1 << 18 | 1 << 19

# What the bot needs in its channels: reading and writing, also in threads; files, links, reactions, polls.
_PERMISSIONS = 1 << 6 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 38 | 1 << 46 | 1 << 49 | 1 << 51

# So many failures in a row are no news: a dropped connection, and a session that cannot be resumed.
_QUIET = 2

_FORBIDDEN_INTENTS = 4014
# Discord's words (https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway); discord.py does not pass on those it sent.
_CLOSED = {
    4004: "Authentication failed",
    4010: "Invalid shard",
    4011: "Sharding required: this bot is in more servers than one connection may serve",
    4012: "Invalid API version",
    4013: "Invalid intent(s)",
    _FORBIDDEN_INTENTS: "Disallowed intent(s)",
}
_REFUSED_HINT = f"Look at the bot's settings at {_PORTAL} and restart the instance."

MakeTranslator = Callable[[Account], Translator]


@dataclass(frozen=True)
class Timing:
    pauses: tuple[float, ...] = PAUSES
    """Seconds before each further try after trouble. The first try after a connection that worked follows at once."""
    session_pause: float = 5
    """At most, before a new session: Discord wants 1 to 5 s after it ended one."""
    stable_seconds: float = 10
    """A connection that lasted so long worked."""
    silence_seconds: float = 60
    """Without a word from Discord, which answers a heartbeat about every 41 s: then the connection is dead."""
    servers_seconds: float = 10
    """How long the list of chats waits for servers that Discord has yet to tell of."""
    resend_pauses: tuple[float, ...] = (0.5, 2, 5)
    """Before each further try of a send. Together well under the few minutes for which Discord remembers a nonce."""
    catching: Catching = field(default_factory=Catching)


class Connection(StateReporter):
    """From start to stop."""

    def __init__(
        self,
        client: DiscordClient,
        directory: Directory,
        receiver: Receiver,
        settings: DiscordSettings,
        make_translator: MakeTranslator,
        timing: Timing,
    ) -> None:
        super().__init__(receiver.deliver_states)
        self.sees_members = False
        """Whether Discord lets the bot list the members of its servers."""
        self._client = client
        self._directory = directory
        self._receiver = receiver
        self._settings = settings
        self._make_translator = make_translator
        self._timing = timing
        self._account: Account | None = None
        self._application = ""
        self._intents = INTENTS | MESSAGE_CONTENT
        self._session: Session | None = None
        self._arrived: list[Told] = []
        self._normal = self.state
        """As it is while nothing is wrong with the connection."""
        self._live_since: float | None = None
        self._backoff = Backoff(timing.pauses)
        self._pause = 0.0
        self._content_missing = False

    async def run(self) -> None:
        """Until cancelled, or until the token or the intents turn out to be wrong."""
        tasks = [asyncio.create_task(self._receiver.run()), asyncio.create_task(self._watch_reach())]
        try:
            await self.report()
            while self.state.state is not InstanceState.ERROR:
                try:
                    await asyncio.sleep(self._pause)
                    await self._once()
                except (MessengerError, ReconnectWebSocket, *TROUBLE) as error:
                    self._note(error)
                except Exception as error:  # noqa: BLE001  whatever Discord sends must not end the receiving
                    logger.warning("The connection to Discord broke and is made again: %s", type(error).__name__)
                    self._note(error)
                await self.report()
            await self._receiver.until_empty()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._receiver.save()

    async def _once(self) -> None:
        """One connection, for as long as it lasts. Raises what ended it."""
        if self._account is None:
            await self._learn_who_we_are()
        where = self._session or await self._gateway()
        gateway = await Gateway.connect(self._client, where, self._intents, self._take, self._timing.silence_seconds)
        try:
            while True:
                await gateway.poll_event()
                await self._pass_on(gateway)
        except asyncio.CancelledError:
            await gateway.hang_up(SESSION_ENDS)
            raise
        finally:
            self._session = gateway.session
            if gateway.open:
                await gateway.hang_up(SESSION_STAYS)

    @property
    def content_missing(self) -> str | None:
        """Why the bot does not see what others write without naming it; None where it does."""
        return f"Turn on the Message Content intent at {_PORTAL}/{self._application}/bot." if self._content_missing else None

    async def _learn_who_we_are(self) -> None:
        me = person_of(await self._client.me())
        application: Json = await self._client.call("GET", "/applications/@me")
        self._application = application["id"]
        if self._settings.client_id not in {None, self._application}:
            raise LoggedOut(f"The token belongs to the application {self._application}, not to {self._settings.client_id}.")
        flags = application.get("flags", 0)
        self._content_missing = not flags & _CONTENT_FLAGS
        self.sees_members = bool(flags & (1 << 14 | 1 << 15))
        if self._content_missing:
            self._intents = INTENTS
        self._account = Account(id=me.id, name=me.name, username=me.username)
        self._receiver.translator = self._make_translator(self._account)

    async def _gateway(self) -> URL:
        """Where to begin a session. Discord allows so many a day."""
        payload: Json = await self._client.call("GET", "/gateway/bot")
        left = payload["session_start_limit"]
        if not left["remaining"]:
            raise RateLimited(left["reset_after"] / 1000, "Discord allows this bot no more connections today.")
        return URL(self._settings.gateway_url or payload["url"])

    def _take(self, kind: str, data: Json) -> None:
        self._arrived.append((kind, data))

    async def _pass_on(self, gateway: Gateway) -> None:
        arrived, self._arrived = self._arrived, []
        for kind, data in arrived:
            if kind == "READY" and self._settings.gateway_url is not None:
                gateway.gateway = URL(self._settings.gateway_url)
            if kind in {"READY", "RESUMED"}:
                self._live_since = asyncio.get_running_loop().time()
                if kind == "READY":
                    await self._begin({guild["id"] for guild in data["guilds"]})
                self.state = self._normal
                await self.report()
            if kind != "RESUMED":
                await self._receiver.put((kind, data))
        await self._report_trouble()

    async def _watch_reach(self) -> None:
        while True:
            await self._receiver.reach_changed.wait()
            self._receiver.reach_changed.clear()
            await self._report_trouble()

    async def _report_trouble(self) -> None:
        """Report what is wrong though the connection is there."""
        if self._live_since is not None:
            trouble = self._client.held_back
            state = self._within_reach() if trouble is None else self._degraded(trouble)
            if state != self.state:
                await self.report(state)

    def _within_reach(self) -> StateChanged:
        """Return the state while nothing is wrong with the connection, with what could not be read back."""
        if (lost := self._receiver.lost_reach) is None:
            return self._normal
        return self._normal.model_copy(update={"reason": ". ".join(filter(None, [self._normal.reason, lost]))})

    async def _begin(self, servers: set[str]) -> None:
        self._directory.expect(servers)
        self._normal = self._ready(servers)
        if self._normal.state is not InstanceState.READY and self.reported != self._normal:
            # It became ready for all that; only something is missing.
            self.state = StateChanged(state=InstanceState.READY, account=self._account)
            await self.report()

    def _ready(self, servers: set[str]) -> StateChanged:
        only = self._settings.guild_id
        if only is not None and only not in servers:
            return self._degraded(f"The bot is not in the server {only}, the only one this instance sees. {self._invitation()}&guild_id={only}")
        if self._content_missing:
            return self._degraded(
                "The Message Content intent is off: messages that do not mention the bot arrive empty. "
                f"Turn it on at {_PORTAL}/{self._application}/bot and restart the instance."
            )
        reason = None if servers else f"The bot is in no server yet. {self._invitation()}"
        return StateChanged(state=InstanceState.READY, reason=reason, account=self._account)

    def _invitation(self) -> str:
        link = f"https://discord.com/oauth2/authorize?client_id={self._application}&scope=bot&permissions={_PERMISSIONS}"
        return f"Whoever manages it invites the bot: {link}"

    def _degraded(self, reason: str) -> StateChanged:
        return StateChanged(state=InstanceState.DEGRADED, reason=reason, account=self._account)

    def _note(self, error: Exception) -> None:
        """What ended a connection: is there sense in another, when, and is it news?"""
        is_first = self._live_since is not None and asyncio.get_running_loop().time() - self._live_since > self._timing.stable_seconds
        self._live_since = None
        if is_first:
            self._backoff.reset()
        pause = self._next_pause(error)
        self._pause = 0.0 if is_first else pause
        if self._wants_less(error):
            return
        if (reason := _final(error)) is not None:
            needs = Need.TOKEN if TOKEN_HINT in reason else Need.NOTHING
            self.state = StateChanged(state=InstanceState.ERROR, reason=reason, needs=needs, account=None if needs is Need.TOKEN else self._account)
        elif self._backoff.failures > _QUIET or self._normal.account is None:
            self.state = self._degraded(_words(error))

    def _wants_less(self, error: Exception) -> bool:
        """The content of messages was refused; without it the bot still reads private chats and what mentions it."""
        if isinstance(error, ConnectionClosed) and error.code == _FORBIDDEN_INTENTS and self._intents != INTENTS:
            self._intents, self._content_missing, self._session = INTENTS, True, None
            return True
        return False

    def _next_pause(self, error: Exception) -> float:
        pause = self._backoff.next(error.retry_after if isinstance(error, (RateLimited, TooFast)) else 0)
        return jittered(self._timing.session_pause, least=0.2) if isinstance(error, ReconnectWebSocket) and not error.resume else pause


def _final(error: Exception) -> str | None:
    """Why there is no sense in trying again; None where there is."""
    match error:
        case ConnectionClosed(code=4004):
            return f"Discord does not know this token: {_CLOSED[4004]}. {TOKEN_HINT}"
        case ConnectionClosed() if error.code in _CLOSED:
            return f"Discord refused the connection: {_CLOSED[error.code]} ({error.code}). {_REFUSED_HINT}"
        case HTTPException(status=HTTPStatus.UNAUTHORIZED):
            return f"Discord does not know this token: {words_of(error)}. {TOKEN_HINT}"
        case LoggedOut():
            return f"{error.detail} {TOKEN_HINT}"
        case _:
            return None


def _words(error: Exception) -> str:
    if isinstance(error, ReconnectWebSocket):
        return "Discord ended the connection; it is made again."
    if isinstance(error, ConnectionClosed):
        return f"Discord closed the connection ({error.code})."
    return f"Discord cannot be reached: {words_of(error)}"
