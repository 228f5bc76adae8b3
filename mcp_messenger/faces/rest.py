"""The REST face: a route of every row of the table, with its signature made from the row's input."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, create_model
from starlette.exceptions import HTTPException

from mcp_messenger.app import App
from mcp_messenger.authenticate import authenticate
from mcp_messenger.caller import Caller
from mcp_messenger.errors import InvalidInput, ReadOnly
from mcp_messenger.faces.mcp_http import headers_of
from mcp_messenger.faces.problem import problem_response
from mcp_messenger.operations.operation import Effect, Face, Input, Operation, Output
from mcp_messenger.operations.table import OPERATIONS
from mcp_messenger.operations.validation import validated
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


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be carried out", "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}},
    "5XX": {"description": "Something else is not as it should be", "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}},
}


def caller_of_request(app: App) -> CallerOf:
    async def caller_of(request: Request) -> Caller:
        return await authenticate(app, headers_of(request.scope))

    return caller_of


OWN_ROUTES = frozenset({"get_logs"})
"""Rows whose answer over HTTP is not one JSON object: see streams.py."""


def add_operations(router: APIRouter, app: App) -> None:
    """All rows, under /api/v1."""
    caller_of = caller_of_request(app)
    for row in OPERATIONS:
        if Face.REST in row.faces and row.name not in OWN_ROUTES:
            add_route(router, row.path, row, endpoint(app, row, caller_of))


def add_route(router: APIRouter, path: str, row: Operation, run: Callable[..., Awaitable[Response]], *, name: str | None = None) -> None:
    router.add_api_route(
        path,
        run,
        methods=[row.method],
        name=name or row.name,
        operation_id=name or row.name,
        summary=row.summary,
        tags=[row.toolset],
        status_code=row.status,
        response_model=row.output,
        responses=PROBLEMS,
    )


def endpoint(
    app: App,
    row: Operation,
    caller_of: CallerOf,
    *,
    path: str | None = None,
    instance_id: Callable[[], str] | None = None,
    takes: type[Input] | None = None,
    convert: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Callable[..., Awaitable[Response]]:
    """A function that FastAPI can read.

    `path` where it is not the row's own; `instance_id` where the server and not the request says it; `takes` and `convert` where the
    arguments are spelled in another way.
    """
    shape = takes or row.input
    given = {"instance_id"} if instance_id is not None else set[str]()
    in_path = {name for name in shape.model_fields if f"{{{name}}}" in (path or row.path)} - given
    rest = _without(shape, in_path | given, row.name)

    async def run(request: Request, **arguments: Any) -> Response:
        if app.config.read_only and row.effect is not Effect.READ:
            raise ReadOnly
        caller = await caller_of(request)
        body: BaseModel | None = arguments.pop("arguments", None)
        values = {**arguments, **(body.model_dump(exclude_unset=True) if body is not None else {})}
        if instance_id is not None:
            values["instance_id"] = instance_id()
        return respond(await row.run(app, caller, validated(row, convert(values) if convert else values)), row.status)

    parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[shape.model_fields[name].annotation, Path()])
        for name in shape.model_fields
        if name in in_path
    ]
    if rest is not None:
        parameters.append(_rest_parameter(rest, row.method in WITH_BODY))
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] - FastAPI reads it
    run.__name__ = row.name
    return run


def _rest_parameter(rest: type[Input], with_body: bool) -> inspect.Parameter:
    if not with_body:
        return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[rest, Query()])
    required = any(field.is_required() for field in rest.model_fields.values())
    if required:
        return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[rest, Body()])
    return inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[rest | None, Body()])


def _without(shape: type[Input], taken: set[str], name: str) -> type[Input] | None:
    """The part of an input that is neither in the path nor fixed; itself, where that is all of it."""
    if not taken:
        return shape if shape.model_fields else None
    fields: dict[str, Any] = {field: (info.annotation, info) for field, info in shape.model_fields.items() if field not in taken}
    return create_model(f"{name}_arguments", __base__=Input, **fields) if fields else None


def respond(output: Output, status: int = 200) -> Response:
    return Response(output.model_dump_json(by_alias=True), status, media_type="application/json")


def add_problems(api: FastAPI) -> None:
    """Every error as a problem: ours, FastAPI's and Starlette's."""

    @api.exception_handler(MessengerError)
    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, MessengerError)
        return _problem(error)

    @api.exception_handler(RequestValidationError)
    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        parts = (f"{'.'.join(str(part) for part in one['loc'] if part != 'arguments')}: {one['msg']}" for one in error.errors())
        return _problem(InvalidInput("; ".join(parts) + ".", hint="/docs shows what this call takes."))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refused = InvalidInput(f"{request.method} {request.url.path}: {error.detail}.", hint="/docs lists the calls.")
        answer = _problem(refused, status=error.status_code)
        answer.headers.update(error.headers or {})
        return answer


def _problem(error: MessengerError, *, status: int | None = None) -> Response:
    answer = problem_response(error, status=status)
    return Response(answer.body, answer.status, dict(answer.headers))
