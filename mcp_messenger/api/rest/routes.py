"""REST: a route of every row of the table, with its signature made from the row's input."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from mcp_messenger.api.authentication import authenticate
from mcp_messenger.api.instance_address import ADDRESS_HINT, address_of, path_asked
from mcp_messenger.api.problem import problem_response
from mcp_messenger.api.rate_limits import admitted
from mcp_messenger.errors import InternalError, InvalidInput, NoSuchMethod, NoSuchRoute, ReadOnly, quoted
from mcp_messenger.operations.application import App
from mcp_messenger.operations.operation import Effect, Input, Operation, Output, Transport
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.validation import validated
from mcp_messenger.security.caller import Caller
from mcp_messenger.validation import said
from providers.errors import MessengerError

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
CallerOf = Callable[[Request], Awaitable[Caller]]


class Problem(BaseModel):
    """RFC 9457. `code` is what an MCP tool error begins with."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str | None = None
    retry_after: float | None = None


_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be carried out", "content": _PROBLEM_CONTENT},
    "5XX": {"description": "Something else is not as it should be", "content": _PROBLEM_CONTENT},
}


OWN_ROUTES = frozenset({"get_logs", "export_instance", "export_chat", "export_contact", "export_person", "export_user", "import_data"})
"""Rows whose body or answer over HTTP is not one JSON object: see streams.py and transfers.py."""

PICTURE = "image/png"
IDEMPOTENCY_KEY = "idempotency_key"
IDEMPOTENCY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same as idempotency_key in the body: same key, same send",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
Answer = Callable[[Request, Caller, Any], Awaitable[Response]]
Handle = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Routes:
    """Makes routes of rows."""

    router: APIRouter

    def add_all(self) -> None:
        """Make the routes of the table, but for those whose answer is not one JSON object."""
        for row in OPERATIONS:
            if Transport.REST in row.transports and row.name not in OWN_ROUTES:
                self.add(row)

    def add(
        self,
        row: Operation,
        path: str | None = None,
        *,
        name: str | None = None,
        answer: Answer | None = None,
        as_picture: bool = False,
        media: Sequence[str] = (),
    ) -> None:
        """`path` and `name` where they are not the row's own; `answer` where the output as JSON is not the answer; `as_picture` where
        nobody needs to ask for the picture; `media` are the types of the answer, where it is not JSON alone.
        """
        path, answer = path or row.path, answer or _answer_of(row, as_picture=as_picture)
        types = media or (("application/json", PICTURE) if row.output.pictures is not Output.pictures else ())
        content: dict[str, Any] = {type: {} for type in types if type != "application/json"}
        has_model = row.status != HTTPStatus.NO_CONTENT and (not types or "application/json" in types)
        self.router.add_api_route(
            path,
            self._endpoint(row, path, answer),
            methods=[row.method],
            name=name or row.name,
            operation_id=name or row.name,
            summary=row.summary,
            description=f"A key needs the scope `{row.scope}`.",
            tags=[row.toolset],
            status_code=row.status,
            response_model=row.output if has_model else None,
            response_class=JSONResponse if has_model else Response,
            responses={**PROBLEMS, **({row.status: {"content": content}} if content else {})},
            openapi_extra={"parameters": [IDEMPOTENCY_HEADER]} if IDEMPOTENCY_KEY in row.input.model_fields else None,
            route_class_override=_admitting(_admit(row), None if row.method in WITH_BODY else self._without_body(row, path, answer)),
        )

    def _without_body(self, row: Operation, path: str, answer: Answer) -> Handle:
        """For what is all in the path and the query: FastAPI would read it twice as slowly, and its endpoint is for the document alone then."""
        fixed = {name for name in row.input.model_fields if f"{{{name}}}" in path}

        async def handle(request: Request) -> Response:
            query = dict(request.query_params)
            twice = fixed & query.keys()
            if twice:
                raise InvalidInput(f"{quoted(', '.join(sorted(twice)))}: the path says it already.", hint="/docs shows what this call takes.")
            return await answer(request, request.state.caller, validated(row, {**query, **request.path_params}))

        return handle

    def _endpoint(self, row: Operation, path: str, answer: Answer) -> Callable[..., Awaitable[Response]]:
        """A function that FastAPI can read."""
        in_path = {name for name in row.input.model_fields if f"{{{name}}}" in path}
        rest = _without(row.input, in_path, row.name)

        async def run(request: Request, **arguments: Any) -> Response:
            if request.query_params:
                names = quoted(", ".join(request.query_params))
                raise InvalidInput(f"{names}: this call takes nothing in the query.", hint="/docs shows what it takes.")
            body: BaseModel | None = arguments.pop("arguments", None)
            values = {**arguments, **(body.model_dump(exclude_unset=True) if body is not None else {}), **_idempotency_key(request, row, body)}
            return await answer(request, request.state.caller, validated(row, values))

        parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
        parameters += [_path_parameter(name, info) for name, info in row.input.model_fields.items() if name in in_path]
        if rest is not None:
            parameters.append(_rest_parameter(rest, row.method in WITH_BODY))
        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] - FastAPI reads it
        run.__name__ = row.name
        return run


