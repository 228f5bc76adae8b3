"""The Bot API client: python-telegram-bot over one small connection pool, with the token out of everyone's sight."""

import ssl
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr
from telegram import Bot, Message
from telegram.error import BadRequest
from telegram.request import HTTPXRequest

from providers.proxies import proxy_for

# httpx logs every URL at info level, and Bot shows its token in its repr: both get this instead.
_PLACEHOLDER = "_TOKEN_"

# Bounds the sockets of one bot: one is the long poll.
_POOL_SIZE = 8


class _TokenTransport(httpx.AsyncHTTPTransport):
    """Puts the token into the URL on its way out, where nothing logs it any more."""

    def __init__(self, token: SecretStr, tls: ssl.SSLContext, proxy: str | None) -> None:
        super().__init__(verify=tls, limits=httpx.Limits(max_connections=_POOL_SIZE), proxy=proxy)
        self._segment = b"/bot" + quote(token.get_secret_value(), safe=":").encode() + b"/"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.replace(f"/bot{_PLACEHOLDER}/".encode(), self._segment, 1)
        url = request.url.copy_with(raw_path=path)
        actual = httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions)
        return await super().handle_async_request(actual)


class _Request(HTTPXRequest):
    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        status, payload = await super().do_request(*args, **kwargs)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # The base class would call it a network error, which says that trying again may help.
            raise BadRequest("Request Entity Too Large")
        return status, payload


class BotClient(Bot):
    """A Bot that also hands out updates as Telegram sent them."""

    __slots__ = ()

    async def get_raw_updates(self, *, offset: int, wait_seconds: int, allowed_updates: tuple[str, ...]) -> list[dict[str, Any]]:
        """One page of updates. `Bot.get_updates` fails for the whole page, for ever, when it cannot read one of them."""
        data = {"offset": offset, "timeout": wait_seconds, "allowed_updates": allowed_updates}
        return await self._post("getUpdates", data, read_timeout=wait_seconds + 10)

    async def send_rich_message(self, chat_id: str, rich_message: dict[str, Any], **options: Any) -> Message:
        """Send a rich message (Bot API 10.1), which the SDK does not know yet."""
        return await self._send_message("sendRichMessage", {"chat_id": chat_id, "rich_message": rich_message}, **options)

    async def send_rich_message_draft(self, chat_id: int, draft_id: int, rich_message: dict[str, Any], **options: Any) -> None:
        """Show a part of a rich message that still grows, with a button to stop it."""
        await self._post("sendRichMessageDraft", {"chat_id": chat_id, "draft_id": draft_id, "rich_message": rich_message, **options})

    async def close_connections(self) -> None:
        await self.request.shutdown()


def connect(token: SecretStr, base_url: str, tls: ssl.SSLContext) -> BotClient:
    """A client that opens its connections when they are needed."""
    # httpx looks into the environment only when it makes the transport itself.
    transport = _TokenTransport(token, tls, proxy_for(base_url))
    request = _Request(read_timeout=30, write_timeout=30, connect_timeout=10, pool_timeout=10, httpx_kwargs={"transport": transport})
    base = base_url.rstrip("/")
    return BotClient(_PLACEHOLDER, f"{base}/bot", f"{base}/file/bot", request=request, get_updates_request=request)
