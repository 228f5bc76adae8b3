"""What its manager asks of the program: events by cursor, the provider's life, and the port's methods. Opened by the API key alone."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_messenger.api.authentication import bearer_token
from mcp_messenger.api.mcp.http import headers_of
from mcp_messenger.api.problem import STATUS
from mcp_messenger.errors import Conflict, InternalError, InvalidInput, NotAuthenticated, NotReady
from mcp_messenger.operations.validation import describe
from mcp_messenger.relay import own, protocol
from mcp_messenger.relay.database import SpoolUnavailable
from mcp_messenger.relay.port import METHODS, codec_of, serialize_error
from mcp_messenger.relay.program import Program
from mcp_messenger.relay.protocol import Attached, Pulled
from mcp_messenger.security import credentials
from providers.base import Provider
from providers.errors import MessengerError
from providers.models import Draft
from providers.states import LOGGING_IN, WORKING

log = logging.getLogger(__name__)

MORE_METHODS: dict[str, Callable[[Provider], Callable[..., Awaitable[Any]]]] = {
    "list_chats": lambda provider: provider.list_chats,
    "list_contacts": lambda provider: provider.list_contacts,
    "logout": lambda provider: provider.logout,
    "receive_webhook": lambda provider: provider.receive_webhook,
}
"""Of the port besides METHODS."""
ALL_METHODS = METHODS | MORE_METHODS
LOOK_EVERY = 1.0
"""Seconds between two looks whether the server is ending while somebody waits for events."""

Handler = Callable[[Request], Awaitable[BaseModel | Any]]


class Pull(BaseModel):
    """`after` confirms everything up to it, if it is of the spool that `spool` names, or that name is left out."""

    model_config = ConfigDict(extra="forbid")

    after: int | None = Field(default=None, ge=0, lt=2**63)
    spool: str | None = Field(default=None, max_length=64)
    manager: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=protocol.MOST_EVENTS)
    wait: float = Field(default=0, ge=0, le=protocol.LONGEST_WAIT)


class Manager:
    """One manager is attached at a time: whoever brought the settings last. What another one asks about the provider's life is not done."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._attached: str | None = None
        self._server: uvicorn.Server | None = None

    def served_by(self, server: uvicorn.Server) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        return [
            self._route("GET", protocol.EVENTS, self._events),
            self._route("GET", f"/api/v1{protocol.EVENTS}", self._events),
            self._route("PUT", protocol.SETTINGS, self._settings),
            self._route("POST", protocol.STOP, self._stop),
            self._route("POST", protocol.FORGET, self._forget),
            self._route("POST", protocol.SEND, self._send),
            self._route("POST", protocol.METHOD, self._method),
        ]

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def handle(request: Request) -> Response:
            try:
                self._admit(request)
                answer = await handler(request)
            except MessengerError as error:
                return _failed(error)
            except Exception:
                log.exception("a call of the manager broke")
                return _failed(InternalError())
            if isinstance(answer, BaseModel):
                return Response(answer.model_dump_json(), media_type="application/json")
            return JSONResponse({"result": answer})

        return Route(path, handle, methods=[method])

    def _admit(self, request: Request) -> None:
        given = bearer_token(headers_of(request.scope))
        if given is None or not self._program.key.opens(given):
            raise NotAuthenticated

    async def _events(self, request: Request) -> Pulled:
        try:
            pull = Pull.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise InvalidInput(describe(error), hint=f"It takes: {', '.join(Pull.model_fields)}.") from None
        self._require_not_replaced(pull.manager)
        await self._program.spool.expect_reader()
        pulled = await self._page(request, pull)
        self._require_not_replaced(pull.manager)
        return pulled

    def _require_not_replaced(self, manager: str | None) -> None:
        if manager is not None and self._attached not in {None, manager}:
            raise Conflict("Another manager has taken this program over.", hint="Bring the settings again to take it back.")

    async def _page(self, request: Request, pull: Pull) -> Pulled:
        program, after = self._program, pull.after
        deadline = anyio.current_time() + pull.wait
        first = program.runner.state
        while True:
            growth = program.spool.growth()
            # Before the events: it is never ahead of those that the same answer holds.
            state = program.runner.state
            page = await program.spool.page(after=after, spool=pull.spool, limit=pull.limit)
            after = None
            left = deadline - anyio.current_time()
            if page.events or state != first or left <= 0 or self._is_ending() or await request.is_disconnected():
                attached = pull.manager is None or pull.manager == self._attached
                return Pulled(spool=page.spool, events=page.events, state=state, lost=page.lost, attached=attached)
            with anyio.move_on_after(min(left, LOOK_EVERY)):
                await growth.wait()

    def _is_ending(self) -> bool:
        return self._server is not None and self._server.should_exit

    async def _settings(self, request: Request) -> Attached:
        values = await _json_object(request)
        cls = self._program.cls
        settings = credentials.validated(cls.settings_type, cls.name, values)
        self._attached = request.query_params.get("manager")
        await self._program.runner.configure(settings, request.query_params.get("public_url"))
        return await self._standing()

    async def _stop(self, request: Request) -> Attached:
        if self._is_attached(request):
            await self._program.runner.stop()
        return await self._standing()

    async def _forget(self, request: Request) -> Attached:
        if self._is_attached(request):
            await self._program.runner.forget()
        return await self._standing()

    def _is_attached(self, request: Request) -> bool:
        """A manager that another one has replaced does not end what the other one has begun."""
        manager = request.query_params.get("manager")
        return manager is None or self._attached in {None, manager}

    async def _standing(self) -> Attached:
        return Attached(spool=await self._program.spool.identity(), state=self._program.runner.present)

    async def _send(self, request: Request) -> Any:
        spool = request.query_params.get("spool")
        try:
            draft = Draft.model_validate_json(await request.body())
        except ValidationError as error:
            raise InvalidInput(describe(error), hint="The body is a draft.") from None
        sent = await self._program.sends.send(draft, spool=spool)
        try:
            await own.remember(self._program.file, draft, sent)
        except SpoolUnavailable as error:
            log.warning("a message that was sent is not remembered: %s", error.detail)
        return sent.model_dump(mode="json")

    async def _method(self, request: Request) -> Any:
        method = request.path_params["method"]
        if method not in ALL_METHODS:
            raise InvalidInput("There is no such method of the port.", hint=f"Methods: {', '.join(sorted(ALL_METHODS))}.")
        codec = codec_of(method)
        try:
            arguments = dict(codec.arguments.model_validate_json(await request.body() or b"{}"))
        except ValidationError as error:
            raise InvalidInput(describe(error), hint=f"{method} takes: {', '.join(codec.arguments.model_fields)}.") from None
        answer = await ALL_METHODS[method](self._provider(method))(**arguments)
        return codec.answer.dump_python(answer, mode="json")

    def _provider(self, method: str) -> Provider:
        state = self._program.runner.present.state
        fitting = WORKING | LOGGING_IN if method in {"request_pairing_code", "logout"} else WORKING
        if state not in fitting and method != "receive_webhook":
            raise NotReady(str(self._program.instance_id), state)
        return self._program.runner.provider()


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        found: object = await request.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("The body is no JSON object.", hint="Send the messenger's settings by name.")
    return cast("dict[str, Any]", found)


def _failed(error: MessengerError) -> Response:
    return JSONResponse({"error": serialize_error(error)}, STATUS[error.code], headers={"cache-control": "no-store"})
