"""The relay's HTTP interface: events by cursor, the provider's life, and the methods of the provider port."""

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast
from uuid import UUID

import anyio
import uvicorn
from anyio import to_thread
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_messenger.errors import Conflict, InternalError, InvalidInput, NotAuthenticated, NotReady, PayloadTooLarge
from mcp_messenger.relay import protocol
from mcp_messenger.relay.port import RELAYED, codec_of, method_of, serialize_error, states_for
from mcp_messenger.relay.protocol import Attached, Health, Pull, Pulled
from mcp_messenger.relay.runner import Runner
from mcp_messenger.relay.sends import Sends
from mcp_messenger.relay.spool import Spool
from mcp_messenger.relay.versions import event_for, is_read_by, slim
from mcp_messenger.validation import describe, validated_settings
from mcp_messenger.version import __version__
from providers.base import Provider
from providers.errors import MessengerError
from providers.kit.json_size import oversize
from providers.models import Draft

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks whether the server is ending while a manager waits for events."""
LARGEST_BODY = 150 * 1024 * 1024
"""Bytes: a draft with its file in base64."""
STATUS = {"unauthenticated": 401, "conflict": 409, "payload_too_large": 413, "invalid_input": 422, "internal_error": 500}
OTHER_STATUS = 502
"""Of what the provider raised. A manager reads the error in the body, and not the status."""

Handler = Callable[[Request], Awaitable[BaseModel | Any]]


class RelayHttp:
    """Serves one manager at a time: the one that brought the settings last. Only that one may stop the provider or throw its login away."""

    def __init__(self, cls: type[Provider], instance_id: UUID, key_digest: bytes, spool: Spool, runner: Runner, sends: Sends) -> None:
        """`key_digest` is the SHA-256 of the relay's key. A key is long and random, so its plain hash reveals nothing."""
        self._cls = cls
        self._instance_id = instance_id
        self._key_digest = key_digest
        self._spool = spool
        self._runner = runner
        self._sends = sends
        self._attached: str | None = None
        self._types: frozenset[str] | None = None
        """Of the events that the attached manager reads; None for one of the first version."""
        self._server: uvicorn.Server | None = None

    def served_by(self, server: uvicorn.Server) -> None:
        """End the open requests for events early when this server stops."""
        self._server = server

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(protocol.HEALTH, self._health, methods=["GET"]),
                self._route("GET", protocol.EVENTS, self._events),
                self._route("PUT", protocol.SETTINGS, self._configure),
                self._route("POST", protocol.STOP, self._stop),
                self._route("POST", protocol.FORGET, self._forget),
                self._route("POST", protocol.SEND, self._send),
                self._route("POST", protocol.METHOD, self._method),
            ]
        )

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def handle(request: Request) -> Response:
            try:
                self._require_key(request)
                answer = await handler(request)
            except MessengerError as error:
                return _failed(error)
            except Exception:  # the transport: the caller learns that something broke, and the log what
                log.exception("a call of the manager broke")
                return _failed(InternalError())
            if isinstance(answer, BaseModel):
                return Response(answer.model_dump_json(), media_type="application/json")
            return JSONResponse(answer if handler == self._events else {"result": answer})

        return Route(path, handle, methods=[method])

    def _require_key(self, request: Request) -> None:
        """Compare in constant time. Raises NotAuthenticated."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode()).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, self._key_digest):
            raise NotAuthenticated(hint="Send the relay's key, which its manager alone knows.")

    async def _health(self, request: Request) -> Response:
        state = self._runner.state
        health = Health(status="healthy", state=state.state, reason=state.reason if self._spool.file.trouble else None, version=__version__)
        return Response(health.model_dump_json(), media_type="application/json")

    async def _events(self, request: Request) -> dict[str, Any]:
        try:
            pull = Pull.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise InvalidInput(describe(error), hint=f"It takes: {', '.join(Pull.model_fields)}.") from None
        self._require_not_replaced(pull.manager)
        self._runner.heard()
        pulled = await self._page(request, pull)
        self._require_not_replaced(pull.manager)
        return self._shown(pulled)

    def _shown(self, pulled: Pulled) -> dict[str, Any]:
        """Return the events that the attached manager can read. It confirms the others with the next one that it reads."""
        shown = [{"seq": one.seq, "event": event_for(one.event, self._types)} for one in pulled.events if is_read_by(one.event, self._types)]
        if len(shown) < len(pulled.events):
            log.warning("%d events are of types that the manager does not know: they are not passed on", len(pulled.events) - len(shown))
        return {**pulled.model_dump(mode="json", exclude={"events", "state"}), "events": shown, "state": slim(pulled.state)}

    def _require_not_replaced(self, manager: str | None) -> None:
        if manager is not None and self._attached not in {None, manager}:
            raise Conflict("Another manager has taken this relay over.", hint="Bring the settings again to take it back.")

    async def _page(self, request: Request, pull: Pull) -> Pulled:
        runner, after = self._runner, pull.after
        deadline = anyio.current_time() + pull.wait
        first = runner.spooled_state
        while True:
            growth = self._spool.growth()
            # Read before the events: the state must not be ahead of them.
            state = runner.spooled_state
            page = await self._spool.page(after=after, spool=pull.spool, limit=pull.limit)
            after = None
            if page.events and not any(is_read_by(one.event, self._types) for one in page.events):
                # Confirmed for the manager, which would never learn of their numbers.
                log.warning("%d events are of types that the manager does not know: they are dropped", len(page.events))
                after = page.events[-1].seq
                continue
            left = deadline - anyio.current_time()
            if page.events or state != first or left <= 0 or self._is_ending() or await request.is_disconnected():
                attached = pull.manager is None or pull.manager == self._attached
                return Pulled(spool=page.spool, events=page.events, state=state, lost=page.lost, attached=attached)
            with anyio.move_on_after(min(left, LOOK_EVERY)):
                await growth.wait()

    def _is_ending(self) -> bool:
        return self._server is not None and self._server.should_exit

    async def _configure(self, request: Request) -> Attached:
        values = await _json_object(request)
        settings = validated_settings(self._cls.settings_type, self._cls.name, values)
        self._attached = request.query_params.get("manager")
        types = request.query_params.get("events")
        self._types = None if types is None else frozenset(types.split(","))
        await self._runner.configure(settings, request.query_params.get("public_url"))
        return await self._present()

    async def _stop(self, request: Request) -> Attached:
        if self._is_attached(request):
            await self._runner.stop()
        return await self._present()

    async def _forget(self, request: Request) -> Attached:
        if self._is_attached(request):
            await self._runner.forget()
        return await self._present()

    def _is_attached(self, request: Request) -> bool:
        manager = request.query_params.get("manager")
        return manager is None or self._attached in {None, manager}

    async def _present(self) -> Attached:
        return Attached(spool=await self._spool.identity(), state=self._runner.state)

    async def _send(self, request: Request) -> Any:
        try:
            draft = Draft.model_validate_json(await _json_body(request))
        except ValidationError as error:
            raise InvalidInput(describe(error), hint="The body is a draft.") from None
        sent = await self._sends.send(draft, spool=request.query_params.get("spool"))
        return slim(sent)

    async def _method(self, request: Request) -> Any:
        method = request.path_params["method"]
        if method not in RELAYED:
            raise InvalidInput("The provider port has no such method.", hint=f"Methods: {', '.join(sorted(RELAYED))}.")
        codec = codec_of(method)
        try:
            arguments = dict(codec.arguments.model_validate_json(await _json_body(request) or b"{}"))
        except ValidationError as error:
            raise InvalidInput(describe(error), hint=f"{method} takes: {', '.join(codec.arguments.model_fields)}.") from None
        now = self._runner.state
        if now.state not in states_for(method):
            raise NotReady(str(self._instance_id), now.state, reason=now.reason)
        answer = await method_of(self._runner.provider(), method)(**arguments)
        return codec.answer.dump_python(answer, mode="json", exclude_defaults=True)


async def _body(request: Request) -> bytes:
    """Raises PayloadTooLarge before a body fills the container's memory."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise PayloadTooLarge(LARGEST_BODY, what="The body")
    return bytes(content)


async def _json_body(request: Request) -> bytes:
    """Raise InvalidInput for JSON that would take too long to parse."""
    content = await _body(request)
    fault = await to_thread.run_sync(oversize, content)
    if fault is not None:
        raise InvalidInput(f"The body {fault}.", hint="Send less in one request.")
    return content


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        found: object = json.loads(await _json_body(request))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("The body is no JSON object.", hint="Send the messenger's settings by name.")
    return cast("dict[str, Any]", found)


def _failed(error: MessengerError) -> Response:
    # The server closes a connection whose request was not read to its end; the header keeps a client from using it again.
    headers = {"connection": "close"} if isinstance(error, NotAuthenticated | PayloadTooLarge) else None
    return JSONResponse({"error": serialize_error(error)}, STATUS.get(error.code, OTHER_STATUS), headers)
