"""One connection to Discord's gateway: discord.py's, with the events as Discord sent them."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from discord.gateway import DiscordWebSocket
from discord.http import INTERNAL_API_VERSION
from discord.utils import _ActiveDecompressionContext as Decompression  # pyright: ignore[reportPrivateUsage] - names the compression it can read
from yarl import URL

from providers.discord.client import DiscordClient

Json = dict[str, Any]

GUILDS = 1 << 0
MESSAGE_CONTENT = 1 << 15
# Messages, reactions and votes in polls, of servers and of private chats. None of these is privileged.
INTENTS = GUILDS | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 24 | 1 << 25

SESSION_ENDS = 1000
SESSION_STAYS = 4000
"""The code we close with: whether Discord keeps the session to be resumed."""

_OPENING_SECONDS = 60
_CLOSING_SECONDS = 2


@dataclass(frozen=True)
class Session:
    """What it takes to go on where a connection broke off: Discord repeats what came after `sequence`."""

    id: str
    sequence: int | None
    url: URL


class _Takers(dict[str, Callable[[Json], None]]):
    """Hands on an event of any kind, where discord.py has a parser for each kind that it knows."""

    def __init__(self, take: Callable[[str, Json], None]) -> None:
        self._take = take

    def __missing__(self, kind: str) -> Callable[[Json], None]:
        return partial(self._take, kind)


class Gateway(DiscordWebSocket):
    """Made by `connect`. `DEFAULT_GATEWAY` is one for the whole process, and is not used."""

    intents: int

    @classmethod
    async def connect(
        cls,
        client: DiscordClient,
        where: URL | Session,
        intents: int,
        take: Callable[[str, Json], None],
        silence: float,
    ) -> Self:
        """A connection that has said who it is, or what it wants to go on with.

        `take` gets every event with its kind. After `silence` seconds without a word the connection counts as dead.
        """
        url = where.url if isinstance(where, Session) else where
        address = url.with_query(v=INTERNAL_API_VERSION, encoding="json", compress=Decompression.COMPRESSION_TYPE)
        async with asyncio.timeout(_OPENING_SECONDS):
            gateway = cls(await client.ws_connect(str(address)), loop=asyncio.get_running_loop())
            gateway._max_heartbeat_timeout = silence
            try:
                await gateway._say_hello(client, where, url, intents, _Takers(take))
            except BaseException:
                await gateway.hang_up(SESSION_STAYS)
                raise
        return gateway

    async def _say_hello(self, client: DiscordClient, where: URL | Session, url: URL, intents: int, parsers: dict[str, Callable[..., Any]]) -> None:
        self.token, self.gateway, self.intents = client.token, url, intents
        self.shard_id = self.shard_count = None
        self._discord_parsers = parsers
        await self.poll_event()
        if isinstance(where, Session):
            self.session_id, self.sequence = where.id, where.sequence
            await self.resume()
        else:
            await self.identify()

    async def identify(self) -> None:
        properties = {"os": sys.platform, "browser": "mcp-messenger", "device": "mcp-messenger"}
        await self.send_as_json({"op": self.IDENTIFY, "d": {"token": self.token, "properties": properties, "intents": self.intents}})

    @property
    def session(self) -> Session | None:
        return None if self.session_id is None else Session(self.session_id, self.sequence, self.gateway)

    async def hang_up(self, code: int) -> None:
        """Does not wait for a far end that is silent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self.close(code)
