"""Change notifications of resources, in both eras of the protocol: from the event log to whoever asked."""

import functools
from collections import defaultdict
from typing import Any
from urllib.parse import quote
from uuid import UUID

import anyio
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, SubscriptionsListenRequestParams, UnsubscribeRequestParams

from db.events import EventRow
from mcp_messenger.app import App
from mcp_messenger.caller import instance_of
from mcp_messenger.delivery.feed import Listener
from mcp_messenger.faces.mcp import Authenticate, MessengerServer, error_text
from providers.errors import MessengerError

ROOT = "messenger://instances"
BUFFER = 1000


class Changes(Listener):
    """Publishes which resources changed. The bus serves `subscriptions/listen`; older clients subscribe to one address each."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.bus = InMemorySubscriptionBus()
        self._subscribers: defaultdict[str, set[Connection]] = defaultdict(set)
        self._send, self._receive = anyio.create_memory_object_stream[str](BUFFER)

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        for address in dict.fromkeys(address for row in rows for address in addresses(row)):
            try:
                self._send.send_nowait(address)
            except anyio.WouldBlock:
                # A notification is a hint; a client that missed one reads the same state at its next look.
                return

    async def run(self) -> None:
        async for address in self._receive:
            if address == ROOT:
                await self.bus.publish(ResourcesListChanged())
            await self.bus.publish(ResourceUpdated(uri=address))
            for connection in list(self._subscribers.get(address, ())):
                await connection.send_resource_updated(address)

    def serve(self, server: MessengerServer, authenticate: Authenticate) -> None:
        """Let clients of the handshake era subscribe too: MCPServer itself serves only the newer way."""
        low = server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the SDK offers no public way
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, functools.partial(self._subscribe, authenticate))
        low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        options = NotificationOptions(resources_changed=True)
        made = functools.partial(type(low).create_initialization_options, low, options)
        low.create_initialization_options = made  # pyright: ignore[reportAttributeAccessIssue] - the only way to announce list changes

        async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
            await self._guard(authenticate, ctx)
            return await call_next(ctx)

        server.middleware.append(guard)

    async def _subscribe(self, authenticate: Authenticate, context: ServerRequestContext[Any], params: SubscribeRequestParams) -> EmptyResult:
        address = str(params.uri)
        await self._require_visible(authenticate, context, address)
        connection = context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as above
        self._subscribers[address].add(connection)
        connection.exit_stack.callback(self._forget, address, connection)
        return EmptyResult()

    async def _unsubscribe(self, context: ServerRequestContext[Any], params: UnsubscribeRequestParams) -> EmptyResult:
        self._forget(str(params.uri), context.session._connection)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as above
        return EmptyResult()

    def _forget(self, address: str, connection: Connection) -> None:
        self._subscribers[address].discard(connection)
        if not self._subscribers[address]:
            del self._subscribers[address]

    async def _guard(self, authenticate: Authenticate, context: ServerRequestContext[Any, Any]) -> None:
        """`subscriptions/listen` takes any address: whose it is must be asked here."""
        if context.method == "subscriptions/listen":
            asked = SubscriptionsListenRequestParams.model_validate(context.params or {})
            for address in asked.notifications.resource_subscriptions or []:
                await self._require_visible(authenticate, context, str(address))

    async def _require_visible(self, authenticate: Authenticate, context: Any, address: str) -> None:
        instance_id = address.removeprefix(ROOT).strip("/").partition("/")[0]
        try:
            caller = await authenticate(context)
            if instance_id:
                await instance_of(self._app.database, caller, instance_id)
        except MessengerError as error:
            raise MCPError(code=INVALID_PARAMS, message=error_text(error), data={"uri": address}) from error


def addresses(row: EventRow) -> list[str]:
    """The resources that an event changes."""
    own = f"{ROOT}/{row.instance_id}"
    if row.type == "state":
        return [ROOT, own, f"{own}/status", f"{own}/qr"]
    changed = [f"{own}/chats"]
    if row.chat_id is not None:
        changed.append(f"{own}/chats/{quote(row.chat_id, safe='')}/messages")
    return changed
