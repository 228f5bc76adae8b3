"""The documentation of the REST calls: a page for people, and the OpenAPI document of what one instance's address serves."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_messenger.api.pages.docs import docs_page
from providers.words import words_for

Json = dict[str, Any]
API = "/api/v1/"
INSTANCE = "/api/v1/instances/{instance_id}/"


def add_docs(api: FastAPI) -> None:
    """Serve the page of all calls, and document and page of those of one instance, which its own address shows as its own."""

    async def docs(request: Request) -> Response:
        return docs_page(words_for(request.headers.get("accept-language")), api.openapi())

    async def docs_of_instance(request: Request) -> Response:
        return docs_page(words_for(request.headers.get("accept-language")), of_instance(api.openapi()))

    async def openapi_of_instance(request: Request) -> JSONResponse:
        return JSONResponse(of_instance(api.openapi()))

    api.router.routes += [Route("/docs", docs), Route(f"{INSTANCE}docs", docs_of_instance), Route(f"{INSTANCE}openapi.json", openapi_of_instance)]


def of_instance(openapi: Json) -> Json:
    """Return the part of the OpenAPI document that one instance's address serves, with the paths that it has there."""
    return {
        **openapi,
        "servers": [{"url": "/"}],
        "webhooks": {},
        "paths": {path.replace(INSTANCE, API): calls for path, calls in _of_instance(openapi["paths"])},
    }


def _of_instance(paths: Json) -> Iterator[tuple[str, Json]]:
    for path, calls in paths.items():
        if path.startswith(INSTANCE):
            yield path, {method: {**call, "parameters": _others(call.get("parameters", []))} for method, call in calls.items()}


def _others(parameters: list[Json]) -> list[Json]:
    return [one for one in parameters if (one["in"], one["name"]) != ("path", "instance_id")]
