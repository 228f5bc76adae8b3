"""Change notifications of resources, in both eras of the protocol: from the event log to whoever asked."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import anyio
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from db import instances, messages
from db.errors import StoreUnavailable
from db.events import EventRow
from mcp_messenger.api.mcp.resources import ROOT
from mcp_messenger.api.mcp.server import Authenticate, MessengerServer, error_text
from mcp_messenger.config.quotas import Quota
from mcp_messenger.delivery.feed import Listener
from mcp_messenger.errors import MissingScope, QuotaExceeded
from mcp_messenger.operations.application import App
from mcp_messenger.policy.waking import WORDS, Incoming, held_back
from mcp_messenger.security.caller import Caller, Scope, instance_of
from providers.errors import MessengerError

BUFFER = 1000
MAX_STREAMS = 1000
"""Of all clients; of one caller a tenth."""
ADDRESS_MAX = 2048
"""Bytes of a resource's address, as browsers take them."""
ADDRESSES_MAX, ALL_ADDRESSES_MAX = 200, 20_000
"""Resources that one client, and all of them, may subscribe to."""

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True)
class Change:
    """A resource that changed, by these events."""

    instance_id: UUID
    address: str
    rows: tuple[EventRow, ...]


class Changes(Listener):
    """Says which resources changed: in the newer era on the streams of `subscriptions/listen`, in the older one address by address."""

    def __init__(self, app: App, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate
        self._streams: dict[InMemorySubscriptionBus, Caller] = {}
        self._handlers: set[ListenHandler] = set()
        self._subscribers: defaultdict[str, dict[Connection, Caller]] = defaultdict(dict)
        self._subscribed: dict[Connection, set[str]] = {}
        self._send, self._receive = anyio.create_memory_object_stream[Change](BUFFER)

    def serve(self, server: MessengerServer) -> None:
        """Let the server's clients subscribe, in the way of either era."""
        server.low.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)
        server.low.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    def instance_changed(self, instance_id: UUID, rows: list[EventRow]) -> None:
        changed: defaultdict[str, list[EventRow]] = defaultdict(list)
        for row in rows:
            for address in addresses(row):
                changed[address].append(row)
        for address, of_address in changed.items():
            try:
                self._send.send_nowait(Change(instance_id, address, tuple(of_address)))
            except anyio.WouldBlock:
                # A notification is a hint; a client that missed one reads the same state at its next look.
                return

    async def run(self) -> None:
        async for change in self._receive:
            address = change.address
            if (not self._streams and address not in self._subscribers) or await self._is_silent(change):
                continue
            sees = await self._who_sees(change.instance_id) if address == ROOT else _everyone
            for stream, caller in list(self._streams.items()):
                if sees(caller):
                    await stream.publish(ResourceUpdated(uri=address))
            for connection, caller in list(self._subscribers.get(address, {}).items()):
                if sees(caller):
                    await self._push(connection, address)

    async def _is_silent(self, change: "Change") -> bool:
        """Return whether all that is new are others' words that the policy lets wake no agent."""
        if not change.rows or any(row.type not in WORDS for row in change.rows):
            return False
        database = self._app.database
        try:
            if not await held_back(database, [Incoming(row.instance_id, row.chat_id or "") for row in change.rows]):
                return False
            found = {one.id: one for one in await messages.by_ids(database, [row.message_id or 0 for row in change.rows])}
            words = [
                Incoming(one.instance_id, one.chat_id, bool(one.content.get("mentions_me")))
                for row in change.rows
                if (one := found.get(row.message_id or 0)) is not None and (row.type == "reaction" or not one.outgoing)
            ]
            return bool(words) and len(await held_back(database, words)) == len(set(words))
        except StoreUnavailable:
            return True

    async def _push(self, connection: Connection, address: str) -> None:
        with anyio.move_on_after(self._app.config.timing.push) as patience:
            await connection.send_resource_updated(address)
        if patience.cancelled_caught:
            # Whoever has stopped reading must not keep the others waiting.
            self._forget(address, connection)

    async def _who_sees(self, instance_id: UUID) -> Callable[[Caller], bool]:
        """The list of instances is everybody's address, and another one for each."""
        try:
            row = await instances.get(self._app.database, instance_id)
        except StoreUnavailable:
            row = None
        return _everyone if row is None else lambda caller: caller.sees(row)

    async def _listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        caller = await self._admitted(context, params.notifications.resource_subscriptions or [])
        own = sum(one == caller for one in self._streams.values())
        if len(self._streams) >= MAX_STREAMS or own >= MAX_STREAMS // 10:
            raise MCPError(code=INTERNAL_ERROR, message="Too many clients listen already. End another stream first.")
        stream = InMemorySubscriptionBus()
        handler = ListenHandler(stream)
        count = max(1, len(params.notifications.resource_subscriptions or ()))
        await self._take(caller, count)
        self._streams[stream] = caller
        self._handlers.add(handler)
        try:
            return await handler(context, params)
        finally:
            self._app.quotas.give(caller, Quota.SUBSCRIPTIONS, count)
            del self._streams[stream]
            self._handlers.discard(handler)

    async def _take(self, caller: Caller, count: int) -> None:
        try:
            await self._app.quotas.take(caller, Quota.SUBSCRIPTIONS, count)
        except QuotaExceeded as error:
            raise MCPError(code=INVALID_PARAMS, message=error_text(error)) from error

    def end(self) -> None:
        """End the clients' streams, so that they can listen elsewhere."""
        for handler in list(self._handlers):
            handler.close()

    async def _subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        caller = await self._admitted(context, [params.uri])
        connection = _connection(context)
        if connection in self._subscribers.get(params.uri, ()):
            return EmptyResult()
        if connection not in self._subscribed:
            self._subscribed[connection] = set()
            connection.exit_stack.callback(self._forget_all, connection)
        if len(self._subscribed[connection]) >= ADDRESSES_MAX or sum(map(len, self._subscribed.values())) >= ALL_ADDRESSES_MAX:
            raise _too_many()
        await self._take(caller, 1)
        if connection in self._subscribers.get(params.uri, ()):
            # Another of the client's calls was first.
            self._app.quotas.give(caller, Quota.SUBSCRIPTIONS)
            return EmptyResult()
        self._subscribers[params.uri][connection] = caller
        self._subscribed[connection].add(params.uri)
        return EmptyResult()

    async def _unsubscribe(self, context: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        self._forget(params.uri, _connection(context))
        return EmptyResult()

    def _forget_all(self, connection: Connection) -> None:
        for address in list(self._subscribed.get(connection, ())):
            self._forget(address, connection)
        self._subscribed.pop(connection, None)

    def _forget(self, address: str, connection: Connection) -> None:
        of_address = self._subscribers.get(address, {})
        caller = of_address.pop(connection, None)
        if caller is not None:
            self._app.quotas.give(caller, Quota.SUBSCRIPTIONS)
        self._subscribed.get(connection, set[str]()).discard(address)
        if not of_address:
            self._subscribers.pop(address, None)

    async def _admitted(self, context: Context, wanted: list[str]) -> Caller:
        """Return the caller, if all the addresses are theirs to hear of."""
        if len(wanted) > ADDRESSES_MAX:
            raise _too_many()
        if any(len(address.encode(errors="replace")) > ADDRESS_MAX for address in wanted):
            raise MCPError(code=INVALID_PARAMS, message=f"invalid_input: An address has at most {ADDRESS_MAX} bytes.")
        caller = await self._authenticate(context)
        if not caller.may(Scope.READ):
            raise MCPError(code=INVALID_PARAMS, message=error_text(MissingScope(Scope.READ, caller.scopes or ())))
        for address in wanted:
            instance_id = address.removeprefix(ROOT).strip("/").partition("/")[0]
            try:
                if instance_id:
                    await instance_of(self._app.database, caller, instance_id)
            except MessengerError as error:
                raise MCPError(code=INVALID_PARAMS, message=error_text(error), data={"uri": address}) from error
        return caller


def _too_many() -> MCPError:
    words = f"At most {ADDRESSES_MAX} resources are subscribed to at a time. Unsubscribe from others first, or use wait_for_messages."
    return MCPError(code=INVALID_PARAMS, message=f"too_many: {words}")


def _everyone(caller: Caller) -> bool:
    return True


def _connection(context: Context) -> Connection:
    return context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the SDK offers no public way to push to it later


def addresses(row: EventRow) -> list[str]:
    """The resources that an event changes."""
    own = f"{ROOT}/{row.instance_id}"
    if row.type == "state":
        return [ROOT, own, f"{own}/status", f"{own}/qr", f"{own}/login"]
    changed = [f"{own}/chats"]
    if row.chat_id is not None:
        # Clients spell an id with an @ either way.
        changed += [f"{own}/chats/{chat}/messages" for chat in dict.fromkeys((quote(row.chat_id, safe=""), row.chat_id))]
    return changed
