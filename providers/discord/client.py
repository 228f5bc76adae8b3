"""The REST client: discord.py's, which keeps Discord's rate limits, for one bot and one address."""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
from discord import File
from discord.errors import DiscordServerError, HTTPException, LoginFailure
from discord.errors import RateLimited as TooFast
from discord.http import HTTPClient, Ratelimit, Route
from pydantic import SecretStr

from providers.discord.errors import TOKEN_HINT
from providers.errors import LoggedOut, RateLimited
from providers.proxies import aiohttp_way_out

# Bounds the sockets of one bot: one is the gateway.
_CONNECTIONS = 8

# A wait up to this long that Discord asks for is sat out; a longer one is left to the caller.
_PATIENCE = 1.0

_WRONG = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})

_TOO_MANY_WRONG = (
    "Discord refused too many calls as not allowed (401, 403, 429), and shuts an address out that goes on like that. "
    "Give the bot the permissions it needs in its channels."
)


class WrongCalls:
    """Counts the calls that Discord refused as not allowed.

    Discord shuts an address out that makes 10,000 of them in 10 minutes, and several bots may share it. So far less is enough.
    """

    def __init__(self, limit: int = 500, seconds: float = 600) -> None:
        self.token_refused = False
        self._times: deque[float] = deque(maxlen=limit)
        self._limit = limit
        self._seconds = seconds

    def note(self, status: int, now: float) -> None:
        self.token_refused |= status == HTTPStatus.UNAUTHORIZED
        if status in _WRONG:
            self._times.append(now)

    def wait(self, now: float) -> float:
        """Seconds until the next call may be made."""
        return max(0.0, self._times[0] + self._seconds - now) if len(self._times) == self._limit else 0.0


class DiscordClient(HTTPClient):
    """`Route.BASE` is one for the whole process, so each call's address is set on its way out instead.

    Opens its connections when they are needed. What it raises is in `errors.TROUBLE`, or is a MessengerError.
    """

    def __init__(self, token: SecretStr, base_url: str, tls: ssl.SSLContext, wrong_calls: WrongCalls | None = None) -> None:
        super().__init__(asyncio.get_running_loop(), http_trace=_watched())
        # Of 429 answers alone; see get_ratelimit.
        self.max_ratelimit_timeout = _PATIENCE
        self._way_out = partial(aiohttp_way_out, base_url, tls, _CONNECTIONS)
        self.base_url = base_url
        self._secret = token
        self._wrong_calls = wrong_calls or WrongCalls()
        self._opening = asyncio.Lock()
        self._me: dict[str, Any] | None = None

    async def me(self) -> dict[str, Any]:
        """The bot's own user, asked for once."""
        async with self._opening:
            if self._me is None:
                self.connector, self.proxy, self.proxy_auth = self._way_out()
                try:
                    self._me = dict(await self.static_login(self._secret.get_secret_value().strip()))
                except LoginFailure as failure:
                    # It says less than what it was made of.
                    await self.close()
                    raise failure.__cause__ or failure from None
                except BaseException:
                    await self.close()
                    raise
        return self._me

    async def call(self, method: str, path: str, *, form: list[dict[str, Any]] | None = None, **fields: Any) -> Any:
        """`path` holds names in braces; of `fields`, `json` and `params` are the call's, the rest the names."""
        await self.me()
        options = {name: fields.pop(name) for name in ("json", "params") if name in fields}
        return await self.request(Route(method, path, **fields), form=form, **options)

    async def request(self, route: Route, *, files: Sequence[File] | None = None, form: Iterable[dict[str, Any]] | None = None, **kwargs: Any) -> Any:
        self._hold_back()
        route.url = self.base_url + route.url.removeprefix(Route.BASE)
        try:
            return await super().request(route, files=files, form=form, **kwargs)
        except HTTPException as error:
            self._wrong_calls.note(error.status, self.loop.time())
            raise
        except TooFast:
            self._wrong_calls.note(HTTPStatus.TOO_MANY_REQUESTS, self.loop.time())
            raise

    def get_ratelimit(self, key: str) -> Ratelimit:
        """A bucket with a longest wait would refuse every call that is further than that from its next filling, whether it is empty or not."""
        if key not in self._buckets:
            self._buckets[key] = Ratelimit(None)
            self._try_clear_expired_ratelimits()
        return self._buckets[key]

    @property
    def held_back(self) -> str | None:
        """Why no calls are made at present."""
        return _TOO_MANY_WRONG if self._wrong_calls.wait(self.loop.time()) > 0 else None

    def _hold_back(self) -> None:
        if self._wrong_calls.token_refused:
            raise LoggedOut("Discord refused this token, so it is not shown again.", hint=f"{TOKEN_HINT} Then restart the instance.")
        if self.held_back is not None:
            raise RateLimited(self._wrong_calls.wait(self.loop.time()), self.held_back)


def _watched() -> aiohttp.TraceConfig:
    """discord.py would try again by itself after 5xx answers, and if the last of its tries was not made at all, nobody would know of the others."""

    async def give_up(session: aiohttp.ClientSession, context: object, end: aiohttp.TraceRequestEndParams) -> None:
        if end.response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            end.response.close()
            raise DiscordServerError(end.response, None)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(give_up)
    return trace