def _idempotency_key(request: Request, row: Operation, body: BaseModel | None) -> dict[str, str]:
    """Return the key that the header of that name gives, for an operation that takes one.

    Raises InvalidInput for an empty header, and where another one or the body says another key.
    """
    headers = set(request.headers.getlist("idempotency-key"))
    if not headers or IDEMPOTENCY_KEY not in row.input.model_fields:
        return {}
    if "" in headers:
        raise InvalidInput("The header Idempotency-Key is empty.", hint="Give a key, or leave the header out.")
    named: str | None = getattr(body, IDEMPOTENCY_KEY, None)
    if len(headers) > 1 or not headers >= {named or min(headers)}:
        raise InvalidInput("The header Idempotency-Key and idempotency_key in the body are two different keys.", hint="Give one of them.")
    return {IDEMPOTENCY_KEY: min(headers)}


def answers_for(api: FastAPI, app: App) -> None:
    """Have the routes of `api` carry calls out with `app`. The routes themselves belong to no application."""
    api.state.messengers = app


def app_of(request: Request) -> App:
    """Return the application that carries a request out."""
    return request.app.state.messengers


async def caller_of(request: Request) -> Caller:
    """Return who calls. Raises Unauthenticated and whatever else keeps a caller out."""
    return await authenticate(app_of(request), request.scope)


def _admit(row: Operation) -> CallerOf:
    async def admit(request: Request) -> Caller:
        app = app_of(request)
        if app.config.read_only and row.effect is not Effect.READ:
            raise ReadOnly
        caller = await admitted(app, request.scope, lambda: caller_of(request))
        await row.require_scope(app, caller)
        return caller

    return admit


def _admitting(admit: CallerOf, handle: Handle | None) -> type[APIRoute]:
    """A route that knows its caller before it reads the body: a stranger's is not even parsed. `handle` in the place of FastAPI's endpoint."""

    class Admitting(APIRoute):
        def get_route_handler(self) -> Handle:
            then = handle or super().get_route_handler()

            async def admitted(request: Request) -> Response:
                request.state.caller = await admit(request)
                return await then(request)

            return admitted

    return Admitting


def _answer_of(row: Operation, *, as_picture: bool) -> Answer:
    async def answer(request: Request, caller: Caller, args: Any) -> Response:
        output: Output = await row.carry_out(app_of(request), caller, args, transport=Transport.REST)
        return respond(output, row.status, picture=as_picture or PICTURE in accepted(request))

    return answer


def _path_parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    annotation = Annotated[(info.annotation, *info.metadata, Path(description=info.description))]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _rest_parameter(rest: type[Input], with_body: bool) -> inspect.Parameter:
    if not with_body:
        return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[rest, Query()])
    required = any(field.is_required() for field in rest.model_fields.values())
    if required:
        return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[rest, Body()])
    return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[rest | None, Body()])


def _without(shape: type[Input], taken: set[str], name: str) -> type[Input] | None:
    """Return the part of an input that is not in the path; itself, where that is all of it."""
    if not taken:
        return shape if shape.model_fields else None
    fields: dict[str, Any] = {field: (info.annotation, info) for field, info in shape.model_fields.items() if field not in taken}
    if not fields:
        return None
    part = create_model(f"{name}_arguments", __base__=Input, **fields)
    part.takes_empty = shape.takes_empty
    return part


def accepted(request: Request) -> set[str]:
    """The media types that the Accept header names."""
    return {part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")}


def respond(output: Output, status: int = 200, *, picture: bool = False) -> Response:
    if status == HTTPStatus.NO_CONTENT:
        return Response(status_code=status)
    pictures = output.pictures() if picture else ()
    if pictures:
        content, media_type = pictures[0]
        return Response(content, status, media_type=media_type)
    return Response(output.model_dump_json(by_alias=True), status, media_type="application/json")


def add_problems(api: FastAPI) -> None:
    """Answer every error as a problem: ours, FastAPI's and Starlette's, and those that nobody foresaw."""

    @api.exception_handler(MessengerError)
    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, MessengerError)
        return _problem(error)

    @api.exception_handler(RequestValidationError)
    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _problem(_misfit(request, error))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = {404: NoSuchRoute, 405: NoSuchMethod}.get(error.status_code, InvalidInput)
        at_address = address_of(request.scope) is not None
        hint = ADDRESS_HINT if at_address else "/docs lists the calls."
        refused = kind(f"{request.method} {quoted(path_asked(request.scope))}: {error.detail}.", hint=hint)
        answer = _problem(refused, status=error.status_code)
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(_methods(api, request))
        return answer

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        """The server logs it after that."""
        return _problem(InternalError())


def _methods(api: FastAPI, request: Request) -> list[str]:
    """Return the methods of all routes of a path: each route knows only its own."""
    found = (route for route in api.router.routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in found for method in route.methods or ()})


def _misfit(request: Request, error: RequestValidationError) -> InvalidInput:
    """What does not fit, by its field; never its value, which may be a secret."""
    hint = "/docs shows what this call takes."
    parts: list[str] = []
    for one in error.errors():
        where, *inside = one["loc"]
        if one["type"] == "json_invalid":
            parts.append(f"The body is not JSON: {one['ctx']['error']} at character {inside[0]}")
        elif not inside and "json" not in request.headers.get("content-type", ""):
            parts.append(f"{where}: it was not sent as JSON")
            hint = "Send JSON with the header 'Content-Type: application/json'."
        else:
            parts.append(f"{'.'.join(map(str, inside)) or where}: {said(one['msg'])}")
    return InvalidInput("; ".join(parts) + ".", hint=hint)


def _problem(error: MessengerError, *, status: int | None = None) -> Response:
    answer = problem_response(error, status=status)
    return Response(answer.body, answer.status, dict(answer.headers))
