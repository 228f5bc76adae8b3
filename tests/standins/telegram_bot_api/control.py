"""What a test does to the stand-in when it runs in another process: /stand-in/…, JSON both ways."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.standins.telegram_bot_api.bot import StandInBot
    from tests.standins.telegram_bot_api.server import TelegramStandIn


def routes(telegram: "TelegramStandIn") -> list[web.RouteDef]:
    async def add_bot(request: web.Request) -> web.Response:
        bot = telegram.add_bot(**await request.json())
        return web.json_response({"token": bot.token, "id": bot.id, "username": bot.username})

    async def violations(_: web.Request) -> web.Response:
        return web.json_response(telegram.violations)

    def person(bot: "StandInBot", body: dict[str, Any]) -> object:
        return bot.person(**body)

    def group(bot: "StandInBot", body: dict[str, Any]) -> object:
        return bot.group(**body)

    def writes(bot: "StandInBot", body: dict[str, Any]) -> object:
        return bot.user_writes(body["chat_id"], body["text"], by=body.get("by"))

    def sent(bot: "StandInBot", _: dict[str, Any]) -> object:
        return [{"method": call.method, "params": dict(call.params), "message": call.message} for call in bot.sent]

    def of_bot(action: Callable[["StandInBot", dict[str, Any]], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            bot = telegram.bots.get(request.match_info["token"])
            if bot is None:
                raise web.HTTPNotFound(text="No bot with this token.")
            return web.json_response(action(bot, await request.json() if request.can_read_body else {}))

        return handle

    return [
        web.post("/stand-in/bots", add_bot),
        web.get("/stand-in/violations", violations),
        web.post("/stand-in/bots/{token}/people", of_bot(person)),
        web.post("/stand-in/bots/{token}/groups", of_bot(group)),
        web.post("/stand-in/bots/{token}/messages", of_bot(writes)),
        web.get("/stand-in/bots/{token}/sent", of_bot(sent)),
    ]
