"""The stand-in over HTTP: /bot<token>/<method> and /file/bot<token>/<path>, as api.telegram.org has them."""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tests.standins.base import StandIn, hang_up
from tests.standins.faults import Answer, Drop, Hold
from tests.standins.telegram_bot_api import control, spec
from tests.standins.telegram_bot_api.bot import Call, Json, StandInBot, Upload
from tests.standins.telegram_bot_api.methods import METHODS, allow_updates
from tests.standins.telegram_bot_api.refusal import Refusal, bad_request, conflict

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
_PAGE = 100
_WEBHOOK_RETRY_SECONDS = 0.05


class TelegramStandIn(StandIn):
    """Telegram's Bot API."""

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port=port, tls=tls)
        self.bots: dict[str, StandInBot] = {}
        self._ids = count(1_000_001)
        self._pusher: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._pusher = asyncio.create_task(self._push_webhooks())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pusher is not None:
            self._pusher.cancel()
            await asyncio.wait([self._pusher])
        await super().__aexit__(kind)

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=200_000_000)
        app.router.add_route("*", "/bot{token:[^/]*}/{method}", self._answer)
        app.router.add_get("/file/bot{token:[^/]*}/{path:.+}", self._download)
        app.add_routes(control.routes(self))
        return app

    def add_bot(self, token: str | None = None, *, name: str = "Robo", username: str | None = None) -> StandInBot:
        number = int(token.partition(":")[0]) if token else next(self._ids)
        token = token or f"{number}:FAKE-TOKEN-OF-A-STAND-IN"
        bot = StandInBot(token, number, name, username or f"robo_{number}_bot", self.changed)
        self.bots[token] = bot
        return bot

    async def until_called(self, bot: StandInBot, method: str, times: int = 1) -> Call:
        """The call, when the bot has made so many of this method."""
        await self.until(lambda: len(calls_of(bot, method)) >= times)
        return calls_of(bot, method)[times - 1]

    def _bot(self, request: web.Request) -> StandInBot:
        token = request.match_info["token"]
        if not _TOKEN.fullmatch(token):
            raise Refusal(404, "Not Found")
        if token not in self.bots:
            raise Refusal(401, "Unauthorized")
        return self.bots[token]

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            bot = self._bot(request)
            call = await _read(request)
            return await self._run(bot, call, request)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    async def _run(self, bot: StandInBot, call: Call, request: web.Request) -> web.Response:
        fault = bot.take_fault(call.method)
        bot.calls.append(call)
        self.changed()
        match fault:
            case Answer(body=str(words)):
                return web.Response(status=fault.status, text=words)
            case Answer():
                return web.json_response(fault.body, status=fault.status)
            case Drop(when="before"):
                return hang_up(request)
            case Hold(when="before"):
                fault.arrived.set()
                await fault.let_go.wait()
            case _:
                pass
        if bot.lacks(call.method.lower()):
            raise Refusal(404, "Not Found")
        self._judge(call)
        if (script := bot.scripts.get(call.method.lower())) is not None:
            return web.json_response(script.next(), status=script.status)
        result = await self._get_updates(bot, call) if call.method.lower() == "getupdates" else METHODS[call.method.lower()].run(bot, call)
        self.changed()
        if isinstance(fault, Drop):
            return hang_up(request)
        if isinstance(fault, Hold) and fault.when == "after":
            fault.arrived.set()
            await fault.let_go.wait()
        return web.json_response({"ok": True, "result": result})

    def _judge(self, call: Call) -> None:
        """Refuses, and remembers, what no program should ever ask."""
        known = METHODS.get(call.method.lower())
        given = call.params.keys() | call.files.keys()
        found = [f"{call.method}: {name} is required" for name in known.required - given] if known else []
        if known is None and call.method.lower() != "getupdates":
            self.violations.append(f"{call.method} is no method of this stand-in")
            raise Refusal(404, "Not Found")
        if (described := spec.load()) is not None:
            found += described.faults(known.name if known else "getUpdates", dict(call.params), frozenset(call.files))
        if found:
            self.violations += found
            raise bad_request(found[0])

    async def _get_updates(self, bot: StandInBot, call: Call) -> list[Json]:
        if bot.webhook is not None:
            raise conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
        bot.wake("terminated by other getUpdates request; make sure that only one bot instance is running")
        allow_updates(bot, call)
        _confirm(bot, int(call.params.get("offset", 0)))
        if not bot.pending and (seconds := float(call.params.get("timeout", 0))):
            bot.poll = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                reason = await asyncio.wait_for(asyncio.shield(bot.poll), seconds)
                if reason is not None:
                    raise conflict(reason)
        return bot.pending[: min(int(call.params.get("limit", _PAGE)), _PAGE)]

    async def _download(self, request: web.Request) -> web.Response:
        try:
            bot = self._bot(request)
            file = next((file for file in bot.files.values() if file.path == request.match_info["path"]), None)
            if file is None:
                raise Refusal(404, "Not Found")
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)
        return web.Response(body=file.content, content_type="application/octet-stream")

    async def _push_webhooks(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                await self.until(lambda: any(_can_push(bot) for bot in self.bots.values()))
                for bot in list(self.bots.values()):
                    if _can_push(bot):
                        await _push(bot, session)


def calls_of(bot: StandInBot, method: str) -> list[Call]:
    return [call for call in bot.calls if call.method.lower() == method.lower()]


def _confirm(bot: StandInBot, offset: int) -> None:
    if offset < 0:
        bot.pending[:] = bot.pending[offset:]
    elif offset:
        bot.pending[:] = [update for update in bot.pending if update["update_id"] >= offset]


async def _read(request: web.Request) -> Call:
    params: dict[str, str] = dict(request.query)
    files: dict[str, Upload] = {}
    if request.content_type == "application/json":
        body: Mapping[str, Any] = await request.json()
        params |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    else:
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[name] = Upload(value.filename, value.content_type, value.file.read())
            else:
                params[name] = value if isinstance(value, str) else bytes(value).decode()
    return Call(request.match_info["method"], params, files)


def _can_push(bot: StandInBot) -> bool:
    """Only to this machine: elsewhere the updates stay, for a test to carry."""
    return bot.webhook is not None and bool(bot.pending) and urlsplit(bot.webhook.url).hostname in {"127.0.0.1", "localhost"}


async def _push(bot: StandInBot, session: aiohttp.ClientSession) -> None:
    assert bot.webhook is not None
    headers = {"X-Telegram-Bot-Api-Secret-Token": bot.webhook.secret} if bot.webhook.secret else {}
    update = bot.pending[0]
    try:
        async with session.post(bot.webhook.url, json=update, headers=headers, ssl=False) as answer:
            error = None if answer.ok else f"Wrong response from the webhook: {answer.status} {answer.reason}"
    except aiohttp.ClientError:
        error = "Connection refused"
    if error is None:
        bot.pending.remove(update)
        bot.changed()
    else:
        bot.webhook.last_error = (int(time.time()), error)
        await asyncio.sleep(_WEBHOOK_RETRY_SECONDS)
