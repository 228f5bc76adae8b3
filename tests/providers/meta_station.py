"""A stand-in of the Graph API, an account on it, and providers that are stopped when the test is over."""

import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from aiohttp import web
from pydantic import SecretStr

from providers.base import Provider, ProviderContext, Settings, WebhookReply, WebhookRequest
from providers.meta.connection import Timing
from providers.meta.provider import MetaProvider
from providers.models import Draft
from providers.states import InstanceState
from tests.providers.harness import Inbox
from tests.standins.graph_api import GraphStandIn
from tests.standins.graph_api.account import Account

QUICK = Timing(pauses=(0.01, 0.02), check_seconds=30)

A = TypeVar("A", bound=Account)


class Callback:
    """The REST face, as far as Meta sees it: what comes in goes to the provider that was made last."""

    def __init__(self) -> None:
        self.provider: Provider | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/webhook", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/webhook"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        if self.provider is None:
            return web.Response(status=503)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        try:
            reply = await self.provider.receive_webhook(WebhookRequest(request.method, headers, dict(request.query), body))
        except ConnectionError:
            return web.Response(status=500)
        return web.Response(status=reply.status, text=reply.body)


class Station(Generic[A]):
    """Makes providers of one account. What they deliver is in `inbox`."""

    def __init__(
        self,
        cls: type[MetaProvider],
        graph: GraphStandIn,
        account: A,
        own_settings: Callable[[A], dict[str, Any]],
        callback: Callback,
        tls: ssl.SSLContext,
        folder: Path,
    ) -> None:
        self.graph = graph
        self.account = account
        self.inbox = Inbox()
        self._cls = cls
        self._own_settings = own_settings
        self._callback = callback
        self._tls = tls
        self._folder = folder
        self._made: list[Provider] = []
        account.callback = callback.url

    def settings(self, **changes: object) -> Settings:
        common = {"webhook_verify_token": SecretStr(self.account.verify_token), "base_url": self.graph.url}
        secret = {"app_secret": SecretStr(self.account.app_secret)}
        return self._cls.settings_type.model_validate({**common, **secret, **self._own_settings(self.account), **changes})

    def make(self, cls: type[MetaProvider] | None = None, *, timing: Timing = QUICK, **settings: object) -> Any:
        create: Any = cls or self._cls
        provider = create(self.settings(**settings), ProviderContext("inst-1", self._tls, self._folder), timing=timing)
        self._made.append(provider)
        self._callback.provider = provider
        return provider

    async def start(self, **settings: Any) -> Any:
        provider = self.make(**settings)
        await provider.start(self.inbox.deliver)
        return provider

    async def ready(self, **settings: Any) -> Any:
        provider = await self.start(**settings)
        await self.inbox.state(InstanceState.READY)
        return provider

    def request(self, delivery: Any, **changes: Any) -> WebhookRequest:
        """A delivery as Meta would make it."""
        body, headers = self.account.signed(delivery)
        call: dict[str, Any] = {"method": "POST", "headers": headers, "query": {}, "body": body}
        return WebhookRequest(**(call | changes))

    async def bring(self, provider: Provider, delivery: Any, **changes: Any) -> WebhookReply:
        return await provider.receive_webhook(self.request(delivery, **changes))

    def draft(self, chat_id: str, text: str = "", **fields: object) -> Draft:
        return Draft.model_validate({"client_id": "41", "chat_id": chat_id, "text": text, **fields})

    async def stop(self) -> None:
        for provider in self._made:
            await provider.stop()


@asynccontextmanager
async def station_of(
    cls: type[MetaProvider], graph: GraphStandIn, account: A, own_settings: Callable[[A], dict[str, Any]], tls: ssl.SSLContext, folder: Path
) -> AsyncGenerator[Station[A]]:
    async with Callback() as callback:
        station = Station(cls, graph, account, own_settings, callback, tls, folder)
        yield station
        await station.stop()


def pretty(delivery: Any) -> bytes:
    """The same JSON in other bytes."""
    return json.dumps(delivery, indent=1).encode()
